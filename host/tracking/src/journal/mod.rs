//! The file `events.jsonl` of a run's directory. [`read`] takes the record of a run from it.

pub mod read;

/// Name of the record in a run's directory.
pub const FILE: &str = "events.jsonl";
