//! When to validate within an epoch.

use kiwi_core::config::{RunConfig, ValidationInterval};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
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
            Diagnostic::error(Code::NoValidation, format!(
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(validation_steps: &str) -> RunConfig {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/example.json");
        let set = ("trainer.checkpoint.validation_steps".to_owned(), validation_steps.to_owned());
        kiwi_core::config::load(std::path::Path::new(file), &[set]).unwrap().config
    }

    /// After which batches, counted from 1, of an epoch of `batches`.
    fn due(validation_steps: &str, batches: usize) -> Vec<usize> {
        let interval = Interval::new(&config(validation_steps), batches);
        (0..batches).filter(|batch| interval.due_after(*batch)).map(|batch| batch + 1).collect()
    }

    #[test]
    fn a_share_is_rounded_down_to_one_batch_at_least() {
        assert_eq!(due("0.3", 8), [2, 4, 6, 8]);
        assert_eq!(due("0.4", 8), [3, 6, 8], "and one at the end");
        assert_eq!(due("0.999", 8), [7, 8]);
        assert_eq!(due("0.001", 3), [1, 2, 3]);
        assert_eq!(due("1.0", 3), [3]);
        assert_eq!(due("5", 8), [5, 8]);
        assert_eq!(due("8", 8), [8]);
    }

    #[test]
    fn an_interval_longer_than_an_epoch_is_refused() {
        assert!(Interval::check(&config("8"), 8).is_ok());
        assert!(Interval::check(&config("0.001"), 1).is_ok());
        let refused = Interval::check(&config("9"), 8).unwrap_err();
        let error = &refused.diagnostics[0];
        assert_eq!(error.path.as_deref(), Some("trainer.checkpoint.validation_steps"));
        assert!(error.expected.as_ref().unwrap().starts_with("an integer of at most 8"), "{error:?}");
    }
}
