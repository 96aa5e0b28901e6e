//! A connection that is never waited for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::frames::{Frame, Malformed};

/// What is taken in at once at most, so that none keeps the others from being heard.
const AT_ONCE: usize = 64 << 10;

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// More may come.
    Open,
    /// The other end has closed it, or the process there has ended.
    Ended,
    /// The network does not reach the other end.
    Cut,
}

#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    /// What has come and was not read yet.
    input: Vec<u8>,
    /// What the network has not taken yet.
    output: Vec<u8>,
    /// Whether nothing more can be sent.
    shut: bool,
}

impl Line {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // Frames are small, rare and urgent.
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::new(), output: Vec::new(), shut: false })
    }

    /// Takes in what has come. How much, and how the connection is after that.
    pub(super) fn take_in(&mut self) -> (usize, Condition) {
        let mut chunk = [0; 4096];
        let mut count = 0;
        while count < AT_ONCE {
            match self.stream.read(&mut chunk) {
                Ok(0) => return (count, Condition::Ended),
                Ok(size) => {
                    self.input.extend_from_slice(&chunk[..size]);
                    count += size;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => break,
                    ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                        return (count, Condition::Cut);
                    }
                    _ => return (count, Condition::Ended),
                },
            }
        }
        (count, Condition::Open)
    }

    /// What was taken in and not read yet.
    pub(super) fn input(&self) -> &[u8] {
        &self.input
    }

    /// So much of it is read.
    pub(super) fn skip(&mut self, size: usize) {
        self.input.drain(..size.min(self.input.len()));
    }

    /// Nobody wants what was taken in.
    pub(super) fn forget(&mut self) {
        self.input.clear();
    }

    /// The next frame of what was taken in; `None` while it is not all there.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some((frame, size)) = Frame::read(&self.input)? else { return Ok(None) };
        self.skip(size);
        Ok(Some(frame))
    }

    /// Sends this as soon as the network takes it.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if !self.shut {
            self.output.extend_from_slice(bytes);
            self.flush();
        }
    }

    /// Sends what still waits; whether nothing does any more.
    ///
    /// An error is none here: what the other end sent before is still to be read, and then how the connection ended.
    pub(super) fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(size) if size > 0 => drop(self.output.drain(..size)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                _ => {
                    self.output.clear();
                    self.shut = true;
                }
            }
        }
        true
    }

    /// Says that nothing more is sent, once all that waits is.
    ///
    /// A connection that is closed while something waits to be read may lose what was sent last. So it is first shut, and closed once
    /// the other end has closed it.
    pub(super) fn shut(&mut self) {
        if self.flush() && !self.shut {
            self.shut = true;
            // An error says that it has ended already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}
