//! What the loop says while it runs, and what listens.

use std::path::PathBuf;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_tracking::record::Summary;
use serde::{Deserialize, Serialize};

use crate::optimizers::Lowered;

/// Values of metrics by name; `None` where there is nothing to say (no tokens).
pub(crate) type Values = Vec<(String, Option<f64>)>;

/// What happens in a run.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Something worth knowing.
    Note(String),
    /// Something to act upon.
    Warning(Diagnostic),
    /// Training begins.
    Started { epochs: u64, batches: usize, main_metric: Option<String> },
    /// An epoch begins, counted from 0, or goes on after so many batches.
    EpochStarted { epoch: u64, done: usize },
    /// A training batch is done.
    Batch { words: u64 },
    /// The log is due: values over the batches since the last time.
    Logged(TrainingValues),
    /// An epoch is done: values over all of it.
    EpochEnded(TrainingValues),
    /// Validation begins.
    ValidationStarted { batches: usize },
    /// A validation batch is done.
    ValidationBatch,
    /// Validation is done: loss and metrics of each set, by their full names such as `val_target_PERP`.
    Validated { epoch: u64, step: u64, values: Values, improved: bool, saved: Option<PathBuf> },
    /// A point to resume from is about to be saved: what was told so far must not be lost.
    ResumePoint,
    /// The main metric no longer improves, so a learning rate was lowered, after so many steps.
    RateLowered { step: u64, lowered: Lowered },
    /// Training is over.
    Finished(Outcome),
    /// A signal ends the run after so many steps; from where it can be resumed.
    Interrupted { signal: &'static str, step: u64, resume: ResumeFrom },
    /// The test is done: of which file (the system as it is, if none was kept), loss and metrics of each set by their full names.
    Tested { system: Option<PathBuf>, values: Values },
}

/// Training values over some batches.
#[derive(Debug, Clone)]
pub(crate) struct TrainingValues {
    pub(crate) epoch: u64,
    /// Optimizer steps of the run that are done.
    pub(crate) step: u64,
    /// Mean of the batch losses.
    pub(crate) loss: f64,
    pub(crate) values: Values,
    /// The main metric's; `None` where there is nothing to say.
    pub(crate) main: Option<f64>,
    /// The learning rates of the last step, with what the log calls them.
    pub(crate) learning_rates: Vec<(String, f64)>,
    pub(crate) words_per_second: f64,
}

/// From where a run that ends can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ResumeFrom {
    /// From where it ended.
    Here,
    /// From its last resume point.
    Before,
    /// From nowhere.
    Nowhere,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// All epochs are done.
    Epochs,
    /// `trainer.max_steps` is reached.
    MaxSteps,
    /// The main metric did not improve for `early_stop_patience` validations.
    EarlyStopping,
    /// `debug` asks for one batch only.
    Debug,
    /// A signal of this name came.
    Interrupted(&'static str),
}

impl StopReason {
    /// What records call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::MaxSteps => "max_steps",
            Self::EarlyStopping => "early_stopping",
            Self::Debug => "debug",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) reason: StopReason,
    pub(crate) summary: Summary,
}

/// What listens to a run.
pub(crate) trait Consumer {
    /// Takes notice of an event.
    fn receive(&mut self, event: &Event);
}
