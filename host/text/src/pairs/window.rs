//! A window of pairs: their lines as they stand in the files, and their word ids.

use std::{ops::Range, path::PathBuf};

use crate::{
    ContentHash, EncodedCorpus, Error, Field, Location, Result, Vocabularies, encoding, field::Origins, file,
    noting::NotesBuilder,
};

/// Pairs of a window, but for the first ones, which are smaller so that something is there soon.
const PAIRS: u64 = 2048;

/// Pairs of the very first.
const FIRST: u64 = 32;

/// A window whose text is longer ends there, in bytes: memory has a bound, whatever the lines are.
const TEXT: usize = 16 << 20;

/// The end of the window that a pair is in.
fn window_end(pair: u64) -> u64 {
    if pair < PAIRS { (pair + 1).next_power_of_two().max(FIRST) } else { (pair / PAIRS + 1) * PAIRS }
}

/// The beginning of the window that a pair is in.
fn window_start(pair: u64) -> u64 {
    match pair {
        ..FIRST => 0,
        FIRST..PAIRS => 1 << pair.ilog2(),
        _ => pair / PAIRS * PAIRS,
    }
}

/// The pairs of part `index` (from 1) of a corpus of so many that is divided into `count` parts of whole windows, as near to equal
/// as these allow. The parts follow one another and are the whole; the last may have a window's pairs more.
#[must_use]
pub fn shard(pairs: u64, index: u64, count: u64) -> Range<u64> {
    let edge = |number: u64| {
        let pair = u128::from(pairs) * u128::from(number) / u128::from(count.max(1));
        // It is at most `pairs`.
        window_start(u64::try_from(pair).unwrap_or(pairs))
    };
    edge(index.saturating_sub(1))..if index >= count { pairs } else { edge(index) }
}

/// The lines of one file.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Lines {
    fn range(&self, line: usize) -> Range<usize> {
        let start = if line == 0 { 0 } else { self.ends[line - 1] };
        start..self.ends[line]
    }
}

/// Some thousand pairs.
#[derive(Debug)]
pub struct Window {
    first: u64,
    corpus: EncodedCorpus,
    /// Of each side, or of the one file that has both.
    columns: Vec<Lines>,
    is_lines: bool,
    digest: Option<ContentHash>,
}

impl Window {
    /// The number of its first pair, from 0.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the pair after its last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.pairs() as u64
    }

    /// How many pairs it has.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.corpus.pairs()
    }

    /// Its word ids; pairs are counted from 0 within the window.
    #[must_use]
    pub fn corpus(&self) -> &EncodedCorpus {
        &self.corpus
    }

    /// Of a stream the hash of all its text to the end of this window.
    #[must_use]
    pub fn digest(&self) -> Option<ContentHash> {
        self.digest
    }

    /// One side of a pair, counted from 0 within the window, without the line's end; empty for a field that there is none of.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn text(&self, pair: usize, field: Field) -> &str {
        text(&self.columns, self.is_lines, self.first, pair, field)
    }

    /// The line of a pair with its end, byte for byte as it stands in the file of a side, or in the one file that has both.
    ///
    /// # Panics
    /// As [`Window::text`].
    #[must_use]
    pub fn raw(&self, pair: usize, field: Field) -> &[u8] {
        let column = if self.is_lines { 0 } else { field.index() };
        self.columns.get(column).map_or(&[], |lines| lines.text[lines.range(pair)].as_bytes())
    }
}

fn text(columns: &[Lines], is_lines: bool, first: u64, pair: usize, field: Field) -> &str {
    let column = if is_lines { 0 } else { field.index() };
    let Some(lines) = columns.get(column) else { return "" };
    let line = file::without_end(&lines.text[lines.range(pair)]);
    // A byte order mark before the first line is no text.
    let line = if first == 0 && pair == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
    if is_lines { line.split('\t').nth(field.index()).unwrap_or("") } else { line }
}

/// A window whose lines are being read.
pub(super) struct Builder {
    first: u64,
    /// The number of the pair that it ends before.
    end: u64,
    columns: Vec<(Vec<u8>, Vec<usize>)>,
}

