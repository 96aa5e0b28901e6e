//! Two texts (or three, with post-edits) of which line i of one belongs to line i of the others, and the choice of some of
//! their pairs: a split, length limits. Words and their ids are `vocabulary`'s and `encoded`'s.

use std::{path::PathBuf, sync::Arc};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{Corpus, Error, Field, Location, Result, notes::Occurrences, threads};

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
    selection: Option<Arc<[usize]>>,
}

/// What length limits have dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Pairs before.
    pub pairs: usize,
    /// The pairs that were over a limit; each place is the first side that was.
    pub dropped: Occurrences,
}

impl ParallelCorpus {
    /// Opens and checks the files; each pair of files must have the same number of lines.
    ///
    /// # Errors
    /// A file that cannot be read as UTF-8 text, lists of different lengths, files of different line counts, or no pair at all.
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
        let sides = std::thread::scope(|scope| {
            let threads: Vec<_> =
                lists.iter().map(|(field, list)| scope.spawn(|| Corpus::open(*field, list))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<Vec<_>>>()
        })?;
        let empty = || sides.iter().filter(|side| side.lines() == 0).flat_map(Corpus::files);
        if empty().next().is_some() {
            return Err(Error::EmptyCorpus { files: empty().map(|file| file.path().to_owned()).collect() });
        }
        for ((field, _), side) in lists.iter().zip(&sides).skip(1) {
            check_line_counts(&sides[0], *field, side)?;
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
        self.selection.as_ref().map_or(pair, |selection| selection[pair])
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
        let part = |wanted: bool| self.select((0..pairs).filter(|pair| drawn[*pair] == wanted));
        Ok((part(true), part(false)))
    }

    /// Leaves out the pairs of which a side has more words than its limit (`<bos>` and `<eos>` not counted; post-edits are
    /// held to the target's limit).
    ///
    /// # Errors
    /// Nothing would be left, or a file was changed meanwhile.
    pub fn within_lengths(&self, source: Option<usize>, target: Option<usize>) -> Result<(Self, Dropped)> {
        let limits = [source, target, target];
        let limited: Vec<_> = self
            .sides
            .iter()
            .zip(limits)
            .filter_map(|(side, limit)| limit.map(|limit| (side, limit)))
            .collect();
        let over_limit = |line: usize| -> Result<Option<&Corpus>> {
            for (side, limit) in &limited {
                if side.words(line)?.nth(*limit).is_some() {
                    return Ok(Some(side));
                }
            }
            Ok(None)
        };
        let chunks = threads::map_chunks(self.pairs(), |range| {
            let (mut kept, mut dropped) = (Vec::new(), Vec::new());
            for pair in range {
                match over_limit(self.line(pair))? {
                    None => kept.push(pair),
                    Some(side) => dropped.push((pair, side)),
                }
            }
            Ok((kept, dropped))
        })?;
        let mut dropped = Occurrences::default();
        for (pair, side) in chunks.iter().flat_map(|(_, dropped)| dropped) {
            dropped.add(|| side.location(self.line(*pair)));
        }
        if dropped.count == self.pairs() {
            let limit = |name, limit: Option<usize>| limit.map(|limit| format!("{name} {limit} words"));
            let limits = [limit("source", source), limit("target", target)];
            let limits = limits.into_iter().flatten().collect::<Vec<_>>().join(", ");
            return Err(Error::AllTooLong { pairs: self.pairs(), limits });
        }
        let kept = self.select(chunks.into_iter().flat_map(|(kept, _)| kept));
        Ok((kept, Dropped { pairs: self.pairs(), dropped }))
    }

    /// Some of the pairs, which become the pairs 0, 1, … of the new corpus.
    fn select(&self, pairs: impl Iterator<Item = usize>) -> Self {
        Self { sides: Arc::clone(&self.sides), selection: Some(pairs.map(|pair| self.line(pair)).collect()) }
    }

    pub(crate) fn selection(&self) -> Option<Arc<[usize]>> {
        self.selection.clone()
    }
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
                lone_carriage_returns: source.lone_carriage_returns() + file.lone_carriage_returns(),
            });
        }
    }
    Ok(())
}
