//! One side of a parallel corpus: one or several files read as one text, in order. What belongs to two sides is
//! `parallel_corpus`'s.

use std::path::PathBuf;

use crate::{
    ContentHash, Error, Field, Location, Result,
    field::Origins,
    file::{self, FileReader, TextFile},
    hash::KeyHasher,
};

/// The lines of one or several UTF-8 files.
///
/// Lines end at LF or CR LF and nowhere else; a last line without an end is a line; an empty file has none. A byte order mark
/// at the start of each file is dropped. Small files and pipes are held; larger files are opened anew by each pass over them
/// and read in blocks of whole lines, so that a large corpus costs no memory but the system's cache of files. Files are not to
/// be changed, renamed or removed while they are read: that is noticed by their number, their size and their time of
/// modification, at the latest when a pass over them has ended, and is an error.
#[derive(Debug)]
pub struct Corpus {
    files: Vec<TextFile>,
    origins: Origins,
}

impl Corpus {
    /// Opens and checks the files of one field.
    ///
    /// # Errors
    /// No file given; or a file that is missing, unreadable, a folder or a device, or not UTF-8; or a line of 2 GiB.
    pub fn open(field: Field, paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::NoFiles { field });
        }
        let files = paths.iter().map(|path| TextFile::open(path, paths.len())).collect::<Result<Vec<_>>>()?;
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

    /// How many bytes there are in all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(TextFile::bytes).sum()
    }

    /// The hash of the bytes of the files and of where each ends.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        let mut hasher = KeyHasher::new("files");
        self.files.iter().for_each(|file| hasher.hash(file.hash()));
        hasher.finish()
    }

    /// A reader of lines; each thread that reads needs its own.
    #[must_use]
    pub fn reader(&self) -> CorpusReader<'_> {
        CorpusReader { corpus: self, number: 0, file: self.files.first().map(TextFile::reader) }
    }

    /// File and line number of a line, counted from 0 over all files.
    ///
    /// # Panics
    /// When there is no such line, as indexing a slice does.
    #[must_use]
    pub fn location(&self, line: usize) -> Location {
        self.origins.location(line)
    }

    /// Whether the files are still what was opened, as far as their sizes and times of modification tell.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.files.iter().try_for_each(TextFile::check_unchanged)
    }

    pub(crate) fn files(&self) -> &[TextFile] {
        &self.files
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }
}

/// Reads lines of a [`Corpus`]; quick where they are near each other.
#[derive(Debug)]
pub struct CorpusReader<'a> {
    corpus: &'a Corpus,
    /// Which file `file` reads.
    number: usize,
    file: Option<FileReader<'a>>,
}

impl CorpusReader<'_> {
    /// A line, counted from 0 over all files, without its end.
    ///
    /// # Errors
    /// The file was changed since it was opened, or cannot be read any more.
    ///
    /// # Panics
    /// When there is no such line, as indexing a slice does.
    pub fn line(&mut self, line: usize) -> Result<&str> {
        self.line_with_end(line).map(file::without_end)
    }

    /// The same as it stands in the file, with its end where it has one.
    pub(crate) fn line_with_end(&mut self, line: usize) -> Result<&str> {
        let (number, line) = self.corpus.origins.find(line);
        if number != self.number {
            self.file = None;
            self.number = number;
        }
        self.file.get_or_insert_with(|| self.corpus.files[number].reader()).line_with_end(line)
    }

    /// File and line number of a line, counted from 0.
    pub(crate) fn location(&self, line: usize) -> Location {
        self.corpus.location(line)
    }
}
