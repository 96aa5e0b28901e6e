//! The ways to make the batches of an epoch: in which order pairs come, and how many make a batch. A plan depends on the
//! corpus, the settings, the seed and the number of the epoch and on nothing else, so that a resumed run has the same.

use std::num::NonZeroUsize;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{BatchPlan, EncodedCorpus, Error, Field, Result, encoded::Lengths};

/// Batches whose pairs are sorted by length together in [`BatchOrder::Bucketed`]: enough for batches of like lengths, few
/// enough that which pairs meet in a batch changes from epoch to epoch.
const POOL: usize = 100;

/// The order in which the pairs of a corpus are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchOrder {
    /// That of the corpus, in each epoch.
    #[default]
    Corpus,
    /// Another random one in each epoch.
    Random,
    /// Batches of pairs of like lengths, in another random order and with other pairs in each epoch: pairs are shuffled, put
    /// into pools of a hundred batches, sorted there by their numbers of words, cut into batches, and the batches shuffled.
    Bucketed,
}

/// How many pairs make a batch. The last batch of an order (of each pool of pairs, where [`BatchOrder::Bucketed`] goes by
/// tokens) holds what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// So many pairs.
    Pairs(NonZeroUsize),
    /// As many pairs as fit into so many tokens. What is counted is B × T of the side that has the larger T: the pairs of the
    /// batch times the longest sentence of either side, with its `<bos>` and `<eos>`, so the places for words that the wider
    /// of the two matrices of ids has, padding included. No batch exceeds it.
    Tokens {
        /// So many.
        tokens: NonZeroUsize,
        /// And at most so many pairs, if there is such a limit.
        pairs: Option<NonZeroUsize>,
    },
}

/// How the batches of an epoch are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// The order of the pairs.
    pub order: BatchOrder,
    /// The size of a batch.
    pub size: BatchSize,
    /// Pairs that are shuffled together: the corpus is cut into pieces of so many pairs (the last holds what is left) which
    /// are gone through one after the other, each in random order, so that no pair leaves its piece. `None` is the whole
    /// corpus. Without effect in [`BatchOrder::Corpus`].
    pub buffer_size: Option<NonZeroUsize>,
}

impl Batching {
    /// Batches of so many pairs in the order of the corpus.
    #[must_use]
    pub fn corpus_order(batch_size: NonZeroUsize) -> Self {
        Self { order: BatchOrder::Corpus, size: BatchSize::Pairs(batch_size), buffer_size: None }
    }

    /// Whether all epochs have equally many batches. Otherwise their numbers differ a little: a size in tokens with an order
    /// that changes.
    #[must_use]
    pub fn epochs_are_alike(&self) -> bool {
        matches!((self.order, self.size), (BatchOrder::Corpus, _) | (_, BatchSize::Pairs(_)))
    }

    /// The batches of an epoch (counted from 0): every pair of the corpus once.
    ///
    /// # Errors
    /// A pair that alone has more tokens than a batch may have.
    pub fn plan(&self, corpus: &EncodedCorpus, seed: u64, epoch: u64) -> Result<BatchPlan> {
        // A corpus has at most as many pairs: `ParallelCorpus::open` has seen to it.
        let mut pairs: Vec<u32> = (0..corpus.pairs() as u32).collect();
        let mut random = generator(seed, epoch);
        let buffer = self.buffer_size.map_or(usize::MAX, NonZeroUsize::get);
        match self.order {
            BatchOrder::Corpus => {}
            BatchOrder::Random => pairs.chunks_mut(buffer).for_each(|pairs| shuffle(pairs, &mut random)),
            BatchOrder::Bucketed => return self.bucketed(corpus, &mut pairs, buffer, &mut random),
        }
        match self.size {
            BatchSize::Pairs(size) => {
                let mut plan = BatchPlan::uncut(pairs);
                plan.cut(size);
                Ok(plan)
            }
            BatchSize::Tokens { tokens, pairs: most } => {
                let mut plan = BatchPlan::from_batches::<&[u32]>([]);
                cut_by_tokens(corpus, &pairs, tokens, most, |batch| plan.push(batch))?;
                Ok(plan)
            }
        }
    }

