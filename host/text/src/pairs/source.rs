//! One file of an input as raw lines: of a text that was checked, or of a stream.

use std::path::PathBuf;

use super::stream::{LineStream, begins_with_mark};
use crate::{Corpus, CorpusReader, Result};

/// Where lines come from.
pub(super) enum Source<'a> {
    /// A file that was checked.
    Checked {
        reader: CorpusReader<'a>,
        next: usize,
        lines: usize,
        /// Whether a byte order mark stands before the first line.
        mark: bool,
    },
    Stream(&'a mut LineStream),
}

impl<'a> Source<'a> {
    /// The lines of a text of one file from the given one on, counted from 0.
    pub(super) fn checked(corpus: &'a Corpus, from: u64) -> Result<Self> {
        let next = usize::try_from(from).unwrap_or(usize::MAX);
        let mark = next == 0 && corpus.lines() > 0 && begins_with_mark(&corpus.location(0).file)?;
        Ok(Self::Checked { reader: corpus.reader(), next, lines: corpus.lines(), mark })
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Appends the next line with its end; false when there is none.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        match self {
            Self::Checked { next, lines, .. } if *next >= *lines => Ok(false),
            Self::Checked { reader, next, mark, .. } => {
                if std::mem::take(mark) {
                    line.extend_from_slice("\u{feff}".as_bytes());
                }
                line.extend_from_slice(reader.line_with_end(*next)?.as_bytes());
                *next += 1;
                Ok(true)
            }
            Self::Stream(stream) => stream.read(line),
        }
    }

    /// Its name and all its lines, for which a stream is read to its end.
    pub(super) fn count(&mut self) -> Result<(PathBuf, usize)> {
        match self {
            Self::Checked { reader, lines, .. } => Ok((reader.location(0).file, *lines)),
            Self::Stream(stream) => Ok((stream.path().to_owned(), stream.count()?)),
        }
    }
}
