//! The training loop and what it decides by: it emits [`Event`]s, and prints nothing.

mod early_stopping;
mod ending;
mod events;
mod groups;
mod items;
mod losses;
mod memory_shortage;
mod pass;
mod saving;
mod scalars;
mod skips;
mod state;
mod step;
mod sums;
mod trainer;
mod validation;
mod window;

pub(crate) use events::{Consumer, Event, Outcome, ResumeFrom, StopReason, TrainingValues};
pub(crate) use pass::{Evaluation, Mode, evaluate, failed};
pub(crate) use saving::Saving;
pub(crate) use state::TrainingState;
pub(crate) use trainer::Trainer;
pub(crate) use validation::Interval;

use kiwi_core::config::{RunConfig, ValidationInterval};

use crate::data::counted;
use groups::Accumulation;

/// How much training a config asks for, in a sentence; the first epoch has `batches` batches, and so has each if epochs are
/// `alike`.
pub(crate) fn extent(config: &RunConfig, batches: usize, alike: bool) -> String {
    let about = if alike { "" } else { "about " };
    let trainer = &config.trainer;
    let reading = match trainer.checkpoint.validation_interval {
        ValidationInterval::ShareOfEpoch(share) => format!("a share of {share} of an epoch"),
        ValidationInterval::Batches(n) => format!("every {}", counted(n, "batch")),
    };
    format!(
        "{} of {about}{}, {} each: {about}{} in all; a validation every {} (validation_steps is read as {reading}) and at the end of \
         each epoch",
        counted(trainer.epochs, "epoch"),
        counted(batches, "batch"),
        counted(steps_an_epoch(config, batches), "optimizer step"),
        counted(steps(config, batches), "step"),
        counted(Interval::new(config, batches).every(), "batch"),
    )
}

/// Optimizer steps of an epoch of `batches`.
pub(crate) fn steps_an_epoch(config: &RunConfig, batches: usize) -> u64 {
    Accumulation::new(batches, config.trainer.gradient_accumulation_steps).steps_an_epoch() as u64
}

/// Optimizer steps of a run whose epochs have `batches` batches.
pub(crate) fn steps(config: &RunConfig, batches: usize) -> u64 {
    Accumulation::new(batches, config.trainer.gradient_accumulation_steps).steps_of_run(&config.trainer)
}
