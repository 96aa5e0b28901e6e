//! The file `events.jsonl` of a run's directory. [`read`] takes the record of a run from it.

pub mod read;

/// What the file is called in a run's directory.
pub const FILE_NAME: &str = "events.jsonl";
