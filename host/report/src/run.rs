//! A run as it is shown: what its directory says, gone through once.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use kiwi_tracking::journal::read::{self, Journal};
use kiwi_tracking::record::{Event, Started, Tested};
use serde_json::Value;

use crate::curves::collect::{Collected, collect};
use crate::error::Error;
use crate::outcome::{Outcome, outcome};
use crate::text;

/// A longer config is not shown.
const LONGEST_CONFIG: u64 = 256 << 10;
/// So many warnings of a run are shown.
const WARNINGS: usize = 200;
/// So many parts of a resumed run, and tests, are shown.
const PARTS: usize = 100;
/// Characters of a message.
const MESSAGE: usize = 2000;
/// Characters of a name.
const NAME: usize = 120;

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What it is called on the page, unlike all others.
    pub(crate) label: String,
    pub(crate) outcome: Outcome,
    pub(crate) collected: Collected,
    /// What each part of the run began with; a run that was never resumed has one, a damaged record none.
    pub(crate) parts: Vec<Started>,
    pub(crate) warnings: Vec<String>,
    /// Warnings that are not among those.
    pub(crate) more_warnings: usize,
    pub(crate) tests: Vec<Tested>,
    pub(crate) config: Config,
    /// What is odd about the record.
    pub(crate) notes: Vec<String>,
}

/// The config of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Config {
    /// As it was read, and as it stands in the file.
    Known(Value, String),
    /// Why it is not.
    Unknown(String),
}

impl Config {
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Self::Known(value, _) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Reads the runs in these directories.
///
/// # Errors
/// When one has no record.
pub(crate) fn read_all(directories: &[PathBuf]) -> Result<Vec<Run>, Error> {
    let labels = labels(directories);
    let runs = directories.iter().zip(labels).map(|(directory, label)| {
        let journal = read::read(directory)?;
        Ok(Run::new(label, &journal, config(directory)))
    });
    runs.collect()
}

impl Run {
    pub(crate) fn new(label: String, journal: &Journal, config: Config) -> Self {
        let records = &journal.records;
        let message = |message: &str| text::short(message, MESSAGE);
        let events = || records.iter().map(|record| &record.event);
        let warnings = || {
            events().filter_map(|event| match event {
                Event::Warning(warning) => Some(message(&warning.message)),
                _ => None,
            })
        };
        let collected = collect(records);
        let outcome = outcome(records, &collected);
        let parts = events().filter_map(|event| match event {
            Event::Started(started) => Some(started.clone()),
            _ => None,
        });
        let tests = events().filter_map(|event| match event {
            Event::Tested(tested) => Some(tested.clone()),
            _ => None,
        });
        Self {
            label,
            outcome,
            // The last counts most, so it is among those that are kept.
            parts: last(parts.collect(), PARTS),
            warnings: warnings().take(WARNINGS).collect(),
            more_warnings: warnings().count().saturating_sub(WARNINGS),
            tests: last(tests.collect(), PARTS),
            config,
            notes: notes(journal, &collected),
            collected,
        }
    }

    /// What the run began with, when it was last started.
    pub(crate) fn started(&self) -> Option<&Started> {
        self.parts.last()
    }

    pub(crate) fn main_metric(&self) -> Option<&str> {
        self.started()?.main_metric.as_deref()
    }
}

fn last<T>(mut list: Vec<T>, most: usize) -> Vec<T> {
    list.drain(..list.len().saturating_sub(most));
    list
}

fn notes(journal: &Journal, collected: &Collected) -> Vec<String> {
    let mut notes = Vec::new();
    match journal.resumes {
        0 => {}
        1 => notes.push("The run was resumed once.".to_owned()),
        more => notes.push(format!("The run was resumed {more} times.")),
    }
    if journal.undone > 0 {
        let undone = text::count(journal.undone);
        notes.push(format!("{undone} records of steps that were done again after a resume are left out."));
    }
    if collected.by_epoch && !collected.curves.is_empty() {
        notes.push("Nothing was logged within epochs: training values are means of epochs.".to_owned());
    }
    let skipped = &journal.skipped;
    if skipped.count > 0 {
        let mut lines: Vec<_> =
            skipped.first.iter().map(|skipped| format!("line {} {}", skipped.line, skipped.reason)).collect();
        let more = skipped.count - lines.len() as u64;
        if more > 0 {
            lines.push(format!("and {} more", text::count(more)));
        }
        notes.push(format!("Left out of events.jsonl: {}.", lines.join("; ")));
    }
    notes
}

fn config(directory: &Path) -> Config {
    let path = directory.join("config.json");
    let unknown = |reason: String| Config::Unknown(format!("config.json {reason}"));
    let mut text = String::new();
    let file = match path.metadata() {
        Ok(metadata) if !metadata.is_file() => return unknown("is not a regular file".to_owned()),
        Ok(metadata) if metadata.len() > LONGEST_CONFIG => {
            return unknown(format!("is longer than {}", text::bytes(LONGEST_CONFIG)));
        }
        Ok(_) => File::open(&path),
        Err(error) => Err(error),
    };
    match file.and_then(|file| file.take(LONGEST_CONFIG).read_to_string(&mut text)) {
        Ok(_) => match serde_json::from_str(&text) {
            Ok(value) => Config::Known(value, text),
            Err(error) => unknown(format!("is not JSON: {error}")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => unknown("is not there".to_owned()),
        Err(error) => unknown(format!("cannot be read: {error}")),
    }
}

/// As many of the last names of each path as tell the runs apart.
fn labels(directories: &[PathBuf]) -> Vec<String> {
    let names: Vec<Vec<String>> = directories
        .iter()
        .map(|directory| {
            // Where a path ends in dots, the directory has a name all the same.
            let real = directory.canonicalize().unwrap_or_else(|_| directory.clone());
            real.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
        })
        .collect();
    let ending = |names: &[String], count: usize| names[names.len().saturating_sub(count)..].join("/");
    let deepest = names.iter().map(Vec::len).max().unwrap_or(0);
    (0..names.len())
        .map(|place| {
            let mine = &names[place];
            let alone = |count: &usize| {
                let label = shown(&ending(mine, *count));
                let mut others = names.iter().enumerate().filter(|(other, _)| *other != place);
                others.all(|(_, other)| shown(&ending(other, *count)) != label)
            };
            match (1..=deepest).find(alone) {
                Some(count) => shown(&ending(mine, count)),
                None => format!("{} ({})", shown(&ending(mine, 1)), place + 1),
            }
        })
        .collect()
}

/// A run's id is shortened to what people read of it.
fn shown(name: &str) -> String {
    let is_id = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { name[..8].to_owned() } else { text::short(name, NAME) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_runs_apart() {
        let of = |paths: &[&str]| labels(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["runs/first"]), ["first"]);
        assert_eq!(of(&["a/x", "b/x", "c/y"]), ["a/x", "b/x", "y"]);
        let ids = [format!("runs/0/{}", "0123456789abcdef".repeat(2)), format!("runs/0/{}", "f".repeat(32))];
        assert_eq!(of(&[&ids[0], &ids[1]]), ["01234567", "ffffffff"]);
        let long = "n".repeat(500);
        assert_eq!(of(&[&long])[0].chars().count(), NAME + 1);
    }
}
