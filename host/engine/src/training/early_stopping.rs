//! Whether a validation is an improvement, and when to give up.

use kiwi_plugin_api::Ordering;
use kiwi_tracking::number::Number;
use serde::{Deserialize, Serialize};

/// Follows the main metric over validations.
#[derive(Debug)]
pub(crate) struct Progress {
    ordering: Ordering,
    patience: u64,
    seen: Seen,
}

/// The validations so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    best: Option<Number>,
    /// Validations in a row without improvement.
    without_improvement: u64,
}

impl Progress {
    /// Nothing seen yet. A `patience` of 0 never gives up.
    pub(crate) fn new(ordering: Ordering, patience: u64) -> Self {
        Self { ordering, patience, seen: Seen::default() }
    }

    /// Takes a validation's value and says whether it is the best so far. NaN and no value never are.
    pub(crate) fn observe(&mut self, value: Option<f64>) -> bool {
        let improved = value.is_some_and(|value| {
            !value.is_nan() && self.seen.best.is_none_or(|best| is_better(self.ordering, value, best.0))
        });
        if improved {
            self.seen = Seen { best: value.map(Number), without_improvement: 0 };
        } else {
            self.seen.without_improvement += 1;
        }
        improved
    }

    /// The validations so far, to be kept.
    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }

    /// Goes on from kept validations.
    pub(crate) fn go_on(&mut self, seen: Seen) {
        self.seen = seen;
    }

    /// Whether to give up.
    pub(crate) fn exhausted(&self) -> bool {
        self.patience > 0 && self.seen.without_improvement >= self.patience
    }
}

/// Whether `value` is better than `other`.
pub(crate) fn is_better(ordering: Ordering, value: f64, other: f64) -> bool {
    match ordering {
        Ordering::Min => value < other,
        Ordering::Max => value > other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_validations_without_improvement() {
        let mut progress = Progress::new(Ordering::Min, 2);
        assert!(progress.observe(Some(3.0)));
        assert!(!progress.observe(Some(3.0)), "equal is no improvement");
        assert!(!progress.exhausted());
        assert!(progress.observe(Some(2.0)));
        assert!(!progress.observe(Some(f64::NAN)));
        assert!(!progress.observe(None));
        assert!(progress.exhausted());
    }

    #[test]
    fn patience_of_zero_never_gives_up() {
        let mut progress = Progress::new(Ordering::Max, 0);
        for _ in 0..100 {
            progress.observe(Some(1.0));
        }
        assert!(!progress.exhausted());
    }

    #[test]
    fn nan_first_is_not_best() {
        let mut progress = Progress::new(Ordering::Max, 0);
        assert!(!progress.observe(Some(f64::NAN)));
        assert!(progress.observe(Some(f64::NEG_INFINITY)));
        assert!(progress.observe(Some(0.5)));
    }
}
