//! What can be wrong with the file of a saved system, when it is written and when it is opened.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::Dtype;
use crate::error_code::Code;

/// An error with the file of a saved system. Each message names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file.
    #[error("saved system {} does not exist{}", file.display(), nearest_hint(nearest.as_deref()))]
    Missing {
        /// The file that was asked for.
        file: PathBuf,
        /// The nearest name in its folder.
        nearest: Option<PathBuf>,
    },
    /// A folder where a file was expected.
    #[error("{} is a folder, not the file of a saved system; name one of the files in it", file.display())]
    Directory {
        /// The folder.
        file: PathBuf,
    },
    /// A file that the operating system does not let us read.
    #[error("{} cannot be read: {cause}; check its permissions and the device it lies on", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// Something else than a complete safetensors file.
    #[error("{} is not a saved system: {reason}", file.display())]
    NotSafetensors {
        /// The file.
        file: PathBuf,
        /// What it seems to be.
        reason: NotSafetensors,
    },
    /// A safetensors file that another program wrote.
    #[error(
        "{} is a safetensors file but not a saved system of kiwi-host: its metadata lack `{missing}` (it has {}); \
         name a file from the `checkpoints` folder of a run",
        file.display(), list(found)
    )]
    NotSystem {
        /// The file.
        file: PathBuf,
        /// The key that is missing.
        missing: &'static str,
        /// The keys that there are.
        found: Vec<String>,
    },
    /// A format that only a later version of the program reads.
    #[error(
        "{} has format version {found} and this kiwi-host reads up to version {supported}: use the version that saved it, or a newer one",
        file.display()
    )]
    NewerVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest known.
        supported: u32,
    },
    /// A metadata value that cannot be what kiwi-host wrote.
    #[error("{} is damaged or was edited: its metadata value `{key}` {reason}; use another copy of the file", file.display())]
    BadMetadata {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Two tensors of one name.
    #[error("two tensors are named `{name}`: each parameter and buffer of a system needs a name of its own")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// A tensor name that the format keeps for itself.
    #[error("a tensor cannot be named `{name}`: the safetensors format keeps this name for its metadata")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// Bytes that do not fill a tensor's shape.
    #[error("tensor `{name}` of type {dtype} and shape {shape:?} was given as {found} bytes: {}", size_hint(*expected))]
    TensorSize {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes that the shape takes, unless they are no whole number or overflow.
        expected: Option<usize>,
        /// Bytes given.
        found: usize,
    },
    /// Metadata beyond what the format allows.
    #[error(
        "{} cannot be written: its metadata take {size} bytes and the safetensors format allows {limit}; the vocabularies take \
         most of it, so limit them by `vocab.max_size` or `vocab.min_frequency`",
        file.display()
    )]
    HeaderTooLarge {
        /// The file.
        file: PathBuf,
        /// Bytes of the header.
        size: usize,
        /// The format's limit.
        limit: usize,
    },
    /// No space left.
    #[error(
        "{} cannot be written: it needs {} and the file system has {} free; make room, or use another `output_dir` or a \
         smaller `save_top_k`. Files saved before are untouched",
        file.display(), bytes(*needed), free.map_or("too little".to_owned(), bytes)
    )]
    DiskFull {
        /// The file.
        file: PathBuf,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes free once the unfinished file is removed, where that is known.
        free: Option<u64>,
    },
    /// Any other failure of the file system.
    #[error("{} cannot be written: {cause}; check that its folder exists and may be written to", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
}

impl Error {
    /// What kind of trouble it is.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Missing { .. } | Self::Directory { .. } | Self::Unreadable { .. } => Code::SystemUnreadable,
            Self::NewerVersion { .. } => Code::SystemNewer,
            Self::NotSafetensors { .. } | Self::NotSystem { .. } | Self::BadMetadata { .. } => {
                Code::NotASystem
            }
            Self::DuplicateTensor { .. } | Self::ReservedName { .. } | Self::TensorSize { .. } => {
                Code::TensorsDoNotFit
            }
            Self::HeaderTooLarge { .. } | Self::DiskFull { .. } | Self::Unwritable { .. } => Code::CannotSave,
        }
    }
}

/// Why a file is no complete safetensors file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSafetensors {
    /// It has no byte.
    Empty,
    /// It is text.
    Text,
    /// It stands for a file that Git LFS keeps elsewhere.
    GitLfsPointer,
    /// It is a checkpoint in PyTorch's own format.
    PyTorch,
    /// It ends too early.
    Truncated {
        /// Bytes it has.
        found: u64,
        /// Bytes it should have, where the part that is there tells.
        expected: Option<u64>,
    },
    /// It goes on after its end.
    TooLong {
        /// Bytes it has.
        found: u64,
        /// Bytes it should have.
        expected: u64,
    },
    /// Anything else, in the words of the safetensors library.
    Invalid(String),
}

impl fmt::Display for NotSafetensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TRUNCATED: &str = "it was not copied or written to its end; use another copy of the file";
        match self {
            Self::Empty => write!(f, "the file is empty; {TRUNCATED}"),
            Self::Text => f.write_str(
                "it is a text file, and saved systems are safetensors files; name a file from the `checkpoints` folder of a run",
            ),
            Self::GitLfsPointer => f.write_str("it is a Git LFS pointer to the file; run `git lfs pull`"),
            Self::PyTorch => f.write_str(
                "it is a PyTorch checkpoint (pickled objects), and saved systems are safetensors files; \
                 if OpenKiwi saved it, make one of it with `kiwi-host import openkiwi FILE -o SYSTEM`",
            ),
            Self::Truncated { found, expected: Some(expected) } => {
                write!(f, "it is cut off after {found} of {expected} bytes; {TRUNCATED}")
            }
            Self::Truncated { found, expected: None } => write!(f, "it is cut off after {found} bytes; {TRUNCATED}"),
            Self::TooLong { found, expected } => {
                write!(f, "it has {found} bytes where its header says {expected}; use another copy of the file")
            }
            Self::Invalid(reason) => write!(f, "it is no valid safetensors file ({reason}); use another copy of the file"),
        }
    }
}

fn nearest_hint(nearest: Option<&Path>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {}?", nearest.display()),
        None => "; check the path (a relative one starts at the current folder)".to_owned(),
    }
}

fn list(keys: &[String]) -> String {
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

fn size_hint(expected: Option<usize>) -> String {
    match expected {
        Some(expected) => format!("the shape takes {expected}"),
        None => "the shape takes no number of bytes that could be given".to_owned(),
    }
}

fn bytes(count: u64) -> String {
    if count < 10_000_000 { format!("{count} bytes") } else { format!("{:.1} MB", count as f64 / 1e6) }
}
