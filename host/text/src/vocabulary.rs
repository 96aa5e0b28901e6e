//! Vocabularies: words and their ids, fitted on a corpus or loaded from a list. Ids of whole corpora are `encoded`'s.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::{Error, Field, ParallelCorpus, Result, threads};

/// The special tokens, in the order of their ids.
pub const SPECIALS: [&str; 5] = ["<unk>", "<pad>", "<bos>", "<eos>", "<unaligned>"];
/// The id of `<unk>`, which stands for every word that is not in the vocabulary.
pub const UNK: u32 = 0;
/// The id of `<pad>`, which fills the shorter sentences of a batch.
pub const PAD: u32 = 1;
/// The id of `<bos>`, which begins a sentence.
pub const BOS: u32 = 2;
/// The id of `<eos>`, which ends a sentence.
pub const EOS: u32 = 3;
/// The id of `<unaligned>`, which quality estimation uses.
pub const UNALIGNED: u32 = 4;

/// Which types of a corpus become entries of its vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Types that occur less often are left out.
    pub min_frequency: u64,
    /// At most this many types, the most frequent; the special tokens are not counted.
    pub max_size: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { min_frequency: 1, max_size: None }
    }
}

/// What a vocabulary covers of the text it was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitStatistics {
    /// Distinct words of the text, those spelled like special tokens left out.
    pub types: usize,
    /// Those that got an id.
    pub kept_types: usize,
    /// Words of the text.
    pub running_words: u64,
    /// Words of the text that become `<unk>`.
    pub unknown_words: u64,
}

/// A fitted vocabulary and what it covers.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The vocabulary.
    pub vocabulary: Vocabulary,
    /// What it covers of the text.
    pub statistics: FitStatistics,
}

/// Words and their ids: the special tokens first, then the types.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    words: Vec<String>,
    /// The ids, found by the hash of their words.
    ids: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Vocabulary {}

impl Vocabulary {
    /// Fits a vocabulary on one field of a corpus or, to be shared, on several: types by descending frequency, ties by code
    /// point. A type spelled like a special token is not added.
    ///
    /// # Errors
    /// More types than ids, or a file that was changed meanwhile. A field that the corpus lacks adds nothing.
    pub fn fit(corpus: &ParallelCorpus, fields: &[Field], limits: Limits) -> Result<Fitted> {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for side in fields.iter().filter_map(|field| corpus.side(*field)) {
            let parts =
                threads::fold(corpus.pairs(), HashMap::new, |counts: &mut HashMap<&str, u64>, range| {
                    for pair in range {
                        for word in side.words(corpus.line(pair))? {
                            *counts.entry(word).or_insert(0) += 1;
                        }
                    }
                    Ok(())
                })?;
            for part in parts {
                if counts.is_empty() {
                    counts = part;
                } else {
                    part.into_iter().for_each(|(word, count)| *counts.entry(word).or_insert(0) += count);
                }
            }
        }
        let running_words = counts.values().sum();
        let mut unknown_words = 0;
        for (id, special) in (0..).zip(SPECIALS) {
            let count = counts.remove(special).unwrap_or(0);
            if id == UNK {
                unknown_words += count;
            }
        }
        let types = counts.len();
        let mut kept: Vec<(&str, u64)> = counts
            .iter()
            .map(|(word, count)| (*word, *count))
            .filter(|(_, count)| *count >= limits.min_frequency)
            .collect();
        kept.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        kept.truncate(limits.max_size.unwrap_or(usize::MAX));
        let statistics = FitStatistics {
            types,
            kept_types: kept.len(),
            running_words,
            unknown_words: unknown_words + counts.values().sum::<u64>()
                - kept.iter().map(|(_, count)| count).sum::<u64>(),
        };
        let words =
            SPECIALS.into_iter().chain(kept.into_iter().map(|(word, _)| word)).map(str::to_owned).collect();
        Ok(Fitted { vocabulary: Self::from_words(words)?, statistics })
    }

    /// A vocabulary from its words in the order of their ids, as [`Vocabulary::words`] gives them.
    ///
    /// # Errors
    /// The list does not begin with the special tokens, or a word stands there twice.
    pub fn from_words(words: Vec<String>) -> Result<Self> {
        for (position, expected) in SPECIALS.into_iter().enumerate() {
            let found = words.get(position);
            if found.is_none_or(|found| found != expected) {
                return Err(Error::Specials { position, expected, found: found.cloned() });
            }
        }
        if i32::try_from(words.len()).is_err() {
            return Err(Error::TooManyWords { words: words.len() });
        }
        let hasher = DefaultHashBuilder::default();
        let hash = |id: &u32| hasher.hash_one(words[*id as usize].as_str());
        let mut ids: HashTable<u32> = HashTable::with_capacity(words.len());
        for (id, word) in (0..).zip(&words) {
            let entry = ids.entry(hash(&id), |other| words[*other as usize] == *word, hash);
            match entry {
                hashbrown::hash_table::Entry::Vacant(entry) => entry.insert(id),
                hashbrown::hash_table::Entry::Occupied(entry) => {
                    let first = *entry.get() as usize;
                    return Err(Error::DuplicateWord { word: word.clone(), first, second: id as usize });
                }
            };
        }
        Ok(Self { words, ids, hasher })
    }

    /// The id of a word; `None` when it is not in the vocabulary and thus becomes [`UNK`].
    #[must_use]
    pub fn get(&self, word: &str) -> Option<u32> {
        self.ids.find(self.hasher.hash_one(word), |id| self.words[*id as usize] == word).copied()
    }

    /// The id of a word, [`UNK`] when it is not in the vocabulary.
    #[must_use]
    pub fn id(&self, word: &str) -> u32 {
        self.get(word).unwrap_or(UNK)
    }

    /// The word of an id.
    #[must_use]
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.get(id as usize).map(String::as_str)
    }

    /// All words, the special tokens first, in the order of their ids.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// How many words there are, the special tokens included: the number of classes of a model.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the special tokens are always there")]
    pub fn len(&self) -> usize {
        self.words.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        SPECIALS.iter().chain(words).map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn ids_and_words_are_each_others_inverse() {
        let vocabulary = Vocabulary::from_words(words(&["Kiwi", "ä", "中"])).unwrap();
        for (id, word) in vocabulary.words().iter().enumerate() {
            assert_eq!(vocabulary.id(word), id as u32);
            assert_eq!(vocabulary.word(id as u32), Some(word.as_str()));
        }
        assert_eq!(vocabulary.get("kiwi"), None);
        assert_eq!(vocabulary.id("kiwi"), UNK);
        assert_eq!(vocabulary.word(8), None);
        assert_eq!(vocabulary.len(), 8);
    }

    #[test]
    fn lists_that_are_no_vocabulary_are_refused() {
        let message = |words: Vec<String>| Vocabulary::from_words(words).unwrap_err().to_string();
        assert_eq!(
            message(words(&["a", "b", "a"])),
            "this is not a vocabulary: `a` is entry 5 and again entry 7; each word must stand there once"
        );
        assert!(message(words(&["<pad>"])).contains("`<pad>` is entry 1 and again entry 5"));
        assert!(message(words(&[])[..3].to_vec()).contains("entry 3 is missing, not `<eos>`"));
        let mut swapped = words(&[]);
        swapped.swap(0, 1);
        assert!(message(swapped).contains("entry 0 is `<pad>`, not `<unk>`"));
    }
}
