//! The file of a saved system: one safetensors file with the parameters, and in its `__metadata__` all that is needed to build
//! the system again: classes, configurations, vocabularies, and which plugins it came from. No run, no times and no paths
//! are in it, and everything is written in a fixed order, so that equal systems are equal files.
//!
//! [`write`] and [`SavedSystem::open`] are the two ends; beneath them [`archive`] writes any metadata and tensors the same safe
//! way, for files that hold more than a system. Whether names, shapes and vocabularies fit together is the engine's to check,
//! which also makes tensors of the bytes.
//!
//! | key | content |
//! |---|---|
//! | `format` | `pt`, as PyTorch's own files have it |
//! | `kiwi.format_version` | the version of this table, [`FORMAT_VERSION`] |
//! | `kiwi.system` | JSON: [`SystemHeader`] without the vocabularies |
//! | `kiwi.vocabulary.source`, `kiwi.vocabulary.target` | JSON: the words in the order of their ids |

pub mod archive;
mod error;
mod header;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::Path;

pub use archive::{Dtype, TensorData, TensorLayout};
pub use error::{Error, NotSafetensors};
pub use header::{FORMAT_VERSION, Part, PluginIdentity, SystemHeader};

use archive::Archive;

/// Writes a saved system. The file appears complete or not at all, and replaces one of the same name.
///
/// # Errors
/// Tensors that do not fit their shapes or have one name, metadata too large for the format, or a failing file system.
pub fn write<'a>(
    path: &Path,
    header: &SystemHeader,
    tensors: impl IntoIterator<Item = TensorData<'a>>,
) -> Result<(), Error> {
    archive::write(path, &header.to_metadata(), tensors)
}

/// As [`write`], for tensors whose elements are asked for by name one tensor after the other.
///
/// # Errors
/// As for [`write`]; and what `elements` gives.
pub fn write_each<'a>(
    path: &Path,
    header: &SystemHeader,
    tensors: impl IntoIterator<Item = TensorLayout>,
    elements: impl FnMut(&str) -> std::io::Result<Cow<'a, [u8]>>,
) -> Result<(), Error> {
    archive::write_each(path, &header.to_metadata(), tensors, elements)
}

/// A saved system, opened: what it is, and its tensors in the mapped file.
#[derive(Debug)]
pub struct SavedSystem {
    archive: Archive,
    header: SystemHeader,
}

impl SavedSystem {
    /// Opens a saved system.
    ///
    /// # Errors
    /// The file is missing, unreadable, no complete safetensors file, no saved system, or of a newer format.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let archive = Archive::open(path)?;
        let header = SystemHeader::from_metadata(path, archive.metadata())?;
        Ok(Self { archive, header })
    }

    /// Its metadata and tensors as such.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.archive.path()
    }

    /// What the system is.
    #[must_use]
    pub fn header(&self) -> &SystemHeader {
        &self.header
    }

    /// The tensors in the order of their names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorData<'_>> {
        self.archive.tensors()
    }

    /// One tensor.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<TensorData<'_>> {
        self.archive.tensor(name)
    }
}
