//! The one pass over a file when it is opened: its bytes are hashed and checked to be UTF-8, its lines counted and put into
//! blocks.

use std::path::Path;

use super::{Block, wide};
use crate::{Error, Result, hash::ContentHash};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The longest line in bytes: words of a sentence are counted in 31 bits.
const LINE_LIMIT: u64 = i32::MAX as u64;

/// What has been seen of a file.
pub(super) struct Scanner<'a> {
    path: &'a Path,
    hasher: blake3::Hasher,
    /// Bytes used so far.
    at: u64,
    /// Where the line that is not at its end starts.
    line_start: u64,
    /// Lines that have ended.
    lines: usize,
    blocks: Vec<Block>,
    /// Bytes after which a block ends with its line.
    block: u64,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(path: &'a Path, block: u64) -> Self {
        Self {
            path,
            hasher: blake3::Hasher::new(),
            at: 0,
            line_start: 0,
            lines: 0,
            blocks: Vec::new(),
            block,
        }
    }

    /// Looks at the next bytes and returns how many were used: all, but for the beginning of a character whose rest is
    /// still to come.
    pub(super) fn feed(&mut self, bytes: &[u8], last: bool) -> Result<usize> {
        if self.at == 0 && self.blocks.is_empty() {
            wide::refuse(self.path, bytes)?;
            let mark = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() as u64 } else { 0 };
            self.blocks.push(Block { first_line: 0, start: mark });
        }
        // As `str::from_utf8`, many times as fast where a text is not ASCII.
        let used = match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => bytes.len(),
            Err(error) if error.error_len().is_none() && !last => error.valid_up_to(),
            Err(error) => return Err(self.not_utf8(bytes, error.valid_up_to())),
        };
        let bytes = &bytes[..used];
        self.hasher.update(bytes);
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.end_line(self.at + end as u64 + 1)?;
        }
        self.at += used as u64;
        self.check_length(self.at)?;
        if last && self.start_of_text() < self.at && self.line_start < self.at {
            self.end_line(self.at)?;
        }
        Ok(used)
    }

    /// The blocks, the size in bytes, and the hash of the bytes.
    pub(super) fn finish(mut self) -> (Vec<Block>, u64, ContentHash) {
        let end = Block { first_line: self.lines, start: self.at };
        match self.blocks.last_mut() {
            // A block without lines: the last one was closed by the last line, or the file has none.
            Some(last) if last.first_line == self.lines => *last = end,
            _ => self.blocks.push(end),
        }
        (self.blocks, self.at, ContentHash(self.hasher.finalize().into()))
    }

    fn start_of_text(&self) -> u64 {
        self.blocks.first().map_or(0, |block| block.start)
    }

    fn end_line(&mut self, end: u64) -> Result<()> {
        self.check_length(end)?;
        self.lines += 1;
        self.line_start = end;
        if self.blocks.last().is_some_and(|block| end - block.start >= self.block) {
            self.blocks.push(Block { first_line: self.lines, start: end });
        }
        Ok(())
    }

    fn check_length(&self, end: u64) -> Result<()> {
        if end - self.line_start <= LINE_LIMIT {
            return Ok(());
        }
        Err(Error::LineTooLong { file: self.path.to_owned(), line: self.lines + 1, limit: LINE_LIMIT })
    }

    fn not_utf8(&self, bytes: &[u8], at: usize) -> Error {
        let before = &bytes[..at];
        let line_start =
            memchr::memrchr(b'\n', before).map_or(self.line_start, |end| self.at + end as u64 + 1);
        let position = self.at + at as u64;
        Error::InvalidUtf8 {
            file: self.path.to_owned(),
            line: self.lines + memchr::memchr_iter(b'\n', before).count() + 1,
            byte_in_line: position - line_start + 1,
            byte_in_file: position + 1,
            byte: bytes[at],
        }
    }
}
