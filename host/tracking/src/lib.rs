//! What a run leaves to be watched: `events.jsonl`, the record of a run, and those who are told of it. No libtorch here.
//!
//! A run under way has a [`Tracking`]. [`record`] says what a line of the record holds, [`number`] how a number is written that
//! JSON has not, [`journal`] the file. [`tensorboard`] writes event files, [`mlflow`] tells a tracking server. Nothing of it stops
//! a run: what goes wrong is a warning, and tried again.

mod append;
pub mod journal;
mod limit;
pub mod mlflow;
pub mod number;
pub mod record;
pub mod tensorboard;
mod tracking;

pub use tracking::{Options, Tracking};
