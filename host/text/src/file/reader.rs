//! Reading lines of a file, block by block: a line near the last one costs nothing but looking it up.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{Content, TextFile};
use crate::{Error, Result};

/// Reads lines of one file. What it holds is one block, or the longest line where that is more.
#[derive(Debug)]
pub(crate) struct FileReader<'a> {
    file: &'a TextFile,
    /// Opened when the first block is read, where the file is not held.
    open: Option<File>,
    /// The block that was read last, of a file that is not held.
    read: String,
    /// The same of a file that is held.
    held: &'a str,
    /// The number of its first line.
    first_line: usize,
    /// Where its lines start in it, and where the last ends; empty before the first block was read.
    starts: Vec<usize>,
}

impl<'a> FileReader<'a> {
    pub(super) fn new(file: &'a TextFile) -> Self {
        Self { file, open: None, read: String::new(), held: "", first_line: 0, starts: Vec::new() }
    }

    /// A line, from 0, without its end.
    pub(crate) fn line(&mut self, line: usize) -> Result<&str> {
        self.line_with_end(line).map(without_end)
    }

    /// A line, from 0, as it stands in the file.
    pub(crate) fn line_with_end(&mut self, line: usize) -> Result<&str> {
        let loaded = self.first_line..self.first_line + self.starts.len().saturating_sub(1);
        if !loaded.contains(&line) {
            self.load(line)?;
        }
        let at = line - self.first_line;
        Ok(&self.block()[self.starts[at]..self.starts[at + 1]])
    }

    /// The block of the line that was read last.
    pub(super) fn block(&self) -> &str {
        match self.file.content {
            Content::Held(_) => self.held,
            Content::OnDisk(..) => &self.read,
        }
    }

    fn load(&mut self, line: usize) -> Result<()> {
        let blocks = &self.file.blocks;
        let number = blocks.partition_point(|block| block.first_line <= line).saturating_sub(1);
        let (block, end) = (blocks[number], blocks[number + 1]);
        // What is there stays no longer valid, whatever goes wrong below.
        self.starts.clear();
        match &self.file.content {
            Content::Held(text) => self.held = &text[block.start as usize..end.start as usize],
            Content::OnDisk(stamp) => {
                let file = match self.open.take() {
                    Some(file) => file,
                    None => self.file.open_again(stamp)?,
                };
                let mut bytes = std::mem::take(&mut self.read).into_bytes();
                bytes.resize((end.start - block.start) as usize, 0);
                file.read_exact_at(&mut bytes, block.start).map_err(|cause| match cause.kind() {
                    io::ErrorKind::UnexpectedEof => self.file.changed("it is shorter"),
                    _ => Error::Unreadable { file: self.file.path.clone(), cause },
                })?;
                self.open = Some(file);
                self.read =
                    String::from_utf8(bytes).map_err(|_| self.file.changed("its bytes are others now"))?;
            }
        }
        let mut starts = std::mem::take(&mut self.starts);
        let text = self.block();
        starts.push(0);
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1));
        if starts.last() != Some(&text.len()) {
            starts.push(text.len());
        }
        let is_last = number + 2 == blocks.len();
        if starts.len() - 1 != end.first_line - block.first_line || !is_last && !text.ends_with('\n') {
            return Err(self.file.changed("its lines end elsewhere"));
        }
        (self.starts, self.first_line) = (starts, block.first_line);
        Ok(())
    }
}

/// The text of a line without LF or CR LF at its end.
pub(crate) fn without_end(line: &str) -> &str {
    line.strip_suffix('\n').map_or(line, |text| text.strip_suffix('\r').unwrap_or(text))
}
