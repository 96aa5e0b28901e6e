//! `output.log`: every line with its time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;

/// The log of a run; kept in memory until there is a file to write to.
#[derive(Default)]
pub(super) struct LogFile {
    pending: Vec<String>,
    file: Option<BufWriter<File>>,
}

impl LogFile {
    /// Writes to `path` from now on, what was said before first.
    pub(super) fn attach(&mut self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::options().create(true).append(true).open(path)?);
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

    /// Hands what was written to the operating system.
    pub(super) fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            drop(file.flush());
        }
    }
}
