//! Which pairs of a window are computed together: those of like lengths, so that little is padding. A pair's figures do not depend
//! on it.

use kiwi_text::{EncodedCorpus, Field};

use crate::system::Limit;

/// Positions of a padded side of a batch are at most this times the pairs that a batch may have: long sentences come in smaller
/// batches, and memory has a bound.
const POSITIONS_OF_A_PAIR: usize = 64;

/// Positions of `<bos>` and `<eos>`.
const ENDS: usize = 2;

/// How batches are made.
#[derive(Debug, Clone)]
pub(super) struct Batches {
    /// Pairs in a batch at most.
    pub(super) pairs: usize,
    /// Words that a side of a pair may have at most.
    pub(super) max_length: Option<usize>,
    /// What the components can take.
    pub(super) limits: Vec<Limit>,
}

/// The batches of a window, and the pairs that are in none because they are too long.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) batches: Vec<Vec<u32>>,
    pub(super) too_long: usize,
}

impl Batches {
    /// Divides the pairs of a window.
    pub(super) fn plan(&self, corpus: &EncodedCorpus) -> Planned {
        let (mut order, mut too_long) = (Vec::with_capacity(corpus.pairs()), 0);
        for pair in 0..corpus.pairs() {
            if self.takes(corpus, pair) {
                let words = |field| corpus.sentence(pair, field).len();
                // Windows have some thousand pairs.
                order.push((words(Field::Target), words(Field::Source), pair as u32));
            } else {
                too_long += 1;
            }
        }
        // From the longest on, so that no large batch is left to the end, when some threads have nothing to do.
        order.sort_unstable_by(|a, b| b.cmp(a));
        let most = self.pairs.saturating_mul(POSITIONS_OF_A_PAIR);
        let (mut batches, mut batch, mut widest) = (Vec::new(), Vec::new(), 0);
        for (target, source, pair) in order {
            let wider = widest.max(target + ENDS).max(source + ENDS);
            let full = batch.len() >= self.pairs || (batch.len() + 1) * wider > most;
            if full && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                widest = 0;
            }
            widest = widest.max(target + ENDS).max(source + ENDS);
            batch.push(pair);
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        Planned { batches, too_long }
    }

    /// Whether a pair is within all limits.
    fn takes(&self, corpus: &EncodedCorpus, pair: usize) -> bool {
        let words = |field| corpus.sentence(pair, field).len();
        let within = |field| self.max_length.is_none_or(|most| words(field) <= most);
        corpus.fields().all(within)
            && self.limits.iter().all(|limit| {
                !corpus.has(limit.field)
                    || i64::try_from(words(limit.field) + ENDS)
                        .is_ok_and(|positions| positions <= limit.positions)
            })
    }
}
