//! Lowering learning rates when the main metric no longer improves, as PyTorch's `ReduceLROnPlateau`, in the metric's own
//! direction.

use kiwi_plugin_api::Ordering;
use serde::{Deserialize, Serialize};

/// Relative change that counts as an improvement.
const THRESHOLD: f64 = 1e-4;
/// Smallest change of a rate.
const SMALLEST_CHANGE: f64 = 1e-8;

/// Follows the main metric over validations.
#[derive(Debug)]
pub(super) struct Plateau {
    ordering: Ordering,
    factor: f64,
    patience: u64,
    seen: Seen,
}

/// What a plateau keeps of the validations so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The best value; `None` before there is one that a number can improve on.
    best: Option<f64>,
    /// Validations in a row without improvement.
    bad: u64,
}

impl Plateau {
    /// Multiplies rates by `factor` when more than `patience` validations in a row bring no improvement.
    pub(super) fn new(factor: f64, patience: u64, ordering: Ordering) -> Self {
        Self { ordering, factor, patience, seen: Seen::default() }
    }

    /// The validations so far, to be kept.
    pub(super) fn seen(&self) -> Seen {
        self.seen
    }

    /// Goes on from kept validations.
    pub(super) fn go_on(&mut self, seen: Seen) {
        self.seen = seen;
    }

    /// What it does, to follow the rates.
    pub(super) fn describe(&self) -> String {
        format!(
            "multiplied by {} after more than {} validations in a row without improvement",
            self.factor, self.patience
        )
    }

    /// Takes a validation's value and says whether rates are to be lowered.
    pub(super) fn validated(&mut self, value: Option<f64>) -> bool {
        if value.is_some_and(|value| self.improves(value)) {
            self.seen = Seen { best: value.filter(|value| value.is_finite()), bad: 0 };
            return false;
        }
        self.seen.bad += 1;
        if self.seen.bad <= self.patience {
            return false;
        }
        self.seen.bad = 0;
        true
    }

    /// The rate after a lowering; the same if it would hardly change.
    pub(super) fn lowered(&self, rate: f64) -> f64 {
        let lower = rate * self.factor;
        if rate - lower > SMALLEST_CHANGE { lower } else { rate }
    }

    fn improves(&self, value: f64) -> bool {
        if value.is_nan() {
            return false;
        }
        match (self.seen.best, self.ordering) {
            (None, _) => true,
            (Some(best), Ordering::Min) => value < best * (1.0 - THRESHOLD),
            (Some(best), Ordering::Max) => value > best * (1.0 + THRESHOLD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plateau_follows_pytorch_in_the_metrics_own_direction() {
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/optimizers.json"
        ))
        .unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        let plateau = &golden["plateau"];
        let number = |key: &str| plateau["optimizer"][key].as_f64().unwrap();
        for (key, ordering) in [("min", Ordering::Min), ("reference", Ordering::Max)] {
            let mut rate = number("learning_rate");
            let patience = number("learning_rate_decay_start") as u64;
            let mut plateau_of = Plateau::new(number("learning_rate_decay"), patience, ordering);
            for (value, expected) in
                plateau["values"].as_array().unwrap().iter().zip(plateau[key].as_array().unwrap())
            {
                if plateau_of.validated(value.as_f64()) {
                    rate = plateau_of.lowered(rate);
                }
                assert!((rate - expected.as_f64().unwrap()).abs() < 1e-12, "{key}: {value}");
            }
        }
    }
}
