//! Vocabularies: words and their ids, fitted on a corpus or loaded from a list. Ids of whole corpora are `encoded`'s.

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{
    ContentHash, Error, Field, ParallelCorpus, Result,
    counts::WordCounts,
    hash::KeyHasher,
    spelling::{Hashed, Key, in_groups},
};

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
    /// The ids, found by their words.
    ids: HashTable<(Key, u32)>,
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
        Self::from_counts(&WordCounts::count(corpus, fields, limits.min_frequency)?, limits)
    }

    /// The vocabulary within limits of a text whose words are counted.
    pub(crate) fn from_counts(counts: &WordCounts, limits: Limits) -> Result<Fitted> {
        let WordCounts { totals, .. } = counts;
        let (frequencies, ends, text) = (&*counts.counts, &*counts.ends, &*counts.text);
        let frequent = frequencies.partition_point(|count| *count >= limits.min_frequency);
        let kept = frequent.min(limits.max_size.unwrap_or(usize::MAX));
        let mut words: Vec<String> = Vec::with_capacity(SPECIALS.len() + kept);
        words.extend(SPECIALS.map(str::to_owned));
        let mut start = 0;
        for end in &ends[..kept] {
            // What was counted is UTF-8, and where it comes from a file, the file was checked.
            words.push(String::from_utf8_lossy(&text[start..*end as usize]).into_owned());
            start = *end as usize;
        }
        let known = frequencies[..kept].iter().sum::<u64>() + totals.specials.iter().sum::<u64>();
        let statistics = FitStatistics {
            types: totals.types as usize,
            kept_types: kept,
            running_words: totals.running_words,
            unknown_words: totals.running_words - known + totals.specials[UNK as usize],
        };
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
        let mut ids: HashTable<(Key, u32)> = HashTable::with_capacity(words.len());
        for (id, word) in (0..).zip(&words) {
            let key = Key::new(word.as_bytes());
            let hash = key.hash(&hasher, || word.as_bytes());
            let same =
                |(other, id): &(Key, u32)| *other == key && (key.is_whole() || words[*id as usize] == *word);
            let rehash = |(key, id): &(Key, u32)| key.hash(&hasher, || words[*id as usize].as_bytes());
            match ids.entry(hash, same, rehash) {
                hashbrown::hash_table::Entry::Vacant(entry) => entry.insert((key, id)),
                hashbrown::hash_table::Entry::Occupied(entry) => {
                    let first = entry.get().1 as usize;
                    return Err(Error::DuplicateWord { word: word.clone(), first, second: id as usize });
                }
            };
        }
        Ok(Self { words, ids, hasher })
    }

    /// The hash of the words in their order.
    pub(crate) fn content_hash(&self) -> ContentHash {
        let mut hasher = KeyHasher::new("vocabulary");
        self.words.iter().for_each(|word| hasher.bytes(word.as_bytes()));
        hasher.finish()
    }

    /// The id of a word; `None` when it is not in the vocabulary and thus becomes [`UNK`].
    #[must_use]
    pub fn get(&self, word: &str) -> Option<u32> {
        let (word, key) = (word.as_bytes(), Key::new(word.as_bytes()));
        self.find(Hashed { key, hash: key.hash(&self.hasher, || word), word })
    }

    /// What [`Vocabulary::get`] says of each word, in order.
    pub(crate) fn get_all<'a>(
        &self,
        words: impl Iterator<Item = &'a str>,
        mut found: impl FnMut(Option<u32>),
    ) {
        in_groups(words, &self.hasher, |group| {
            let entries = group.iter().filter_map(|word| self.ids.find(word.hash, |_| true));
            std::hint::black_box(entries.fold(0, |sum, (_, id)| sum ^ id));
            group.iter().for_each(|word| found(self.find(*word)));
        });
    }

    #[inline]
    fn find(&self, Hashed { key, hash, word }: Hashed<'_>) -> Option<u32> {
        let same = |(other, id): &(Key, u32)| {
            *other == key && (key.is_whole() || self.words[*id as usize].as_bytes() == word)
        };
        self.ids.find(hash, same).map(|(_, id)| *id)
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