    fn bucketed(
        &self,
        corpus: &EncodedCorpus,
        pairs: &mut [u32],
        buffer: usize,
        random: &mut ChaCha8Rng,
    ) -> Result<BatchPlan> {
        let lengths = corpus.lengths();
        let pool = self.pool(corpus);
        let mut plan = BatchPlan::from_batches::<&[u32]>([]);
        let mut sorted = Vec::new();
        for pairs in pairs.chunks_mut(buffer) {
            shuffle(pairs, random);
            let mut batches: Vec<(u32, u32)> = Vec::new();
            let mut end = 0;
            let mut add = |batch: &[u32]| {
                let start = end;
                end += batch.len() as u32;
                batches.push((start, end));
            };
            for pool in pairs.chunks_mut(pool) {
                sorted.clear();
                sorted.extend(pool.iter().map(|pair| (sort_key(lengths, *pair), *pair)));
                // Stable, so that the order of pairs of the same lengths is the random one, whoever has written the sort.
                sorted.sort_by_key(|(key, _)| *key);
                pool.iter_mut().zip(&sorted).for_each(|(place, (_, pair))| *place = *pair);
                match self.size {
                    BatchSize::Pairs(size) => pool.chunks(size.get()).for_each(&mut add),
                    BatchSize::Tokens { tokens, pairs } => {
                        cut_by_tokens(corpus, pool, tokens, pairs, &mut add)?;
                    }
                }
            }
            shuffle(&mut batches, random);
            batches.iter().for_each(|(start, end)| plan.push(&pairs[*start as usize..*end as usize]));
        }
        Ok(plan)
    }

    /// The pairs of a pool.
    fn pool(&self, corpus: &EncodedCorpus) -> usize {
        let pairs_a_batch = match self.size {
            BatchSize::Pairs(size) => size.get(),
            BatchSize::Tokens { tokens, pairs } => {
                let words = corpus.fields().map(|field| corpus.running_words(field)).max().unwrap_or(0);
                let mean = words / (corpus.pairs().max(1) as u64) + 2;
                let by_tokens = tokens.get() / usize::try_from(mean).unwrap_or(usize::MAX);
                by_tokens.min(pairs.map_or(usize::MAX, NonZeroUsize::get))
            }
        };
        pairs_a_batch.max(1).saturating_mul(POOL)
    }
}

/// By the words of the target, then by those of the source, turn about upwards and downwards, so that both sides change
/// little from each pair to the next.
fn sort_key(lengths: Lengths<'_>, pair: u32) -> u64 {
    // A line has less than 2^31 bytes, so fewer words.
    let source = lengths.of(pair as usize, Field::Source) as u32;
    let target = lengths.of(pair as usize, Field::Target) as u32;
    let second = if target.is_multiple_of(2) { source } else { u32::MAX - source };
    u64::from(target) << 32 | u64::from(second)
}

/// Gives `take` the batches that some pairs make, in order, each as large as the limits of tokens and pairs let it be.
fn cut_by_tokens(
    corpus: &EncodedCorpus,
    pairs: &[u32],
    tokens: NonZeroUsize,
    most: Option<NonZeroUsize>,
    mut take: impl FnMut(&[u32]),
) -> Result<()> {
    let lengths = corpus.lengths();
    let limit = tokens.get();
    let most = most.map_or(usize::MAX, NonZeroUsize::get);
    let (mut start, mut widest) = (0, 0);
    for (at, pair) in pairs.iter().enumerate() {
        let longer = corpus.fields().map(|field| (lengths.of(*pair as usize, field) + 2, field));
        let (width, field) = longer.fold((0, Field::Source), |a, b| if b.0 > a.0 { b } else { a });
        if width > limit {
            return Err(over_limit(corpus, *pair, field, width, limit));
        }
        widest = widest.max(width);
        if at - start == most || (at + 1 - start).saturating_mul(widest) > limit {
            take(&pairs[start..at]);
            (start, widest) = (at, width);
        }
    }
    if start < pairs.len() {
        take(&pairs[start..]);
    }
    Ok(())
}

fn over_limit(corpus: &EncodedCorpus, pair: u32, field: Field, tokens: usize, limit: usize) -> Error {
    match corpus.location(pair as usize, field) {
        Some(place) => Error::PairOverTokens { place, tokens, limit },
        None => Error::TooManyPairs { pairs: corpus.pairs() },
    }
}

/// What draws for an epoch; each epoch of each seed has numbers of its own.
fn generator(seed: u64, epoch: u64) -> ChaCha8Rng {
    let mut key = *b"................batches of epoch";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Fisher and Yates' shuffle. Written out, since the order of a resumed run must not depend on a library's version.
fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        // The upper half of a product: from 0 to `last`, each as likely as the others but for 1 in 2^32.
        let drawn = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        items.swap(last, drawn as usize);
    }
}
