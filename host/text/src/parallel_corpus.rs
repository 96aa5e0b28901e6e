//! Two texts (or three, with post-edits) of which line i of one belongs to line i of the others, and the choice of some of
//! their pairs: a split, length limits. Words and their ids are `vocabulary`'s and `encoded`'s.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    ContentHash, Corpus, Error, Field, Location, Result, file, hash::KeyHasher, notes::Occurrences, threads,
    words,
};

/// The files of a parallel corpus; the lists are paired in order.
#[derive(Debug, Clone, Default)]
pub struct ParallelFiles {
    /// The source's files.
    pub source: Vec<PathBuf>,
    /// The target's files.
    pub target: Vec<PathBuf>,
    /// The files of the corrected translations, where there are any.
    pub post_edit: Option<Vec<PathBuf>>,
}

/// A parallel corpus, or some of its pairs in their original order. Copies share the files.
#[derive(Debug, Clone)]
pub struct ParallelCorpus {
    /// By [`Field::index`]: source, target, perhaps post-edits.
    sides: Arc<[Corpus]>,
    /// The line of each pair; all lines when absent.
    selection: Option<Arc<[u32]>>,
}

/// What length limits have dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Pairs before.
    pub pairs: usize,
    /// The limit in words of each side that has one.
    pub limits: Vec<(Field, usize)>,
    /// The pairs that were over a limit; each place is the first side that was.
    pub dropped: Occurrences,
}

impl Dropped {
    /// What was dropped and where first, as the end of a sentence about a corpus; `None` when nothing was.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let Self { pairs, limits, dropped } = self;
        (dropped.count > 0).then(|| {
            format!(
                "{} of {pairs} pairs dropped: over max_length ({}), first at {}",
                dropped.count,
                limits_as_text(limits),
                dropped.places()
            )
        })
    }
}

fn limits_as_text(limits: &[(Field, usize)]) -> String {
    limits.iter().map(|(field, limit)| format!("{field} {limit} words")).collect::<Vec<_>>().join(", ")
}

impl ParallelCorpus {
    /// Opens and checks the files; each pair of files must have the same number of lines.
    ///
    /// # Errors
    /// A file that cannot be read as UTF-8 text, a pipe that is given twice, lists of different lengths, files of different line
    /// counts, or a file without a line.
    pub fn open(files: &ParallelFiles) -> Result<Self> {
        let mut lists = vec![(Field::Source, &files.source), (Field::Target, &files.target)];
        lists.extend(files.post_edit.as_ref().map(|post_edit| (Field::PostEdit, post_edit)));
        for (field, list) in &lists {
            if list.is_empty() {
                return Err(Error::NoFiles { field: *field });
            }
            if list.len() != files.source.len() {
                return Err(Error::FileCounts {
                    source_files: files.source.len(),
                    field: *field,
                    files: list.len(),
                });
            }
        }
        refuse_pipes_given_twice(lists.iter().flat_map(|(_, list)| *list))?;
        let sides = threads::each(lists.len(), |side| Corpus::open(lists[side].0, lists[side].1));
        let sides = sides.into_iter().collect::<Result<Vec<_>>>()?;
        let empty = || sides.iter().flat_map(Corpus::files).filter(|file| file.lines() == 0);
        if empty().next().is_some() {
            return Err(Error::EmptyCorpus { files: empty().map(|file| file.path().to_owned()).collect() });
        }
        for ((field, _), side) in lists.iter().zip(&sides).skip(1) {
            check_line_counts(&sides[0], *field, side)?;
        }
        // Pairs are numbered in 32 bits.
        let pairs = sides[0].lines();
        if u32::try_from(pairs).is_err() {
            return Err(Error::TooManyPairs { pairs });
        }
        Ok(Self { sides: sides.into(), selection: None })
    }

