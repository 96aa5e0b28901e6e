//! The fields of a pair of sentences and places in files: names that every other module here uses.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A side of a parallel corpus, named as in the configuration and in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The text that is translated.
    Source,
    /// Its translation.
    Target,
    /// The translation as corrected by a person; the target's vocabulary serves for it.
    PostEdit,
}

impl Field {
    /// All fields, in the order of their indices.
    pub const ALL: [Self; 3] = [Self::Source, Self::Target, Self::PostEdit];

    /// The name in the configuration and in a batch: `source`, `target` or `pe`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::PostEdit => "pe",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Source => 0,
            Self::Target => 1,
            Self::PostEdit => 2,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A line of a file; `Display` writes `file:line`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// The line in that file, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Which file and line each line of a list of files is: what stays known of the files once they are encoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    /// Each file with the number of the first line after it.
    files: Vec<(PathBuf, usize)>,
    /// Lines of the first file before the first of these.
    before: usize,
}

impl Origins {
    /// Some lines of a file, from a given one on.
    pub(crate) fn within(file: &Path, first: usize, lines: usize) -> Self {
        Self { files: vec![(file.to_owned(), lines)], before: first }
    }

    pub(crate) fn push(&mut self, file: &Path, lines: usize) {
        self.files.push((file.to_owned(), self.lines() + lines));
    }

    pub(crate) fn lines(&self) -> usize {
        self.files.last().map_or(0, |(_, end)| *end)
    }

    /// The index of the file that holds a line, and the line within it from 0.
    pub(crate) fn find(&self, line: usize) -> (usize, usize) {
        let file = self.files.partition_point(|(_, end)| *end <= line);
        let before = if file == 0 { 0 } else { self.files[file - 1].1 };
        (file, line - before)
    }

    pub(crate) fn location(&self, line: usize) -> Location {
        let (file, line) = self.find(line);
        Location { file: self.files[file].0.clone(), line: self.before + line + 1 }
    }
}
