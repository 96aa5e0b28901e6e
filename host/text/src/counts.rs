//! Counting the words of a text on all cores. Which of them become entries of a vocabulary is `vocabulary`'s.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::{Field, ParallelCorpus, Result, SPECIALS, numbers::Numbers, threads};

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
                    crate::words(reader.line(corpus.line(pair))?).for_each(|word| counter.add(word));
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
    /// The spellings of all types, one after the other.
    text: Vec<u8>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Copy)]
struct Counted {
    hash: u64,
    count: u64,
    start: usize,
    length: usize,
}

impl Counted {
    fn spelling<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start..self.start + self.length]
    }
}

impl Counter {
    fn new(hasher: DefaultHashBuilder) -> Self {
        Self { types: HashTable::new(), text: Vec::new(), hasher }
    }

    fn add(&mut self, word: &str) {
        self.add_hashed(self.hasher.hash_one(word), word.as_bytes(), 1);
    }

    #[inline]
    fn add_hashed(&mut self, hash: u64, word: &[u8], count: u64) {
        let Self { types, text, .. } = self;
        let same = |counted: &Counted| counted.hash == hash && counted.spelling(text) == word;
        match types.entry(hash, same, |counted| counted.hash) {
            Entry::Occupied(mut counted) => counted.get_mut().count += count,
            Entry::Vacant(place) => {
                place.insert(Counted { hash, count, start: text.len(), length: word.len() });
                text.extend_from_slice(word);
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
            for counted in part.types.iter().filter(|counted| of_share(counted.hash)) {
                sum.add_hashed(counted.hash, counted.spelling(&part.text), counted.count);
            }
        }
        let Counter { types, text, .. } = sum;
        let mut totals = Totals::default();
        let mut listed = Vec::new();
        for counted in types {
            let spelling = counted.spelling(&text);
            totals.running_words += counted.count;
            if let Some(special) = SPECIALS.iter().position(|special| special.as_bytes() == spelling) {
                totals.specials[special] += counted.count;
                continue;
            }
            totals.types += 1;
            if counted.count >= min_count {
                listed.push(Listed::new(&counted, spelling));
            }
        }
        listed.sort_unstable_by(|a, b| a.compare(&text, b, &text));
        Self { totals, types: listed, text }
    }
}

impl Listed {
    fn new(counted: &Counted, spelling: &[u8]) -> Self {
        let mut prefix = [0; 8];
        let length = spelling.len().min(prefix.len());
        prefix[..length].copy_from_slice(&spelling[..length]);
        Self {
            count: counted.count,
            prefix: u64::from_be_bytes(prefix),
            start: counted.start,
            length: counted.length,
        }
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
