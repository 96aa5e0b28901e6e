//! The training loop and what it decides by: it emits [`Event`]s, and prints nothing.

mod early_stopping;
mod events;
mod groups;
mod pass;
mod schedule;
mod trainer;
mod validation;

pub(crate) use events::{Consumer, Event, Outcome, StopReason, TrainingValues};
pub(crate) use pass::{Mode, evaluate, failed};
pub(crate) use trainer::Trainer;
pub(crate) use validation::Interval;

use kiwi_core::config::{RunConfig, ValidationInterval};

use crate::assembly::Assembly;
use crate::data::counted;
use groups::Accumulation;
use schedule::Schedule;

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
    let total = steps_an_epoch(config, batches).saturating_mul(config.trainer.epochs);
    config.trainer.max_steps.map_or(total, |limit| limit.min(total))
}

/// What the learning rate does over a run, in a sentence.
pub(crate) fn describe_schedule(config: &RunConfig, assembly: &Assembly) -> String {
    Schedule::new(&config.system.optimizer, assembly.system.metrics.main_ordering()).describe()
}
