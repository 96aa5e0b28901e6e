//! One saved system as a page: what its file holds, and if it is run on a corpus, where it is surprised.
//!
//! ```text
//! SYSTEM.safetensors ─┬ vocabulary, tensors ──────────────────────┐
//! engine's lines ──── reading ─► sums, counts, pairs to be shown ─┴ html ─► one file;  json ─► one object
//! ```
//!
//! Running the system is the program's; this reads the lines that come of it. No libtorch here.

#[cfg(test)]
mod fixtures;
mod html;
mod json;
mod reading;
mod tensors;
mod vocabulary;

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::saved_system::{self, SavedSystem, SystemHeader};

pub use reading::Reading;

use crate::error::Error;
use crate::write;
use tensors::TensorFacts;

/// The corpus that a system was run on, by the paths of its files.
#[derive(Debug, Clone, Default)]
pub struct CorpusFiles {
    /// The source side.
    pub source: PathBuf,
    /// The target side.
    pub target: PathBuf,
    /// Post-edits, where they were given.
    pub post_edit: Option<PathBuf>,
}

/// A saved system of which a page is to be made.
#[derive(Debug)]
pub struct SystemReport {
    saved: SavedSystem,
    bytes: u64,
    target: PathBuf,
    tensors: Vec<TensorFacts>,
}

/// Whether `paths` lead to a saved system and not to runs.
///
/// # Errors
/// One of several is the file of a saved system.
pub fn is_system(paths: &[PathBuf]) -> Result<bool, Error> {
    let systems = || paths.iter().filter(|path| may_be_system(path));
    match (paths, systems().next()) {
        (_, None) => Ok(false),
        ([_], Some(_)) => Ok(true),
        (_, Some(system)) => Err(Error::NotAlone { path: system.clone() }),
    }
}

/// Whether a path is that of a saved system, be it missing or damaged.
fn may_be_system(path: &Path) -> bool {
    let named = path.extension().is_some_and(|extension| extension == "safetensors");
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => false,
        Ok(metadata) if metadata.is_file() => named || SavedSystem::open(path).is_ok(),
        _ => named,
    }
}

impl SystemReport {
    /// Opens the system in `path`, of which a page is to go to `output`, or else beside it with its name and `.html`.
    ///
    /// # Errors
    /// When it is no saved system, or when something else lies where the page is to go, or nothing can be
    /// written there.
    pub fn open(path: &Path, output: Option<&Path>) -> Result<Self, Error> {
        let target = output.map_or_else(|| path.with_extension("html"), Path::to_owned);
        let saved = SavedSystem::open(path)?;
        write::check(&target)?;
        write::try_out(&target)?;
        let bytes = fs::metadata(path)
            .map_err(|cause| saved_system::Error::Unreadable { file: path.to_owned(), cause })?
            .len();
        let tensors = tensors::facts(&saved);
        Ok(Self { saved, bytes, target, tensors })
    }

    /// What the system says about itself.
    #[must_use]
    pub fn header(&self) -> &SystemHeader {
        self.saved.header()
    }

    /// Where the page goes.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes the page, with what the system made of a corpus if it was run on one.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, corpus: Option<(&CorpusFiles, &Reading)>) -> Result<(), Error> {
        write::write(&self.target, &html::render(self, corpus))
    }

    /// What is on the page as data: one JSON object.
    #[must_use]
    pub fn json(&self, corpus: Option<(&CorpusFiles, &Reading)>) -> String {
        json::json(self, corpus).to_string()
    }

    /// How many numbers its tensors have in all.
    fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.numbers).sum()
    }
}
