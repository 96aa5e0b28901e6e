//! Adding to the record. Nothing that goes wrong here stops a run: see [`Journal::warnings`].

use std::path::Path;

use jiff::Timestamp;

use super::FILE;
use crate::append::{AppendFile, Ending};
use crate::record::{Event, Record};

/// The record of a run, to be added to. A last line that a crash left unfinished is cut off before anything is added.
#[derive(Debug)]
pub struct Journal {
    file: AppendFile,
}

impl Journal {
    /// The record in a run's directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { file: AppendFile::new(directory.join(FILE), Ending::Line) }
    }

    /// Adds what happens now, and gives when that is. It is written with the next flush, or when many have come together.
    pub fn record(&mut self, event: Event) -> Record {
        // Milliseconds are enough to tell when, and lines stay short.
        let now = Timestamp::now();
        let time = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let record = Record { time, event };
        // These types have no key that JSON lacks, so that writing them to memory cannot fail.
        if let Ok(mut line) = serde_json::to_vec(&record) {
            line.push(b'\n');
            self.file.push(line);
        }
        record
    }

    /// Writes what was added since.
    pub fn flush(&mut self) {
        self.file.flush();
    }

    /// Writes what was added since, down to the disk.
    pub fn sync(&mut self) {
        self.file.sync();
    }

    /// What went wrong since the last call; the same trouble at most once in ten minutes.
    pub fn warnings(&mut self) -> Vec<String> {
        self.file.warnings()
    }
}