impl Builder {
    /// One from this pair on, of no pair from `to` on, of so many files.
    pub(super) fn new(first: u64, to: Option<u64>, files: usize) -> Self {
        let end = window_end(first).min(to.unwrap_or(u64::MAX));
        Self { first, end, columns: vec![Default::default(); files] }
    }

    /// How many pairs it has so far.
    pub(super) fn pairs(&self) -> usize {
        self.columns.first().map_or(0, |(_, ends)| ends.len())
    }

    pub(super) fn is_full(&self) -> bool {
        let bytes: usize = self.columns.iter().map(|(text, _)| text.len()).sum();
        self.first + self.pairs() as u64 >= self.end || bytes > TEXT
    }

    /// Where the next line of a file goes.
    pub(super) fn line(&mut self, column: usize) -> &mut Vec<u8> {
        &mut self.columns[column].0
    }

    /// Each file has given a line.
    pub(super) fn end_line(&mut self) {
        for (text, ends) in &mut self.columns {
            ends.push(text.len());
        }
    }

    /// Encodes what was read.
    ///
    /// # Errors
    /// A line of pairs without a tab.
    pub(super) fn finish(
        self,
        fields: &[Field],
        is_lines: bool,
        vocabularies: &Vocabularies,
        file_of: &impl Fn(Field) -> PathBuf,
        hasher: Option<&mut blake3::Hasher>,
    ) -> Result<(Window, NotesBuilder)> {
        let (first, pairs) = (self.first, self.pairs());
        let first_line = usize::try_from(first).unwrap_or(usize::MAX);
        let mut columns = Vec::new();
        for ((bytes, ends), field) in self.columns.into_iter().zip(fields) {
            // Each line was checked; this is a second look.
            let text = String::from_utf8(bytes).map_err(|_| Error::Changed {
                file: file_of(*field),
                evidence: "its bytes are others now",
            })?;
            columns.push(Lines { text, ends });
        }
        if is_lines && let Some(lines) = columns.first() {
            let without = (0..pairs).find(|line| !lines.text[lines.range(*line)].contains('\t'));
            if let Some(line) = without {
                let place = Location { file: file_of(Field::Source), line: first_line + line + 1 };
                return Err(Error::MissingTab { place });
            }
        }
        let digest = hasher.map(|hasher| {
            for pair in 0..pairs {
                for lines in &columns {
                    hasher.update(lines.text[lines.range(pair)].as_bytes());
                }
            }
            ContentHash(*hasher.finalize().as_bytes())
        });
        let line = |pair, field| text(&columns, is_lines, first, pair, field);
        let (numbers, facts, notes) = encoding::encode_held(fields, pairs, first_line, vocabularies, line);
        let origins =
            fields.iter().map(|field| Origins::within(&file_of(*field), first_line, pairs)).collect();
        let corpus = EncodedCorpus::of_window(numbers, facts, origins);
        Ok((Window { first, corpus, columns, is_lines, digest }, notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_one_another_and_grow() {
        let mut ends = vec![0];
        while *ends.last().unwrap() < 3 * PAIRS {
            ends.push(window_end(*ends.last().unwrap()));
        }
        assert_eq!(ends, [0, 32, 64, 128, 256, 512, 1024, 2048, 4096, 6144]);
        for window in ends.windows(2) {
            for pair in window[0]..window[1] {
                assert_eq!((window_start(pair), window_end(pair)), (window[0], window[1]), "{pair}");
            }
        }
    }

    #[test]
    fn shards_are_whole_windows_and_together_the_corpus() {
        for pairs in [0, 1, 31, 32, 100, 2047, 2048, 5000, 100_000, 1 << 40] {
            for count in [1, 2, 3, 8, 1000] {
                let mut next = 0;
                for index in 1..=count {
                    let shard = shard(pairs, index, count);
                    assert_eq!(shard.start, next, "{index} of {count} of {pairs}");
                    assert!(shard.end >= shard.start);
                    assert!(shard.start == pairs || window_start(shard.start) == shard.start);
                    next = shard.end;
                }
                assert_eq!(next, pairs);
            }
        }
        assert_eq!(shard(1 << 30, 2, 4), 1 << 28..1 << 29);
    }
}
