//! One side of a parallel corpus: one or several files read as one text, in order. What belongs to two sides is
//! `parallel_corpus`'s.

use std::path::PathBuf;

use crate::{
    Error, Field, Location, Result,
    field::Origins,
    file::TextFile,
    words::{Words, words},
};

/// The lines of one or several UTF-8 files, memory-mapped, so that a large corpus costs little memory.
///
/// Lines end at LF or CR LF and nowhere else; a last line without an end is a line; an empty file has none. A byte order mark
/// at the start of each file is dropped. The files must not be changed while they are in use.
#[derive(Debug)]
pub struct Corpus {
    files: Vec<TextFile>,
    origins: Origins,
}

impl Corpus {
    /// Opens and checks the files of one field.
    ///
    /// # Errors
    /// No file given; or a file that is missing, unreadable, a folder, or not UTF-8.
    pub fn open(field: Field, paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::NoFiles { field });
        }
        let files = paths.iter().map(|path| TextFile::open(path)).collect::<Result<Vec<_>>>()?;
        let mut origins = Origins::default();
        for file in &files {
            origins.push(file.path(), file.lines());
        }
        Ok(Self { files, origins })
    }

    /// How many lines there are in all files.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.origins.lines()
    }

    /// A line, counted from 0 over all files, without its end.
    ///
    /// # Errors
    /// The file was changed since it was opened and the line is no longer UTF-8.
    ///
    /// # Panics
    /// When there is no such line, as indexing a slice does.
    pub fn line(&self, line: usize) -> Result<&str> {
        let (file, line) = self.origins.find(line);
        self.files[file].line(line)
    }

    /// The words of a line.
    ///
    /// # Errors
    /// As for [`Corpus::line`].
    ///
    /// # Panics
    /// As for [`Corpus::line`].
    pub fn words(&self, line: usize) -> Result<Words<'_>> {
        self.line(line).map(words)
    }

    /// File and line number of a line.
    ///
    /// # Panics
    /// As for [`Corpus::line`].
    #[must_use]
    pub fn location(&self, line: usize) -> Location {
        self.origins.location(line)
    }

    pub(crate) fn files(&self) -> &[TextFile] {
        &self.files
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }
}
