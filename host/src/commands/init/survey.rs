//! What a corpus is like: pairs, words, lengths. Files are read in blocks, so that memory grows with the number of types and not of
//! lines. Which values follow from it is `choices`'.

use std::collections::BTreeMap;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_text::{Error, Field, FitStatistics, Limits, Location, ParallelCorpus, Vocabulary, words};

use super::Task;

/// The corpora of a task, opened and measured.
#[derive(Debug)]
pub(super) struct Survey {
    /// The training corpus as the files have it.
    pub(super) train: ParallelCorpus,
    /// Pairs for validation, where there are files for it.
    pub(super) valid_pairs: Option<usize>,
    /// Pairs for the test.
    pub(super) test_pairs: Option<usize>,
    pub(super) source: Side,
    pub(super) target: Side,
    pub(super) lengths: Lengths,
}

/// One side of the training corpus.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// Running words.
    pub(super) words: u64,
    /// Words of its longest line, and where that is.
    pub(super) longest: usize,
    pub(super) longest_at: Location,
}

/// How many pairs have a longer side of so many words.
#[derive(Debug, Clone, Default)]
pub(super) struct Lengths(BTreeMap<usize, u64>);

impl Lengths {
    fn add(&mut self, words: usize) {
        *self.0.entry(words).or_default() += 1;
    }

    pub(super) fn pairs(&self) -> u64 {
        self.0.values().sum()
    }

    /// Pairs with a side of more words than `limit`.
    pub(super) fn over(&self, limit: usize) -> u64 {
        self.0.range(limit + 1..).map(|(_, pairs)| pairs).sum()
    }

    /// The least length that at least `share` of the pairs do not exceed.
    pub(super) fn quantile(&self, share: f64) -> usize {
        let wanted = (share * self.pairs() as f64).ceil() as u64;
        let mut seen = 0;
        let reached = self.0.iter().find(|(_, pairs)| {
            seen += **pairs;
            seen >= wanted
        });
        reached.or_else(|| self.0.last_key_value()).map_or(0, |(length, _)| *length)
    }

    /// Words of the longest side of all.
    pub(super) fn longest(&self) -> usize {
        self.0.last_key_value().map_or(0, |(length, _)| *length)
    }

    /// Tokens of a batch of all pairs up to `limit` without padding: the longer side of each, with `<bos>` and `<eos>`.
    pub(super) fn tokens(&self, limit: usize) -> u64 {
        self.0.range(..=limit).map(|(length, pairs)| (*length as u64 + 2) * pairs).sum()
    }
}

impl Survey {
    /// Opens and reads the corpora.
    ///
    /// # Errors
    /// All that is wrong with the files, as training would tell it.
    pub(super) fn of(task: &Task) -> Result<Self, Failure> {
        let sets = [Some(&task.train), task.valid.as_ref(), task.test.as_ref()];
        let mut opened = Vec::new();
        let mut errors = Vec::new();
        for files in sets {
            match files.map(ParallelCorpus::open).transpose() {
                Ok(corpus) => opened.push(corpus),
                Err(error) => errors.push(complaint(&error)),
            }
        }
        let mut opened = opened.into_iter();
        let Some(train) = opened.next().flatten().filter(|_| errors.is_empty()) else {
            return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
        };
        let mut pairs = || opened.next().flatten().map(|corpus| corpus.pairs());
        let (valid_pairs, test_pairs) = (pairs(), pairs());
        let (source, target, lengths) = measure(&train).map_err(|error| refuse(&error))?;
        Ok(Self { train, valid_pairs, test_pairs, source, target, lengths })
    }

    /// The training pairs in which validation and length limits leave: `share` kept by a split of this seed, and none over
    /// `limit` words.
    ///
    /// # Errors
    /// Nothing is left, or a file was changed meanwhile.
    pub(super) fn trained(
        &self,
        split: Option<f64>,
        seed: u64,
        limit: Option<usize>,
    ) -> Result<ParallelCorpus, Failure> {
        let kept = match split {
            Some(share) => self.train.split(share, seed).map_err(|error| refuse(&error))?.0,
            None => self.train.clone(),
        };
        match limit {
            Some(limit) => {
                Ok(kept.within_lengths(Some(limit), Some(limit)).map_err(|error| refuse(&error))?.0)
            }
            None => Ok(kept),
        }
    }
}

/// What a vocabulary of these limits covers of one side.
///
/// # Errors
/// A file was changed meanwhile.
pub(super) fn fit(
    corpus: &ParallelCorpus,
    field: Field,
    min_frequency: u64,
    max_size: Option<usize>,
) -> Result<FitStatistics, Failure> {
    let limits = Limits { min_frequency, max_size };
    Vocabulary::fit(corpus, &[field], limits).map(|fitted| fitted.statistics).map_err(|error| refuse(&error))
}

/// The two sides and the lengths of a corpus, in one pass.
fn measure(corpus: &ParallelCorpus) -> Result<(Side, Side, Lengths), Error> {
    let sides = [Field::Source, Field::Target].map(|field| corpus.side(field));
    let [Some(source), Some(target)] = sides else {
        return Err(Error::NoFiles { field: Field::Target });
    };
    let (mut source, mut target) = (source.reader(), target.reader());
    let mut lengths = Lengths::default();
    let mut totals = [0_u64; 2];
    let mut longest = [(0, 0); 2];
    for pair in 0..corpus.pairs() {
        let line = corpus.line(pair);
        let counts = [words(source.line(line)?).count(), words(target.line(line)?).count()];
        for side in 0..2 {
            totals[side] += counts[side] as u64;
            if counts[side] > longest[side].0 {
                longest[side] = (counts[side], pair);
            }
        }
        lengths.add(counts[0].max(counts[1]));
    }
    let side = |index: usize, field: Field| {
        let (words, pair) = longest[index];
        let place = corpus.location(pair, field).ok_or(Error::NoFiles { field })?;
        Ok::<_, Error>(Side { words: totals[index], longest: words, longest_at: place })
    };
    Ok((side(0, Field::Source)?, side(1, Field::Target)?, lengths))
}

fn complaint(error: &Error) -> Diagnostic {
    Diagnostic::error(error.code(), error.to_string())
}

pub(super) fn refuse(error: &Error) -> Failure {
    Failure::new(ExitCode::Invalid, complaint(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_and_asked() {
        let mut lengths = Lengths::default();
        for words in [3, 3, 3, 5, 40] {
            lengths.add(words);
        }
        assert_eq!((lengths.pairs(), lengths.longest()), (5, 40));
        assert_eq!((lengths.over(2), lengths.over(3), lengths.over(40)), (5, 2, 0));
        assert_eq!((lengths.quantile(0.6), lengths.quantile(0.61), lengths.quantile(1.0)), (3, 5, 40));
        assert_eq!((lengths.tokens(3), lengths.tokens(40)), (15, 64));
        assert_eq!(Lengths::default().quantile(0.5), 0);
    }
}
