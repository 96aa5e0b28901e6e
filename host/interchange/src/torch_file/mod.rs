//! Files of `torch.save`: a zip container (torch 1.6 and later) or a bare stream of pickles (before). Either gives one
//! [`Graph`] and the storages that it names.

mod container;
mod error;
mod legacy;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

pub use error::Error;
pub use write::write;

use crate::pickle::{self, Graph, StorageRef};

/// A file of `torch.save`, taken apart.
#[derive(Debug)]
pub struct TorchFile<'a> {
    /// The value that was saved.
    pub graph: Graph,
    /// The storages by their keys: little-endian elements.
    storages: HashMap<String, &'a [u8]>,
}

impl<'a> TorchFile<'a> {
    /// Takes the bytes of a file apart.
    ///
    /// # Errors
    /// They are no file of `torch.save`, are cut off or damaged, or hold what is not read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes {
            [] => Err(Error::Empty),
            [b'P', b'K', ..] => container::parse(bytes),
            [0x80, ..] => legacy::parse(bytes),
            _ => Err(Error::NotTorch { what: other_kind(bytes) }),
        }
    }

    /// The elements of a storage.
    ///
    /// # Errors
    /// The file does not have it, or in another length.
    pub fn storage(&self, storage: &StorageRef) -> Result<&'a [u8], Error> {
        let missing = || Error::NoStorage { key: storage.key.to_string() };
        let bytes = *self.storages.get(&*storage.key).ok_or_else(missing)?;
        let claimed = storage.elements.checked_mul(storage.kind.width());
        if claimed != Some(bytes.len()) {
            return Err(Error::StorageLength {
                key: storage.key.to_string(),
                elements: storage.elements,
                kind: storage.kind,
                found: bytes.len(),
            });
        }
        Ok(bytes)
    }
}

/// Reads a whole file.
///
/// # Errors
/// It is missing, no regular file, or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing,
        _ => Error::Unreadable { cause: cause.to_string() },
    };
    // Asked before opening: opening a pipe waits for its other end.
    let kind = path.metadata().map_err(unreadable)?;
    if kind.is_dir() {
        return Err(Error::Directory);
    }
    if !kind.is_file() {
        return Err(Error::Unreadable { cause: "it is no regular file".to_owned() });
    }
    fs::read(path).map_err(unreadable)
}

/// What a file that is none of torch's seems to be.
fn other_kind(bytes: &[u8]) -> &'static str {
    let start = &bytes[..bytes.len().min(512)];
    if start.starts_with(b"version https://git-lfs") {
        return "the pointer of Git LFS, not the file itself";
    }
    if start.starts_with(b"\x1f\x8b") {
        return "a gzip archive";
    }
    if start.get(8) == Some(&b'{') {
        return "a safetensors file";
    }
    let text = match str::from_utf8(start) {
        Ok(_) => true,
        Err(cut) => cut.error_len().is_none(),
    };
    if text && !start.contains(&0) { "a text file" } else { "something else" }
}

/// Reads a pickle and says what it is of when it cannot be read.
fn unpickle(bytes: &[u8], what: &'static str) -> Result<Graph, Error> {
    pickle::read(bytes).map_err(|cause| Error::Pickle { what, cause })
}
