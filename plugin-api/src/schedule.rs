//! Learning-rate schedules that a class of optimizer brings itself.
//!
//! A schedule is a function of the number of the optimizer step and of nothing else, so that a run that is resumed goes on with
//! the rates it would have had. The host multiplies the learning rate of each parameter group by it.

use serde::{Deserialize, Serialize};

/// `warmup_steps` as a config gives it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// Written as an integer: optimizer steps.
    Steps(u64),
    /// Written with a fraction: a share in [0, 1] of the training steps.
    Share(f64),
}

/// The keys of `system.optimizer` that a schedule is made of, as the config gives them: what can be checked before any corpus is
/// read.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleKeys {
    /// `warmup_steps`.
    pub warmup_steps: Option<Warmup>,
    /// `training_steps`; where it is left out, the run's own number of optimizer steps will take its place.
    pub training_steps: Option<u64>,
}

impl ScheduleKeys {
    /// These keys.
    #[must_use]
    pub fn new(warmup_steps: Option<Warmup>, training_steps: Option<u64>) -> Self {
        Self { warmup_steps, training_steps }
    }
}

/// What a schedule is made of, once the length of the run is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleContext {
    /// Optimizer steps of warm-up; a share of the training steps is not rounded. `None` where the config says nothing.
    pub warmup_steps: Option<f64>,
    /// Optimizer steps that the schedule is for.
    pub training_steps: u64,
    /// The encoder's hidden size; of an encoder without one, the most common last dimension of the parameters.
    pub hidden_size: i64,
}

impl ScheduleContext {
    /// A schedule of this warm-up and this length over an encoder of this hidden size.
    #[must_use]
    pub fn new(warmup_steps: Option<f64>, training_steps: u64, hidden_size: i64) -> Self {
        Self { warmup_steps, training_steps, hidden_size }
    }
}

/// A learning-rate schedule.
pub struct Schedule {
    description: String,
    factor: Box<dyn Fn(u64) -> f64 + Send>,
}

impl Schedule {
    /// The schedule whose step `s`, counted from 0, has each group's learning rate times `factor(s)`, a finite number of at least
    /// 0. `description` says what happens when, in steps, for the log: `warm-up ends at step 12, decay ends at step 480`.
    pub fn new(description: impl Into<String>, factor: impl Fn(u64) -> f64 + Send + 'static) -> Self {
        Self { description: description.into(), factor: Box::new(factor) }
    }

    /// What happens when.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What the learning rates are multiplied by in this step, counted from 0.
    #[must_use]
    pub fn factor(&self, step: u64) -> f64 {
        (self.factor)(step)
    }
}
