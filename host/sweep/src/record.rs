//! `trials.jsonl`: what happened to the trials of a sweep, a line each, and what state they are in by that. Lines are only ever
//! added; a last line without an end is one that a crash cut short, and counts for nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::measured::Measured;

/// Its name in the directory of the sweep.
pub const FILE: &str = "trials.jsonl";

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened, UTC.
    pub time: Timestamp,
    /// The trial's number, from 1.
    pub trial: usize,
    /// What happened.
    pub event: Event,
}

/// What happens to a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// Its process was started.
    Started {
        /// The rung that it is on, from 0.
        rung: usize,
        /// Epochs or steps that it is to go to on this rung; `None`: as its config says.
        budget: Option<u64>,
    },
    /// Its process has ended.
    Ended(Ended),
    /// It failed, and is tried again.
    Retried {
        /// The rung that it failed on.
        rung: usize,
    },
}

/// See [`Event::Ended`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The rung that it was on, from 0.
    pub rung: usize,
    /// How.
    pub status: Status,
    /// The exit code of its process; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Why it failed, on one line.
    pub reason: Option<String>,
    /// What its run came to so far, where it has one.
    pub measured: Option<Measured>,
}

/// How the process of a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It went as far as it should.
    Finished,
    /// It did not, and does not go on by itself.
    Failed,
    /// A signal, or the end of the sweep, interrupted it: it goes on when the sweep does.
    Interrupted,
}

/// What a trial is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has not begun.
    #[default]
    Waiting,
    /// It is under way.
    Running,
    /// It was begun, and goes on when the sweep does.
    Interrupted,
    /// It has gone as far as its rung.
    Finished,
    /// It has failed.
    Failed,
}

impl Phase {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// The state of a trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// What it is doing.
    pub phase: Phase,
    /// The rung that it is on, or was last.
    pub rung: usize,
    /// The value of the main metric at the end of each rung that it finished, the best until then.
    pub(crate) values: Vec<Option<f64>>,
    /// What it came to so far.
    pub measured: Option<Measured>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The exit code of its last process.
    pub code: Option<i32>,
}

impl Ended {
    /// The end of a process whose run left no record.
    #[must_use]
    pub fn without_run(rung: usize, status: Status) -> Self {
        Self { rung, status, code: None, reason: None, measured: None }
    }

    /// The same with a value of the main metric.
    #[cfg(test)]
    pub(crate) fn with_value(self, value: Option<f64>) -> Self {
        let measured = value.map(|value| Measured {
            value: Some(kiwi_tracking::number::Number(value)),
            ..Measured::default()
        });
        Self { measured, ..self }
    }
}

impl State {
    /// Whether nothing is left to do for it on this rung.
    #[must_use]
    pub fn is_past(&self, rung: usize) -> bool {
        self.phase == Phase::Failed || self.values.len() > rung
    }

    /// The value of the main metric at the end of a rung.
    #[must_use]
    pub fn value_at(&self, rung: usize) -> Option<f64> {
        // One that failed further on does not go on, whatever it was before.
        if self.phase == Phase::Failed && self.values.len() <= rung + 1 {
            None
        } else {
            self.values.get(rung).copied().flatten()
        }
    }

    /// Whether it has been begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.phase != Phase::Waiting
    }

    /// Takes in what happened.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Started { rung, .. } => {
                self.phase = Phase::Running;
                self.rung = *rung;
                self.reason = None;
            }
            Event::Ended(ended) => self.ended(ended),
            Event::Retried { rung } => {
                self.phase = Phase::Interrupted;
                self.rung = *rung;
                self.reason = None;
            }
        }
    }

    pub(crate) fn ended(&mut self, ended: &Ended) {
        self.rung = ended.rung;
        self.code = ended.code;
        self.reason.clone_from(&ended.reason);
        if ended.measured.is_some() {
            self.measured.clone_from(&ended.measured);
        }
        self.phase = match ended.status {
            Status::Finished => Phase::Finished,
            Status::Failed => Phase::Failed,
            Status::Interrupted => Phase::Interrupted,
        };
        if ended.status == Status::Finished && self.values.len() <= ended.rung {
            // A rung that is not told of was gone past.
            self.values.resize(ended.rung, None);
            self.values.push(ended.measured.as_ref().and_then(Measured::number));
        }
    }
}

