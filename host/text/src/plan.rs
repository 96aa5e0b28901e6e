//! Which pairs make which batch, in which order, decided before an epoch begins. A plan is only a list of lists of pairs:
//! nothing that follows depends on how it came about, which is `batching`'s.

use std::num::NonZeroUsize;

/// The batches of an epoch, each a list of pairs: 4 bytes a pair and 4 a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlan {
    /// All batches one after the other.
    pairs: Vec<u32>,
    /// Where each batch ends.
    ends: Vec<u32>,
}

impl BatchPlan {
    /// Batches of `batch_size` pairs in the order of the corpus; the last one holds what is left. A corpus has at most
    /// `u32::MAX` pairs.
    #[must_use]
    pub fn corpus_order(pairs: usize, batch_size: NonZeroUsize) -> Self {
        let pairs = u32::try_from(pairs).unwrap_or(u32::MAX);
        let mut plan = Self { pairs: (0..pairs).collect(), ends: Vec::new() };
        plan.cut(batch_size);
        plan
    }

    /// Batches made elsewhere. Empty ones are kept.
    #[must_use]
    pub fn from_batches<B: AsRef<[u32]>>(batches: impl IntoIterator<Item = B>) -> Self {
        let mut plan = Self { pairs: Vec::new(), ends: Vec::new() };
        for batch in batches {
            plan.push(batch.as_ref());
        }
        plan
    }

    /// Pairs that are still to be cut into batches.
    pub(crate) fn uncut(pairs: Vec<u32>) -> Self {
        Self { pairs, ends: Vec::new() }
    }

    /// Cuts what is not yet cut into batches of a number of pairs.
    pub(crate) fn cut(&mut self, batch_size: NonZeroUsize) {
        let mut end = self.ends.last().map_or(0, |end| *end as usize);
        while end < self.pairs.len() {
            end = end.saturating_add(batch_size.get()).min(self.pairs.len());
            self.ends.push(end as u32);
        }
    }

    pub(crate) fn push(&mut self, batch: &[u32]) {
        self.pairs.extend_from_slice(batch);
        // Pairs are numbered in 32 bits, and each is in one batch.
        self.ends.push(self.pairs.len() as u32);
    }

    /// What one of `ranks` that divide each batch among them has of each: one of every `ranks` pairs, another one each time, so that
    /// texts whose lines are long and short in turn are divided evenly. The pair at a place of a batch is the same rank's in every
    /// batch, the first that of rank 0. There are as many batches; some may be empty.
    #[must_use]
    pub fn share(&self, rank: usize, ranks: usize) -> Self {
        let ranks = ranks.max(1);
        let mut share = Self { pairs: Vec::new(), ends: Vec::with_capacity(self.ends.len()) };
        for batch in self.batches() {
            let dealt = batch.chunks(ranks).enumerate();
            share
                .pairs
                .extend(dealt.filter_map(|(round, pairs)| pairs.get((rank + ranks - round % ranks) % ranks)));
            share.ends.push(share.pairs.len() as u32);
        }
        share
    }

    /// How many batches there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The pairs of a batch; `None` past the last.
    #[must_use]
    pub fn batch(&self, batch: usize) -> Option<&[u32]> {
        let end = *self.ends.get(batch)?;
        let start = if batch == 0 { 0 } else { self.ends[batch - 1] };
        Some(&self.pairs[start as usize..end as usize])
    }

    /// The batches in order.
    pub fn batches(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).filter_map(|batch| self.batch(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus_order(pairs: usize, size: usize) -> Vec<Vec<u32>> {
        BatchPlan::corpus_order(pairs, NonZeroUsize::new(size).unwrap())
            .batches()
            .map(<[_]>::to_vec)
            .collect()
    }

    #[test]
    fn corpus_order_keeps_the_last_batch() {
        assert_eq!(corpus_order(5, 2), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(corpus_order(4, 2), [[0, 1], [2, 3]]);
        assert_eq!(corpus_order(1, usize::MAX), [[0]]);
        assert!(corpus_order(0, 3).is_empty());
    }

    #[test]
    fn shares_are_all_pairs_once() {
        let batches = [vec![3, 1, 4, 0], vec![5], vec![], vec![9, 2, 6]];
        let plan = BatchPlan::from_batches(&batches);
        let share = |rank, ranks| plan.share(rank, ranks).batches().map(<[_]>::to_vec).collect::<Vec<_>>();
        assert_eq!(share(0, 1), batches);
        assert_eq!(share(0, 3), [vec![3], vec![5], vec![], vec![9]]);
        assert_eq!(share(1, 3), [vec![1, 0], vec![], vec![], vec![2]]);
        assert_eq!(share(2, 3), [vec![4], vec![], vec![], vec![6]]);
        let in_turn = BatchPlan::from_batches([[0, 1, 0, 1, 0, 1, 0, 1]]);
        assert_eq!(in_turn.share(0, 2).batch(0), in_turn.share(1, 2).batch(0).map(|_| &[0, 1, 0, 1][..]));
        assert_eq!(in_turn.share(1, 2).batch(0), Some(&[1, 0, 1, 0][..]));
        assert_eq!(share(7, 8), vec![Vec::<u32>::new(); 4]);
    }

    #[test]
    fn batches_made_elsewhere_are_given_back() {
        let batches = [vec![3, 1], vec![], vec![0]];
        let plan = BatchPlan::from_batches(&batches);
        assert_eq!(plan.len(), 3);
        assert!(plan.batches().eq(batches.iter().map(Vec::as_slice)));
        assert_eq!(plan.batch(3), None);
    }
}
