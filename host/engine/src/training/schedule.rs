//! Learning rates: constant, or lowered when the main metric no longer improves (as PyTorch's `ReduceLROnPlateau`, in the
//! metric's own direction).

use kiwi_core::config::OptimizerSection;
use kiwi_plugin_api::Ordering;

/// Relative change that counts as an improvement.
const THRESHOLD: f64 = 1e-4;
/// Smallest change of a rate.
const SMALLEST_CHANGE: f64 = 1e-8;

/// The rate of the next step.
#[derive(Debug)]
pub(crate) struct Schedule {
    rate: f64,
    plateau: Option<Plateau>,
}

#[derive(Debug)]
struct Plateau {
    ordering: Ordering,
    factor: f64,
    patience: u64,
    best: Option<f64>,
    bad: u64,
}

impl Schedule {
    /// As the config says.
    pub(crate) fn new(section: &OptimizerSection, ordering: Ordering) -> Self {
        let plateau = (section.learning_rate_decay < 1.0).then_some(Plateau {
            ordering,
            factor: section.learning_rate_decay,
            patience: section.learning_rate_decay_start,
            best: None,
            bad: 0,
        });
        Self { rate: section.learning_rate, plateau }
    }

    /// The rate now.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// What it does, in a sentence.
    pub(crate) fn describe(&self) -> String {
        match &self.plateau {
            None => format!("learning rate {} for the whole run", self.rate),
            Some(plateau) => format!(
                "learning rate {}, multiplied by {} after more than {} validations in a row without improvement",
                self.rate, plateau.factor, plateau.patience
            ),
        }
    }

    /// Takes a validation's value; the rates before and after if it was lowered.
    pub(crate) fn validated(&mut self, value: Option<f64>) -> Option<(f64, f64)> {
        let plateau = self.plateau.as_mut()?;
        let improved = value.is_some_and(|value| plateau.improves(value));
        if improved {
            plateau.best = value;
            plateau.bad = 0;
            return None;
        }
        plateau.bad += 1;
        if plateau.bad <= plateau.patience {
            return None;
        }
        plateau.bad = 0;
        let (from, to) = (self.rate, self.rate * plateau.factor);
        if from - to <= SMALLEST_CHANGE {
            return None;
        }
        self.rate = to;
        Some((from, to))
    }
}

impl Plateau {
    fn improves(&self, value: f64) -> bool {
        if value.is_nan() {
            return false;
        }
        match (self.best, self.ordering) {
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
        for (key, ordering) in [("min", Ordering::Min), ("reference", Ordering::Max)] {
            let section = OptimizerSection {
                class_name: "adam".to_owned(),
                learning_rate: plateau["optimizer"]["learning_rate"].as_f64().unwrap(),
                learning_rate_decay: plateau["optimizer"]["learning_rate_decay"].as_f64().unwrap(),
                learning_rate_decay_start: plateau["optimizer"]["learning_rate_decay_start"]
                    .as_u64()
                    .unwrap(),
                options: serde_json::Map::new(),
                path: String::new(),
            };
            let mut schedule = Schedule::new(&section, ordering);
            for (value, rate) in
                plateau["values"].as_array().unwrap().iter().zip(plateau[key].as_array().unwrap())
            {
                schedule.validated(value.as_f64());
                assert!((schedule.rate() - rate.as_f64().unwrap()).abs() < 1e-12, "{key}: {value}");
            }
        }
    }
}
