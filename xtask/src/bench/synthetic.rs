//! Made-up parallel text with a vocabulary and a length of sentences to order, the same in every call.
//!
//! Words have the frequencies of a language (Zipf's law). The pairs that are trained on come first; a tail of pairs brings
//! the words that did not occur in them, so that the vocabulary is exact.

use std::path::Path;

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::text::Text;

/// Seed of everything drawn here.
const SEED: u64 = 20_251_126;

/// What a text is to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Types of each side, special tokens not counted.
    pub(super) vocabulary: usize,
    /// Mean words of a sentence; it has from half to one and a half times as many.
    pub(super) length: usize,
    /// Pairs to train on, at the beginning.
    pub(super) pairs: usize,
}

impl Shape {
    /// Writes such a text into a folder, as `NAME.source` and `NAME.target`.
    pub(super) fn write(self, folder: &Path, name: &str) -> Result<Text> {
        let (source, target) = self.sentences();
        Text::write(folder, name, &source, &target)
    }

    /// The sentences of both sides, as many of one as of the other.
    fn sentences(self) -> (Vec<String>, Vec<String>) {
        let cumulative = cumulative_frequencies(self.vocabulary);
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut side = || self.side(&cumulative, &mut random);
        let ((mut source, source_unseen), (mut target, target_unseen)) = (side(), side());
        let pairs = source_unseen.len().max(target_unseen.len()).div_ceil(self.length);
        source.extend(self.tail(source_unseen, pairs));
        target.extend(self.tail(target_unseen, pairs));
        (source, target)
    }

    /// Sentences to train on, and the types that are in none of them.
    fn side(self, cumulative: &[f64], random: &mut ChaCha8Rng) -> (Vec<String>, Vec<usize>) {
        let mut seen = vec![false; self.vocabulary];
        let total = cumulative.last().copied().unwrap_or_default();
        let lengths = self.length - self.length / 2..=self.length + self.length / 2;
        let mut sentence = || {
            let words: Vec<String> = (0..random.random_range(lengths.clone()))
                .map(|_| {
                    let drawn = random.random_range(0.0..total);
                    let rank = cumulative.partition_point(|sum| *sum <= drawn);
                    seen[rank] = true;
                    word(rank)
                })
                .collect();
            words.join(" ")
        };
        let sentences = (0..self.pairs).map(|_| sentence()).collect();
        let unseen = (0..self.vocabulary).filter(|rank| !seen[*rank]).collect();
        (sentences, unseen)
    }

    /// So many sentences that have all `unseen` types, filled up with the others from the most frequent on.
    fn tail(self, unseen: Vec<usize>, sentences: usize) -> Vec<String> {
        let words: Vec<String> = unseen
            .into_iter()
            .chain((0..self.vocabulary).cycle())
            .take(sentences * self.length)
            .map(word)
            .collect();
        words.chunks(self.length).map(|words| words.join(" ")).collect()
    }
}

/// How often the types up to each rank occur, the first being 1.
fn cumulative_frequencies(types: usize) -> Vec<f64> {
    let frequencies = (1..=types).map(|rank| 1.0 / rank as f64);
    frequencies
        .scan(0.0, |sum, frequency| {
            *sum += frequency;
            Some(*sum)
        })
        .collect()
}

/// The type of a rank, from 0.
fn word(rank: usize) -> String {
    format!("w{rank}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts(sentences: &[String]) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for word in sentences.iter().flat_map(|sentence| sentence.split(' ')) {
            *counts.entry(word).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_text_has_exactly_the_vocabulary_asked_for() {
        for (vocabulary, length, pairs) in [(1000, 13, 320), (50, 10, 400), (3000, 7, 1)] {
            let shape = Shape { vocabulary, length, pairs };
            let (source, target) = shape.sentences();
            assert_eq!(source.len(), target.len());
            assert!(source.len() >= pairs);
            for side in [&source, &target] {
                assert_eq!(counts(side).len(), vocabulary, "{shape:?}");
                assert!(side.iter().all(|sentence| !sentence.is_empty()));
            }
            assert_eq!((source, target), shape.sentences());
        }
    }

    #[test]
    fn sentences_have_the_length_asked_for_on_average() {
        let (source, _) = Shape { vocabulary: 100, length: 13, pairs: 2000 }.sentences();
        let lengths: Vec<usize> = source[..2000].iter().map(|sentence| sentence.split(' ').count()).collect();
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&7), Some(&19)));
        let mean = lengths.iter().sum::<usize>() as f64 / 2000.0;
        assert!((mean - 13.0).abs() < 0.3, "{mean}");
    }

    #[test]
    fn frequent_words_are_frequent() {
        let (source, _) = Shape { vocabulary: 1000, length: 13, pairs: 1000 }.sentences();
        let counts = counts(&source);
        // Rank 1 against rank 10: ten times as often, by Zipf's law.
        let ratio = counts["w0"] as f64 / counts["w9"] as f64;
        assert!((7.0..14.0).contains(&ratio), "{ratio}");
    }
}
