//! When to validate within an epoch.

use kiwi_core::config::{RunConfig, ValidationInterval};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;

use crate::data::counted;

/// Batches of training between validations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    every: usize,
    batches: usize,
}

impl Interval {
    /// As the config says, for an epoch of `batches`; with one that is shorter than the interval, at its end only.
    pub(crate) fn new(config: &RunConfig, batches: usize) -> Self {
        let every = match config.trainer.checkpoint.validation_interval {
            // A share times a count: rounding down is what the reading promises.
            ValidationInterval::ShareOfEpoch(share) => ((batches as f64 * share).floor() as usize).max(1),
            ValidationInterval::Batches(n) => usize::try_from(n).unwrap_or(usize::MAX),
        };
        Self { every: every.min(batches), batches }
    }

    /// Refuses an interval that is longer than the first epoch of `batches`.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn check(config: &RunConfig, batches: usize) -> Result<(), Box<Failure>> {
        let ValidationInterval::Batches(every) = config.trainer.checkpoint.validation_interval else {
            return Ok(());
        };
        if every <= batches as u64 {
            return Ok(());
        }
        let has = counted(batches, "batch");
        Err(Box::new(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(format!(
                "validation_steps={every} is longer than an epoch, which has {has}: no validation would ever take place"
            ))
            .at("trainer.checkpoint.validation_steps")
            .found(every.to_string())
            .expected(format!("an integer of at most {batches}, or a share of the epoch such as 0.5 or 1.0"))
            .help("lower it, or leave it out to validate at the end of each epoch"),
        )))
    }

    /// Whether to validate after `batch` (from 0); always at the end of the epoch.
    pub(crate) fn due_after(self, batch: usize) -> bool {
        (batch + 1).is_multiple_of(self.every) || batch + 1 == self.batches
    }

    /// Batches between validations.
    pub(crate) fn every(self) -> usize {
        self.every
    }
}
