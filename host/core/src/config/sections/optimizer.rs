//! `system.optimizer`: how parameters are updated, by one optimizer or by a list of them.

use std::path::PathBuf;

use globset::Glob;
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value};

/// One optimizer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct OptimizerSection {
    /// Its class, as `adam`.
    pub class_name: String,
    /// Finite and above 0.
    pub learning_rate: f64,
    /// The rate of the encoder's parameters, finite and above 0, where it is another.
    pub encoder_learning_rate: Option<f64>,
    /// Warm-up of a class that has a schedule of its own.
    pub warmup_steps: Option<WarmupSteps>,
    /// Optimizer steps that such a schedule is for, at least 1; `None` for those of the run.
    pub training_steps: Option<u64>,
    /// Factor in (0, 1] on the rates when the main metric no longer improves; 1 for none.
    pub learning_rate_decay: f64,
    /// Validations in a row without improvement that are forgiven before that.
    pub learning_rate_decay_start: u64,
    /// A saved state to go on from.
    pub load: Option<PathBuf>,
    /// Patterns over the names of parameters, at least one; `None` for the only optimizer, which trains all.
    pub parameters: Option<Vec<Glob>>,
    /// What its class takes besides; the plugin's to check, at [`Self::options_path`].
    pub options: Map<String, Value>,
    /// JSON path of the section, as `system.optimizer` or `system.optimizer[0]`.
    #[serde(skip)]
    pub path: String,
}

impl OptimizerSection {
    /// JSON path of the options.
    #[must_use]
    pub fn options_path(&self) -> String {
        self.path_of("options")
    }

    /// JSON path of a key.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        super::super::path::join(&self.path, key)
    }
}

/// `system.optimizer.warmup_steps`: an integer counts optimizer steps, a number with a fraction is a share of the training steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WarmupSteps {
    /// 0 for none.
    Steps(u64),
    /// In [0, 1].
    ShareOfTraining(f64),
}

impl Serialize for WarmupSteps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Steps(steps) => serializer.serialize_u64(*steps),
            Self::ShareOfTraining(share) => serializer.serialize_f64(*share),
        }
    }
}

/// As [`one_or_list`]; `Null` can be only if memory runs out, for all keys are texts.
pub(super) fn json(optimizers: &[OptimizerSection]) -> Value {
    one_or_list(optimizers, serde_json::value::Serializer).unwrap_or_default()
}

/// The only optimizer as an object, several as an array.
pub(super) fn one_or_list<S: Serializer>(
    optimizers: &[OptimizerSection],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match optimizers {
        [only] if only.parameters.is_none() => only.serialize(serializer),
        list => list.serialize(serializer),
    }
}
