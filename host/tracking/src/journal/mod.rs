//! The record of a run, `events.jsonl` in its directory: one [`Record`](crate::record::Record) a line, only ever added to.
//!
//! [`write`] adds lines, [`read`] takes the record from them.

pub mod read;
pub mod write;

/// Name of the record in a run's directory.
pub const FILE: &str = "events.jsonl";
