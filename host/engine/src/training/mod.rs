//! The training loop and what it decides by: it emits [`Event`]s, and prints nothing.

mod early_stopping;
mod events;
mod groups;
mod pass;
mod schedule;
mod trainer;
mod validation;

pub(crate) use events::{Consumer, Event, Outcome, StopReason, TrainingValues};
pub(crate) use pass::{Mode, evaluate};
pub(crate) use trainer::Trainer;
