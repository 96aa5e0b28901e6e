//! Batches for tests: of given sentences, or drawn under a seed.

use std::collections::BTreeMap;

use crate::{Batch, Error, Field, Result, SpecialIds};

/// A batch of these fields, each with its sentences as word ids without `<bos>` and `<eos>`, which have their usual ids.
///
/// # Errors
/// When there is no field or no sentence, or fields differ in the number of their sentences.
pub fn batch(fields: &[(&str, &[Vec<i64>])]) -> Result<Batch> {
    of_sentences(fields, SpecialIds::default())
}

pub(super) fn of_sentences(fields: &[(&str, &[Vec<i64>])], special: SpecialIds) -> Result<Batch> {
    let Some((first, sentences)) = fields.first() else {
        return Err(Error::new("a batch needs at least one field, as `source`"));
    };
    for (name, others) in fields {
        if others.len() != sentences.len() {
            return Err(Error::new(format!(
                "field `{name}` has {} sentences and `{first}` has {}: row b of one belongs to row b of the others",
                others.len(),
                sentences.len()
            )));
        }
    }
    let fields = fields
        .iter()
        .map(|(name, sentences)| Field::from_sentences(name, sentences, special))
        .collect::<Result<_>>()?;
    Ok(Batch::new(fields))
}

/// Batches of sentences of random length and words, without end; the same seed draws the same on every machine, and nothing of
/// libtorch's generator is used. One word in sixteen is `<unk>`, and sentences of one word occur.
#[derive(Debug, Clone)]
pub struct RandomBatches {
    vocabulary_sizes: BTreeMap<String, i64>,
    special: SpecialIds,
    sentences: usize,
    longest: usize,
    state: u64,
}

impl RandomBatches {
    pub(super) fn new(vocabulary_sizes: BTreeMap<String, i64>, special: SpecialIds, seed: u64) -> Self {
        Self { vocabulary_sizes, special, sentences: 4, longest: 7, state: seed }
    }

    /// So many sentences a batch; 4 unless said.
    #[must_use]
    pub fn sentences(mut self, sentences: usize) -> Self {
        self.sentences = sentences;
        self
    }

    /// Sentences of at most so many words; 7 unless said.
    #[must_use]
    pub fn longest(mut self, words: usize) -> Self {
        self.longest = words;
        self
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    /// One of `0..below`.
    fn below(&mut self, below: usize) -> usize {
        // The bias is 2^-32 at most, and of no concern to a test.
        (self.draw() % below.max(1) as u64) as usize
    }

    fn sentence(&mut self, words: &[i64]) -> Vec<i64> {
        let length = 1 + self.below(self.longest);
        (0..length)
            .map(|_| if self.below(16) == 0 { self.special.unk } else { words[self.below(words.len())] })
            .collect()
    }

    fn draw_batch(&mut self) -> Result<Batch> {
        let SpecialIds { unk, pad, bos, eos } = self.special;
        let mut fields = Vec::new();
        for (name, size) in self.vocabulary_sizes.clone() {
            let words: Vec<i64> = (0..size).filter(|id| ![unk, pad, bos, eos].contains(id)).collect();
            if words.is_empty() {
                return Err(Error::new(format!(
                    "the vocabulary of `{name}` has {size} entries, all of them special: expected more"
                )));
            }
            let sentences: Vec<_> = (0..self.sentences).map(|_| self.sentence(&words)).collect();
            fields.push((name, sentences));
        }
        let fields: Vec<_> =
            fields.iter().map(|(name, sentences)| (name.as_str(), sentences.as_slice())).collect();
        of_sentences(&fields, self.special)
    }
}

impl Iterator for RandomBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.draw_batch())
    }
}
