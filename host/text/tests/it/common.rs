//! Corpora written for one test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kiwi_text::{ParallelCorpus, ParallelFiles, Result};
use proptest::prelude::ProptestConfig;
use tempfile::TempDir;

/// A folder with corpus files, gone when dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Opens two files as a parallel corpus.
    pub(crate) fn pair(&self, source: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Result<ParallelCorpus> {
        open(&[self.write("train.src", source)], &[self.write("train.tgt", target)])
    }

    /// The message without the folder's name.
    pub(crate) fn message<T>(&self, result: Result<T>) -> String {
        let Err(error) = result else { panic!("this should have been refused") };
        self.shorten(&error.to_string())
    }

    /// The text without the folder's name.
    pub(crate) fn shorten(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }
}

pub(crate) fn open(source: &[PathBuf], target: &[PathBuf]) -> Result<ParallelCorpus> {
    ParallelCorpus::open(&ParallelFiles { source: source.to_vec(), target: target.to_vec(), post_edit: None })
}

/// So many cases of a property, or as many as `PROPTEST_CASES` says.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let chosen = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: chosen.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}
