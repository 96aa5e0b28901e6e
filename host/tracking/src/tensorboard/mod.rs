//! Event files of TensorBoard, in `tensorboard` in the run's directory: one for each time the run was started or resumed.
//!
//! [`wire`] writes the protocol buffers that they consist of and frames them, [`scalars`] says which values have which tag. The
//! files are TensorFlow's: `tensorflow/core/util/event.proto` and `framework/summary.proto` have the fields.

pub(crate) mod scalars;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use serde_json::Value;

use self::scalars::Scalars;
use self::wire::What;
use crate::append::{AppendFile, Ending};
use crate::record::{Event, Record};

/// The folder in a run's directory.
pub const FOLDER: &str = "tensorboard";

const PREFIX: &str = "events.out.tfevents.";

/// The event file of a run that is under way.
#[derive(Debug)]
pub(crate) struct EventFile {
    file: AppendFile,
    folder: PathBuf,
    scalars: Scalars,
}

impl EventFile {
    /// The event file of a run that begins, or goes on after `resumed_at` optimizer steps: TensorBoard then leaves out what
    /// earlier files say of later steps.
    pub(crate) fn new(directory: &Path, config: &Value, resumed_at: Option<u64>, now: f64) -> Self {
        let folder = directory.join(FOLDER);
        // If this fails, opening the file fails too, and is warned of and tried again.
        let _ = fs::create_dir_all(&folder);
        let file = AppendFile::new(folder.join(name(&folder, now)), Ending::New);
        let mut events = Self { file, folder, scalars: Scalars::default() };
        events.push(now, 0, What::FileVersion);
        if let Some(step) = resumed_at {
            events.push(now, step.saturating_add(1), What::SessionStart);
        }
        events.push(now, resumed_at.unwrap_or(0), What::Text("config", &code(config)));
        events
    }

    /// Adds what a record says.
    pub(crate) fn record(&mut self, record: &Record) {
        let time = record.time.as_nanosecond() as f64 / 1e9;
        let (step, values) = self.scalars.of(&record.event);
        if !values.is_empty() {
            self.push(time, step, What::Scalars(&values));
        }
        if let Event::Finished(summary) = &record.event {
            let summary = serde_json::to_value(summary).unwrap_or_default();
            self.push(time, step, What::Text("summary", &code(&summary)));
        }
    }

    fn push(&mut self, time: f64, step: u64, what: What<'_>) {
        self.file.push(wire::frame(&wire::event(time, step, &what)));
    }

    pub(crate) fn flush(&mut self) {
        // It may have been impossible to make when the run began.
        let _ = fs::create_dir_all(&self.folder);
        self.file.flush();
    }

    pub(crate) fn warnings(&mut self) -> Vec<String> {
        self.file.warnings()
    }
}

/// JSON as Markdown shows it as it is: every line indented by four spaces.
fn code(json: &Value) -> String {
    let text = serde_json::to_string_pretty(json).unwrap_or_default();
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// `events.out.tfevents.<seconds>.<host>.<process>`. Readers go through the files of a folder in the order of their names, so the
/// seconds are later than those of every file that is there.
fn name(folder: &Path, now: f64) -> String {
    let seconds = |name: &str| name.strip_prefix(PREFIX)?.split('.').next()?.parse::<u64>().ok();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let latest = entries.filter_map(|entry| seconds(entry.file_name().to_str()?)).max();
    let time = latest.map_or(0, |latest| latest.saturating_add(1)).max(now as u64);
    let system = rustix::system::uname();
    let host: String = system.nodename().to_string_lossy().replace(['/', '\\'], "-");
    format!("{PREFIX}{time:010}.{host}.{}", process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_same_second_are_read_in_the_order_they_were_made_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut names = Vec::new();
        for _ in 0..3 {
            let name = name(folder.path(), 1_700_000_000.5);
            fs::write(folder.path().join(&name), "").unwrap();
            names.push(name);
        }
        assert!(names[0].starts_with("events.out.tfevents.1700000000."), "{names:?}");
        assert!(names.is_sorted() && names[1].starts_with("events.out.tfevents.1700000001."), "{names:?}");
    }
}
