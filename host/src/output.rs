//! Standard output: data and nothing else. Whoever reads it may stop at any line, as `head` does, and that is no error.

use std::io::{self, Write};

/// Writes lines of data until nobody reads them.
#[derive(Debug, Default)]
pub(crate) struct Output {
    closed: bool,
}

impl Output {
    /// Writes a line. After the reader has gone, lines go nowhere.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
        self.note_closing(written.and_then(|()| stdout.flush()))
    }

    /// Whether the reader has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    fn note_closing(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }
}
