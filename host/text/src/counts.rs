//! Counting the words of a text on all cores. Which of them become entries of a vocabulary is `vocabulary`'s.

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::{
    Field, ParallelCorpus, Result, SPECIALS,
    numbers::Numbers,
    spelling::{Hashed, Key, in_groups},
    threads,
};

/// The types of a text with their counts, by descending count, ties by code point; those spelled like special tokens left
/// out.
#[derive(Debug)]
pub(crate) struct WordCounts {
    /// Of each type.
    pub(crate) counts: Numbers<u64>,
    /// Where the spelling of each type ends in `text`.
    pub(crate) ends: Numbers<u64>,
    /// The spellings, UTF-8, one after the other.
    pub(crate) text: Numbers<u8>,
    pub(crate) totals: Totals,
}

/// What the list of types does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Distinct words, whether listed or not.
    pub(crate) types: u64,
    /// Words of the text.
    pub(crate) running_words: u64,
    /// Of these the ones spelled like each special token.
    pub(crate) specials: [u64; SPECIALS.len()],
}

impl WordCounts {
    /// Counts the words of some fields; of the types those are listed that occur at least `min_count` times.
    ///
    /// # Errors
    /// A file was changed meanwhile.
    pub(crate) fn count(corpus: &ParallelCorpus, fields: &[Field], min_count: u64) -> Result<Self> {
        let hasher = DefaultHashBuilder::default();
        let mut parts = Vec::new();
        for side in fields.iter().filter_map(|field| corpus.side(*field)) {
            let start = || (Counter::new(hasher.clone()), side.reader());
            let counters = threads::fold(corpus.pairs(), start, |(counter, reader), range| {
                for pair in range {
                    counter.add(crate::words(reader.line(corpus.line(pair))?));
                }
                Ok::<_, crate::Error>(())
            })?;
            side.check_unchanged()?;
            parts.extend(counters.into_iter().map(|(counter, _)| counter));
        }
        let shares = threads::cores();
        let shares = threads::each(shares, |share| {
            let of_share = |hash: u64| (hash >> 32) as usize % shares == share;
            Share::sum(&parts, hasher.clone(), of_share, min_count)
        });
        drop(parts);
        Ok(Self::from_shares(&shares))
    }

    fn from_shares(shares: &[Share]) -> Self {
        let mut totals = Totals::default();
        let mut types: Vec<(Listed, &Share)> = Vec::with_capacity(shares.iter().map(|s| s.types.len()).sum());
        for share in shares {
            totals.types += share.totals.types;
            totals.running_words += share.totals.running_words;
            for (sum, count) in totals.specials.iter_mut().zip(share.totals.specials) {
                *sum += count;
            }
            types.extend(share.types.iter().map(|listed| (*listed, share)));
        }
        // Not the unstable sort: this one makes use of the shares being sorted.
        types.sort_by(|(a, a_share), (b, b_share)| a.compare(&a_share.text, b, &b_share.text));
        let mut ends = Vec::with_capacity(types.len());
        let mut text = Vec::with_capacity(shares.iter().map(|share| share.text.len()).sum());
        for (listed, share) in &types {
            text.extend_from_slice(listed.spelling(&share.text));
            ends.push(text.len() as u64);
        }
        let counts = types.iter().map(|(listed, _)| listed.count).collect();
        Self { counts: Numbers::Held(counts), ends: Numbers::Held(ends), text: Numbers::Held(text), totals }
    }
}

/// Words and how often each was met, in one thread.
struct Counter {
    types: HashTable<Counted>,
    long: LongWords,
    hasher: DefaultHashBuilder,
}

/// The spellings of the types that their keys do not determine.
#[derive(Default)]
struct LongWords {
    /// One after the other.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl LongWords {
    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start..self.ends[number]]
    }

    /// Returns the word's number. That there are less than 2^32 is a matter of memory.
    fn push(&mut self, word: &[u8]) -> u32 {
        self.text.extend_from_slice(word);
        self.ends.push(self.text.len());
        self.ends.len() as u32 - 1
    }
}

/// A type: 32 bytes, so that none lies in two lines of the processor's cache. The key is spread out for that.
#[derive(Clone, Copy)]
struct Counted {
    first: u64,
    last: u64,
    length: u32,
    /// The number in [`LongWords`], where the key is not the whole word.
    long: u32,
    count: u64,
}

impl Counted {
    #[inline]
    fn key(&self) -> Key {
        Key { first: self.first, last: self.last, length: self.length }
    }

