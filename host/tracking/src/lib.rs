//! What a run leaves to be watched: `events.jsonl`, the record of a run, and those who are told of it. No libtorch here.
//!
//! [`record`] says what a line of the record holds, [`number`] how a number is written that JSON has not. [`journal`] is the
//! file.

pub mod journal;
pub mod number;
pub mod record;
