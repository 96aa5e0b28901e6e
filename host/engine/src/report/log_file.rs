//! `output.log`: every line with its time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;

use crate::sudden_end;

/// The log of a run; kept in memory until there is a file to write to.
#[derive(Default)]
pub(super) struct LogFile {
    pending: Vec<String>,
    file: Option<BufWriter<File>>,
    /// Steps between two writings to disk.
    save_interval: u64,
    /// The step of the last one.
    saved_at: u64,
}

impl LogFile {
    /// Writes to `path` from now on, what was said before first.
    pub(super) fn attach(&mut self, path: &Path, save_interval: u64) -> io::Result<()> {
        self.save_interval = save_interval;
        let file = File::options().create(true).append(true).open(path)?;
        sudden_end::log_to(&file);
        let mut file = BufWriter::new(file);
        for line in self.pending.drain(..) {
            writeln!(file, "{line}")?;
        }
        file.flush()?;
        self.file = Some(file);
        Ok(())
    }

    /// Adds a line.
    pub(super) fn write(&mut self, level: &str, text: &str) {
        let line = format!("{:.0} {level} {text}", Timestamp::now());
        match &mut self.file {
            // A log that cannot be written (a full disk) must not stop a run.
            Some(file) => drop(writeln!(file, "{line}")),
            None => self.pending.push(line),
        }
    }

    /// An entry of this optimizer step was added: writes to the file if the last time is long enough ago, and says whether it did.
    pub(super) fn step_logged(&mut self, step: u64) -> bool {
        let due = step >= self.saved_at.saturating_add(self.save_interval);
        if due {
            self.saved_at = step;
            self.flush();
        }
        due
    }

    /// Hands what was written to the operating system.
    pub(super) fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            drop(file.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_in_the_file_after_as_many_steps_as_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output.log");
        let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
        let mut log = LogFile::default();
        log.write("INFO", "before there is a file");
        log.attach(&path, 10).unwrap();
        assert_eq!(lines(), 1);
        for step in [4, 8] {
            log.write("INFO", "a step");
            log.step_logged(step);
        }
        assert_eq!(lines(), 1);
        log.write("INFO", "a step");
        log.step_logged(12);
        assert_eq!(lines(), 4);
        log.write("INFO", "a step");
        log.step_logged(16);
        assert_eq!(lines(), 4, "four steps after the last time");
        log.flush();
        assert_eq!(lines(), 5);
    }
}
