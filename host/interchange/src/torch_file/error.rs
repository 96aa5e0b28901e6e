//! What can be wrong with a file of `torch.save`, before what it holds is looked at.

use crate::pickle::{self, ElementType, Problem};

/// An error with the container. The messages are to be read after the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such file.
    #[error("it does not exist")]
    Missing,
    /// A folder.
    #[error("it is a folder")]
    Directory,
    /// A file that the operating system does not let us read.
    #[error("it cannot be read: {cause}")]
    Unreadable {
        /// What the system says.
        cause: String,
    },
    /// A file of no bytes.
    #[error("it is empty")]
    Empty,
    /// Some other kind of file.
    #[error("it is {what}, not a file of torch.save")]
    NotTorch {
        /// What it seems to be.
        what: &'static str,
    },
    /// A zip file without its directory.
    #[error("its zip directory is missing, as when a file is cut off")]
    ZipCut,
    /// A zip structure that contradicts itself or the file.
    #[error("its zip container is damaged: {what}")]
    Zip {
        /// What is wrong.
        what: String,
    },
    /// An entry with a name that could lead out of a folder.
    #[error("its zip container has an entry with the path {name:?}, which leads out of its folder")]
    ZipPath {
        /// The name.
        name: String,
    },
    /// Two entries of one name.
    #[error(
        "its zip container has two entries named {name:?}, so that what it holds is a matter of who reads it"
    )]
    ZipDuplicate {
        /// The name.
        name: String,
    },
    /// An entry that is compressed.
    #[error(
        "its zip container has a compressed entry, {name:?}, of {packed} bytes that claim to be {size}; torch.save compresses nothing"
    )]
    ZipCompressed {
        /// The name.
        name: String,
        /// Its length in the file.
        packed: u64,
        /// The length it claims to have.
        size: u64,
    },
    /// An entry that is encrypted.
    #[error("its zip container has an encrypted entry, {name:?}")]
    ZipEncrypted {
        /// The name.
        name: String,
    },
    /// Bytes that belong to two entries.
    #[error("its zip container has two entries in the same bytes, {first:?} and {second:?}")]
    ZipOverlap {
        /// The one that begins first.
        first: String,
        /// The other.
        second: String,
    },
    /// An entry whose checksum is not that of its bytes.
    #[error("its entry {name:?} is damaged: its checksum is not that of its bytes")]
    ZipChecksum {
        /// The name.
        name: String,
    },
    /// A zip file without a pickle.
    #[error("it is a zip file without a `data.pkl`, which torch.save writes")]
    ZipNoPickle,
    /// Numbers in the order of other processors.
    #[error("its numbers are big-endian, and only little-endian ones are read")]
    BigEndian,
    /// A pickle stream that does not begin as torch's.
    #[error("it is a pickle, but not one of torch.save: its first value is not torch's magic number")]
    NoMagic,
    /// A stream of another version.
    #[error("it has version {found} of torch's format, and 1001 is the only one there was")]
    LegacyVersion {
        /// The version.
        found: String,
    },
    /// A part of a stream that is not what belongs there.
    #[error("it has {found} where torch.save writes {expected}")]
    Legacy {
        /// What is there.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A stream that ends before its storages do.
    #[error("it is cut off: storage {key} needs {needed} bytes and {left} are left")]
    LegacyCut {
        /// The storage.
        key: String,
        /// Its length.
        needed: u64,
        /// What is left of the file.
        left: u64,
    },
    /// Bytes after the last storage.
    #[error("it goes on for {extra} bytes after its last storage")]
    LegacyLong {
        /// So many.
        extra: usize,
    },
    /// A pickle that is not read.
    #[error("{what} cannot be read: {cause}")]
    Pickle {
        /// What it is a pickle of.
        what: &'static str,
        /// Why.
        cause: pickle::Error,
    },
    /// A storage that the pickle names and the file does not have.
    #[error("its pickle names storage {key:?}, which is not in the file")]
    NoStorage {
        /// Its key.
        key: String,
    },
    /// A storage of another length than the pickle says.
    #[error("storage {key} is said to have {elements} elements of {}, and has {found} bytes", kind.storage())]
    StorageLength {
        /// Its key.
        key: String,
        /// How many elements it should have.
        elements: usize,
        /// Of which type.
        kind: ElementType,
        /// Its bytes.
        found: usize,
    },
    /// Two storages of one key.
    #[error("it has two storages with the key {key:?}")]
    DuplicateStorage {
        /// The key.
        key: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Missing | Self::Directory | Self::NotTorch { .. } => {
                "name a system that OpenKiwi saved: a .torch file, or a .ckpt of its checkpoints"
            }
            Self::Unreadable { .. } => "check its permissions and the device it lies on",
            Self::Pickle { cause: pickle::Error { problem: Problem::Name { .. }, .. }, .. } => {
                "give a system that OpenKiwi 2.1.0 saved; do not load this one in Python unless you trust who made it, for there \
                 the name would be imported and called"
            }
            Self::Pickle {
                cause: pickle::Error { problem: Problem::Protocol { .. } | Problem::Operation { .. }, .. },
                ..
            } => "save it once more with torch.save and its default protocol",
            Self::ZipPath { .. } | Self::ZipDuplicate { .. } | Self::ZipOverlap { .. } => {
                "no program of torch writes such a file: do not trust it"
            }
            Self::ZipCompressed { .. } | Self::ZipEncrypted { .. } => {
                "if someone packed it anew, get the file as torch.save wrote it"
            }
            Self::BigEndian => {
                "save it once more on a little-endian machine, as x86-64 and most ARM machines are"
            }
            _ => "get a complete copy of the file",
        }
    }
}