    /// The hash of the spelling.
    fn hash(&self, hasher: &DefaultHashBuilder, long: &LongWords) -> u64 {
        self.key().hash(hasher, || long.get(self.long))
    }

    /// Appends the spelling.
    fn spell(&self, long: &LongWords, text: &mut Vec<u8>) {
        if self.key().is_whole() {
            let (bytes, length) = self.key().spell();
            text.extend_from_slice(&bytes[..length]);
        } else {
            text.extend_from_slice(long.get(self.long));
        }
    }
}

impl Counter {
    fn new(hasher: DefaultHashBuilder) -> Self {
        Self { types: HashTable::new(), long: LongWords::default(), hasher }
    }

    /// Adds the words of a line.
    fn add<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let hasher = self.hasher.clone();
        in_groups(words, &hasher, |group| {
            let entries = group.iter().filter_map(|word| self.types.find(word.hash, |_| true));
            std::hint::black_box(entries.fold(0, |sum, counted| sum ^ counted.count));
            group.iter().for_each(|word| self.add_hashed(*word, 1));
        });
    }

    /// Adds to the count of a word; its spelling is looked at only where its key does not determine it.
    #[inline]
    fn add_hashed(&mut self, Hashed { key, hash, word }: Hashed<'_>, count: u64) {
        let Self { types, long, hasher } = self;
        let same =
            |counted: &Counted| counted.key() == key && (key.is_whole() || long.get(counted.long) == word);
        match types.entry(hash, same, |counted| counted.hash(hasher, long)) {
            Entry::Occupied(mut counted) => counted.get_mut().count += count,
            Entry::Vacant(place) => {
                let Key { first, last, length } = key;
                let long = if key.is_whole() { 0 } else { long.push(word) };
                place.insert(Counted { first, last, length, long, count });
            }
        }
    }
}

/// The sums of all threads for the words whose hashes are of one share: threads put them together without waiting for each
/// other.
struct Share {
    totals: Totals,
    /// In the order of [`WordCounts`].
    types: Vec<Listed>,
    text: Vec<u8>,
}

/// A type as it is sorted.
#[derive(Clone, Copy)]
struct Listed {
    count: u64,
    /// The first bytes of the spelling, which decide most comparisons.
    prefix: u64,
    start: usize,
    length: usize,
}

impl Share {
    fn sum(
        parts: &[Counter],
        hasher: DefaultHashBuilder,
        of_share: impl Fn(u64) -> bool,
        min_count: u64,
    ) -> Self {
        let mut sum = Counter::new(hasher);
        for part in parts {
            for counted in &part.types {
                let hash = counted.hash(&part.hasher, &part.long);
                if of_share(hash) {
                    let key = counted.key();
                    let word = if key.is_whole() { &[] } else { part.long.get(counted.long) };
                    sum.add_hashed(Hashed { key, hash, word }, counted.count);
                }
            }
        }
        let mut totals = Totals::default();
        let (mut listed, mut text) = (Vec::new(), Vec::new());
        for counted in &sum.types {
            let start = text.len();
            counted.spell(&sum.long, &mut text);
            let spelling = &text[start..];
            totals.running_words += counted.count;
            let special = SPECIALS.iter().position(|special| special.as_bytes() == spelling);
            if let Some(special) = special {
                totals.specials[special] += counted.count;
            } else {
                totals.types += 1;
            }
            if special.is_none() && counted.count >= min_count {
                listed.push(Listed::new(counted.count, start, spelling));
            } else {
                text.truncate(start);
            }
        }
        listed.sort_unstable_by(|a, b| a.compare(&text, b, &text));
        Self { totals, types: listed, text }
    }
}

impl Listed {
    fn new(count: u64, start: usize, spelling: &[u8]) -> Self {
        let mut prefix = [0; 8];
        let length = spelling.len().min(prefix.len());
        prefix[..length].copy_from_slice(&spelling[..length]);
        Self { count, prefix: u64::from_be_bytes(prefix), start, length: spelling.len() }
    }

    fn spelling<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start..self.start + self.length]
    }

    /// By descending count, then by spelling: the order of bytes is that of code points in UTF-8.
    fn compare(&self, text: &[u8], other: &Self, other_text: &[u8]) -> std::cmp::Ordering {
        let by_count = other.count.cmp(&self.count).then(self.prefix.cmp(&other.prefix));
        by_count.then_with(|| self.spelling(text).cmp(other.spelling(other_text)))
    }
}
