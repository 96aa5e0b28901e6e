//! Batches of generated sentences, of the shapes that a host gives.

use std::collections::BTreeMap;

use tch::Device;

use crate::{Batch, EncoderNeeds, Field, LongestSentence, Result, SpecialIds};

/// Fields of a batch.
pub(super) const FIELDS: [&str; 3] = ["source", "target", "pe"];

/// Ids that stand for special tokens come first.
const FIRST_WORD: i64 = 4;

/// Sizes of the vocabularies: small, so that gold words repeat, and none like another.
pub(super) fn vocabulary_sizes() -> BTreeMap<String, i64> {
    BTreeMap::from([("source".to_owned(), 23), ("target".to_owned(), 29), ("pe".to_owned(), 29)])
}

/// The numbers of words of each sentence of a batch, by field; `pe` may have none.
pub(super) struct Shape {
    /// For messages.
    pub(super) name: &'static str,
    words: [&'static [usize]; 3],
}

/// The widths of the fields of a batch differ wherever there is more than one sentence, so that a feature's width tells its field.
pub(super) const SHAPES: [Shape; 5] = [
    Shape { name: "one sentence of one word", words: [&[1], &[1], &[1]] },
    Shape { name: "three sentences of unequal lengths", words: [&[3, 5, 1], &[4, 2, 6], &[7, 1, 4]] },
    Shape { name: "two sentences of equal lengths, without post-edits", words: [&[4, 4], &[3, 3], &[]] },
    Shape { name: "sentences without words", words: [&[0, 2], &[3, 0], &[1, 4]] },
    Shape { name: "one long sentence", words: [&[17], &[24], &[21]] },
];

/// Of [`SHAPES`], the one of unequal lengths.
pub(super) const UNEQUAL: &Shape = &SHAPES[1];

/// Word ids of each sentence, by field.
#[derive(Clone)]
pub(super) struct Sentences(BTreeMap<&'static str, Vec<Vec<i64>>>);

impl Shape {
    /// Sentences of this shape, none longer than `needs` allows; another `salt` gives other words.
    pub(super) fn sentences(&self, needs: &EncoderNeeds, salt: i64) -> Sentences {
        let sizes = vocabulary_sizes();
        let mut number = salt;
        let mut word = |field: &str| {
            // A linear congruential generator is random enough for words.
            number = (number * 1_103_515_245 + 12_345) & 0x7FFF_FFFF;
            FIRST_WORD + (number >> 8) % (sizes.get(field).copied().unwrap_or(8) - FIRST_WORD)
        };
        let sentences = FIELDS
            .into_iter()
            .zip(self.words)
            .filter(|(_, counts)| !counts.is_empty())
            .map(|(field, counts)| {
                let most = longest(needs, field);
                let of_counts =
                    counts.iter().map(|count| (0..(*count).min(most)).map(|_| word(field)).collect());
                (field, of_counts.collect())
            })
            .collect();
        Sentences(sentences)
    }
}

impl Sentences {
    /// How many there are of each field.
    pub(super) fn rows(&self) -> usize {
        self.0.values().map(Vec::len).next().unwrap_or(0)
    }

    /// The sentences of one row alone.
    pub(super) fn row(&self, row: usize) -> Self {
        let of_row = |sentences: &Vec<Vec<i64>>| sentences.get(row).cloned().into_iter().collect();
        Self(self.0.iter().map(|(field, sentences)| (*field, of_row(sentences))).collect())
    }

    /// The same sentences, but for those after the first row, which are those of `others`.
    pub(super) fn with_first_of(&self, others: &Self) -> Self {
        let mut mixed = others.0.clone();
        for (field, sentences) in &mut mixed {
            if let (Some(mine), Some(first)) =
                (self.0.get(field).and_then(|mine| mine.first()), sentences.first_mut())
            {
                first.clone_from(mine);
            }
        }
        Self(mixed)
    }

    /// The batch that a host makes of them.
    pub(super) fn batch(&self, device: Device) -> Result<Batch> {
        let fields = self.0.iter().map(|(field, sentences)| {
            Field::from_sentences(field, sentences, SpecialIds::default())?.to_device(device)
        });
        let mut fields: Vec<Field> = fields.collect::<Result<_>>()?;
        // As the host orders them.
        fields.sort_by_key(|field| FIELDS.iter().position(|known| *known == field.name));
        Ok(Batch { fields })
    }
}

/// The most words that a sentence of `field` may have.
fn longest(needs: &EncoderNeeds, field: &str) -> usize {
    let limits = needs.longest.iter().filter(|limit: &&LongestSentence| limit.field == field);
    limits.map(|limit| usize::try_from(limit.positions - 2).unwrap_or(0)).min().unwrap_or(usize::MAX)
}
