//! From `events.jsonl` to the record of a run as it lasted: lines that cannot be read are passed over and counted, and what a
//! resumed run did again is left out. The file is read as a stream: memory is taken for what lasted, not for the file.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::FILE;
use crate::record::{Event, Record};

/// A longer line is none of ours; it is passed over without being held in memory.
const LONGEST_LINE: u64 = 4 << 20;
/// So many of the lines that were passed over are told with their numbers.
const TOLD: usize = 20;

/// The record of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// What lasted, in the order of the file. Each `Started` is among it.
    pub records: Vec<Record>,
    /// How often the run was resumed.
    pub resumes: u64,
    /// Records that did not last: those of steps that a resumed run did again.
    pub undone: u64,
    /// Lines that could not be read.
    pub skipped: Skipped,
}

/// Lines that were passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<SkippedLine>,
}

/// A line that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a line was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// As a newer version may write.
    #[error("tells of `{0}`, which this version does not know")]
    UnknownKind(String),
    /// No record; with what the parser says.
    #[error("is no record: {0}")]
    Broken(String),
    /// The last line, without its end: a crash, or a run that is writing it.
    #[error("ends in its middle")]
    Torn,
    /// Longer than any record.
    #[error("is longer than {LONGEST_LINE} bytes")]
    TooLong,
}

/// Why there is no record.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A directory, a pipe or the like.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it says.
        cause: io::Error,
    },
    /// No line of the file is a record.
    #[error("{} holds no record of a run{}", path.display(), first_of(skipped))]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        skipped: Skipped,
    },
}

fn first_of(skipped: &Skipped) -> String {
    match skipped.first.first() {
        Some(first) => format!(": line {} {}", first.line, first.reason),
        None => ": it is empty".to_owned(),
    }
}

/// Reads the record of the run in the directory `run`.
///
/// # Errors
/// When there is none, or the file system refuses.
pub fn read(run: &Path) -> Result<Journal, Error> {
    let path = run.join(FILE);
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing { path: path.clone() },
        _ => Error::Unreadable { path: path.clone(), cause },
    };
    // Looked at before it is opened: opening a pipe would wait.
    if !fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err(Error::NotAFile { path });
    }
    let file = File::open(&path).map_err(unreadable)?;
    let journal = read_from(BufReader::with_capacity(1 << 16, file)).map_err(unreadable)?;
    if journal.records.is_empty() {
        return Err(Error::Empty { path, skipped: journal.skipped });
    }
    Ok(journal)
}

/// Reads a record from its lines.
///
/// # Errors
/// When `lines` cannot be read; nothing that stands in them is an error.
pub fn read_from(mut lines: impl BufRead) -> io::Result<Journal> {
    let mut journal = Journal { records: Vec::new(), resumes: 0, undone: 0, skipped: Skipped::default() };
    let mut last_step = 0;
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        let length = lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(journal);
        }
        let ended = line.ends_with(b"\n");
        if !ended && length as u64 == LONGEST_LINE {
            lines.skip_until(b'\n')?;
            journal.skipped.note(number, Reason::TooLong);
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = match serde_json::from_slice::<Record>(&line) {
            Ok(record) => Some(record),
            Err(error) => {
                let reason = if ended { reason(&line, &error) } else { Reason::Torn };
                journal.skipped.note(number, reason);
                after_torn(&line)
            }
        };
        if let Some(record) = record {
            journal.take(record, &mut last_step);
        }
    }
}

impl Journal {
    /// `last_step` is the greatest step of what lasted so far.
    fn take(&mut self, record: Record, last_step: &mut u64) {
        if let Event::Started(started) = &record.event
            && !self.records.is_empty()
        {
            self.resumes += u64::from(started.resumed_at.is_some());
            // One that begins anew in the same directory has done nothing yet.
            let resumed_at = started.resumed_at.unwrap_or(0);
            if *last_step > resumed_at {
                let before = self.records.len();
                self.records.retain(|record| record.event.step().is_none_or(|step| step <= resumed_at));
                self.undone += (before - self.records.len()) as u64;
                *last_step = resumed_at;
            }
        }
        *last_step = (*last_step).max(record.event.step().unwrap_or(0));
        self.records.push(record);
    }
}

impl Skipped {
    fn note(&mut self, line: u64, reason: Reason) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push(SkippedLine { line, reason });
        }
    }
}

/// What is wrong with a whole line.
fn reason(line: &[u8], error: &serde_json::Error) -> Reason {
    #[derive(Deserialize)]
    struct Probe {
        event: Kind,
    }
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    match serde_json::from_slice::<Probe>(line) {
        Ok(Probe { event: Kind { kind } }) if !KINDS.contains(&kind.as_str()) => {
            Reason::UnknownKind(kind.chars().take(100).collect())
        }
        _ => Reason::Broken(error.to_string().chars().take(300).collect()),
    }
}

/// The record that follows on the same line after one that was torn by a crash: whoever resumes appends.
fn after_torn(line: &[u8]) -> Option<Record> {
    // Within a text of a record these characters would stand behind backslashes.
    const BEGINNING: &[u8] = br#"{"time":""#;
    let place = line.windows(BEGINNING.len()).rposition(|window| window == BEGINNING)?;
    if place == 0 { None } else { serde_json::from_slice(&line[place..]).ok() }
}

/// The kinds of [`Event`].
const KINDS: [&str; 10] = [
    "started",
    "logged",
    "epoch_ended",
    "validated",
    "rate_lowered",
    "warning",
    "tested",
    "finished",
    "interrupted",
    "failed",
];

#[cfg(test)]
mod tests;
