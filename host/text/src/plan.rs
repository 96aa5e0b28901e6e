//! Which pairs make which batch, in which order, decided before an epoch begins. A plan is only a list of lists of pairs:
//! every order and every way to size batches is another constructor, and nothing that follows depends on it.

use std::num::NonZeroUsize;

/// The batches of an epoch, each a list of pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlan {
    /// All batches one after the other.
    pairs: Vec<usize>,
    /// Where each batch ends.
    ends: Vec<usize>,
}

impl BatchPlan {
    /// Batches of `batch_size` pairs in the order of the corpus; the last one holds what is left.
    #[must_use]
    pub fn corpus_order(pairs: usize, batch_size: NonZeroUsize) -> Self {
        let size = batch_size.get();
        let ends = (1..=pairs.div_ceil(size)).map(|batch| pairs.min(batch.saturating_mul(size))).collect();
        Self { pairs: (0..pairs).collect(), ends }
    }

    /// Batches made elsewhere. Empty ones are kept.
    #[must_use]
    pub fn from_batches<B: AsRef<[usize]>>(batches: impl IntoIterator<Item = B>) -> Self {
        let mut plan = Self { pairs: Vec::new(), ends: Vec::new() };
        for batch in batches {
            plan.pairs.extend_from_slice(batch.as_ref());
            plan.ends.push(plan.pairs.len());
        }
        plan
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
    pub fn batch(&self, batch: usize) -> Option<&[usize]> {
        let end = *self.ends.get(batch)?;
        let start = if batch == 0 { 0 } else { self.ends[batch - 1] };
        Some(&self.pairs[start..end])
    }

    /// The batches in order.
    pub fn batches(&self) -> impl Iterator<Item = &[usize]> {
        (0..self.len()).filter_map(|batch| self.batch(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus_order(pairs: usize, size: usize) -> Vec<Vec<usize>> {
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
    fn batches_made_elsewhere_are_given_back() {
        let batches = [vec![3, 1], vec![], vec![0]];
        let plan = BatchPlan::from_batches(&batches);
        assert_eq!(plan.len(), 3);
        assert!(plan.batches().eq(batches.iter().map(Vec::as_slice)));
        assert_eq!(plan.batch(3), None);
    }
}