/// The states of so many trials, by what the file in the directory says; all wait where there is none. Of what was under way it
/// says that it is.
///
/// # Errors
/// When the file cannot be read, or is none of a sweep of so many trials.
pub fn read(directory: &Path, trials: usize) -> Result<Vec<State>, Error> {
    let mut states = vec![State::default(); trials];
    for entry in entries(&directory.join(FILE))? {
        if let Some(state) = entry.trial.checked_sub(1).and_then(|place| states.get_mut(place)) {
            state.take(&entry.event);
        }
    }
    Ok(states)
}

fn entries(path: &Path) -> Result<Vec<Entry>, Error> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(Error::Unreadable { path: path.to_owned(), cause }),
    };
    let whole = whole_lines(&text);
    let lines = text[..whole]
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(place, line)| {
            serde_json::from_slice(line).map_err(|error| Error::Damaged {
                path: path.to_owned(),
                line: place + 1,
                reason: error.to_string(),
            })
        })
        .collect()
}

/// The length of the lines that have their ends.
fn whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// The file, to be added to.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
}

impl Writer {
    /// Opens the file in the directory, or makes it. What a crash left of a last line is removed.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(FILE);
        let open = || {
            let file = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
            let whole = whole_lines(&std::fs::read(&path)?) as u64;
            if whole < file.metadata()?.len() {
                file.set_len(whole)?;
            }
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Self { path, file }),
            Err(cause) => Err(Error::Unwritable { path, cause }),
        }
    }

    /// Adds what happens now to a trial, and waits until it is on the disk.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&mut self, trial: usize, event: Event) -> Result<(), Error> {
        let entry = Entry { time: Timestamp::now(), trial, event };
        let mut write = || {
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.file.sync_data()
        };
        write().map_err(|cause: io::Error| Error::Unwritable { path: self.path.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_there_after_a_crash_in_the_middle_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path()).unwrap();
        writer.write(2, Event::Started { rung: 0, budget: Some(3) }).unwrap();
        writer.write(1, Event::Started { rung: 0, budget: Some(3) }).unwrap();
        writer.write(2, Event::Ended(Ended::without_run(0, Status::Finished).with_value(Some(2.5)))).unwrap();
        drop(writer);
        let path = folder.path().join(FILE);
        let before = std::fs::read(&path).unwrap();
        let mut torn = before.clone();
        torn.extend(br#"{"time":"2026-01-02T03:04:05Z","trial":1,"event":{"kind":"ended""#);
        std::fs::write(&path, &torn).unwrap();
        let states = read(folder.path(), 3).unwrap();
        let phases: Vec<_> = states.iter().map(|state| state.phase).collect();
        assert_eq!(phases, [Phase::Running, Phase::Finished, Phase::Waiting]);
        assert_eq!(states[1].value_at(0), Some(2.5));
        let mut writer = Writer::open(folder.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        writer.write(1, Event::Ended(Ended::without_run(0, Status::Interrupted))).unwrap();
        assert_eq!(read(folder.path(), 3).unwrap()[0].phase, Phase::Interrupted);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "\nnonsense\n").unwrap();
        let error = read(folder.path(), 1).unwrap_err();
        assert!(matches!(error, Error::Damaged { line: 2, .. }), "{error}");
    }

    #[test]
    fn one_that_is_tried_again_is_open_again() {
        let mut state = State::default();
        state.take(&Event::Started { rung: 1, budget: None });
        state.take(&Event::Ended(Ended {
            reason: Some("no".to_owned()),
            ..Ended::without_run(1, Status::Failed)
        }));
        assert!(state.is_past(1) && state.value_at(0).is_none());
        state.take(&Event::Retried { rung: 1 });
        assert!(!state.is_past(1));
        assert_eq!((state.phase, state.reason), (Phase::Interrupted, None));
    }
}