    /// The fields that there are.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        Field::ALL.into_iter().take(self.sides.len())
    }

    /// How many pairs there are.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.selection.as_ref().map_or_else(|| self.sides[0].lines(), |selection| selection.len())
    }

    /// One side of all the files, whichever pairs are chosen; `None` when the corpus has no such field.
    #[must_use]
    pub fn side(&self, field: Field) -> Option<&Corpus> {
        self.sides.get(field.index())
    }

    /// The line of a pair in the files of each side, counted from 0 over all files.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn line(&self, pair: usize) -> usize {
        self.selection.as_ref().map_or(pair, |selection| selection[pair] as usize)
    }

    /// How many bytes the files of all sides have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sides.iter().map(Corpus::bytes).sum()
    }

    /// The hash of the bytes of all files, where each ends, and which pairs are chosen: two corpora with the same hash have
    /// the same pairs, whatever their files are called.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        let mut hasher = KeyHasher::new("pairs");
        self.sides.iter().for_each(|side| hasher.hash(side.content_hash()));
        self.hash_selection(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn hash_selection(&self, hasher: &mut KeyHasher) {
        match &self.selection {
            None => hasher.number(0),
            Some(selection) => {
                hasher.number(1);
                hasher.bytes(bytemuck::cast_slice(selection));
            }
        }
    }

    /// File and line of one side of a pair; `None` when the corpus has no such field.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn location(&self, pair: usize, field: Field) -> Option<Location> {
        Some(self.side(field)?.location(self.line(pair)))
    }

    /// Draws a part for training and leaves the rest for validation: `share` of the pairs (to the nearest whole number) by
    /// a seeded draw, both parts in the original order. The same seed gives the same parts.
    ///
    /// # Errors
    /// A share outside (0, 1), or one that leaves a part without pairs.
    pub fn split(&self, share: f64, seed: u64) -> Result<(Self, Self)> {
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::ShareOutOfRange { share });
        }
        let pairs = self.pairs();
        let training = (pairs as f64 * share).round() as usize;
        if training == 0 || training == pairs {
            return Err(Error::SplitTooSmall { share, pairs, training });
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn = vec![false; pairs];
        for pair in rand::seq::index::sample(&mut random, pairs, training) {
            drawn[pair] = true;
        }
        let part = |wanted: bool| {
            let pairs = (0..pairs).filter(|pair| drawn[*pair] == wanted);
            self.select(pairs.map(|pair| self.line_number(pair)))
        };
        Ok((part(true), part(false)))
    }

    /// Leaves out the pairs of which a side has more words than its limit (`<bos>` and `<eos>` not counted; post-edits are
    /// held to the target's limit).
    ///
    /// # Errors
    /// Nothing would be left, or a file was changed meanwhile.
    pub fn within_lengths(&self, source: Option<usize>, target: Option<usize>) -> Result<(Self, Dropped)> {
        let limits = [source, target, target];
        let limits = self.fields().zip(limits).filter_map(|(field, limit)| Some((field, limit?)));
        let limits: Vec<(Field, usize)> = limits.collect();
        let limited: Vec<(&Corpus, usize)> =
            limits.iter().filter_map(|(field, limit)| Some((self.side(*field)?, *limit))).collect();
        let chunks = threads::map_chunks(self.pairs(), |range| {
            let mut readers: Vec<_> =
                limited.iter().map(|(side, limit)| (*side, side.reader(), *limit)).collect();
            let mut over_limit = |line: usize| -> Result<Option<&Corpus>> {
                for (side, reader, limit) in &mut readers {
                    if words(reader.line(line)?).nth(*limit).is_some() {
                        return Ok(Some(side));
                    }
                }
                Ok(None)
            };
            let (mut kept, mut dropped) = (Vec::new(), Vec::new());
            for pair in range {
                match over_limit(self.line(pair))? {
                    None => kept.push(self.line_number(pair)),
                    Some(side) => dropped.push((pair, side)),
                }
            }
            Ok((kept, dropped))
        })?;
        self.check_unchanged()?;
        let mut dropped = Occurrences::default();
        for (pair, side) in chunks.iter().flat_map(|(_, dropped)| dropped) {
            dropped.add(|| side.location(self.line(*pair)));
        }
        if dropped.count == self.pairs() {
            return Err(Error::AllTooLong { pairs: self.pairs(), limits: limits_as_text(&limits) });
        }
        let kept = if dropped.count == 0 {
            self.clone()
        } else {
            self.select(chunks.into_iter().flat_map(|(kept, _)| kept))
        };
        Ok((kept, Dropped { pairs: self.pairs(), limits, dropped }))
    }

    /// The pairs of some lines, which become the pairs 0, 1, … of the new corpus.
    fn select(&self, lines: impl Iterator<Item = u32>) -> Self {
        Self { sides: Arc::clone(&self.sides), selection: Some(lines.collect()) }
    }

    /// [`ParallelCorpus::line`] as it is stored: [`ParallelCorpus::open`] has seen that all lines have such a number.
    fn line_number(&self, pair: usize) -> u32 {
        self.selection.as_ref().map_or(pair as u32, |selection| selection[pair])
    }

    pub(crate) fn selection(&self) -> Option<Arc<[u32]>> {
        self.selection.clone()
    }

    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.sides.iter().try_for_each(Corpus::check_unchanged)
    }
}

/// Refuses a pipe in two places.
pub(crate) fn refuse_pipes_given_twice<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let mut pipes = HashSet::new();
    for path in paths.filter(|path| file::is_pipe(path)) {
        if !pipes.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            return Err(Error::PipeTwice { file: path.clone() });
        }
    }
    Ok(())
}

fn check_line_counts(source: &Corpus, field: Field, side: &Corpus) -> Result<()> {
    for (source, file) in source.files().iter().zip(side.files()) {
        if source.lines() != file.lines() {
            return Err(Error::LineCounts {
                source_file: source.path().to_owned(),
                source_lines: source.lines(),
                field,
                file: file.path().to_owned(),
                lines: file.lines(),
                lone_carriage_returns: source.lone_carriage_returns()? + file.lone_carriage_returns()?,
            });
        }
    }
    Ok(())
}
