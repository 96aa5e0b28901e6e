//! Lines of what can be read once only: standard input, a pipe, a compressed file. One line is held at a time.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result, file};

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// The first bytes of a file that gzip has compressed; no UTF-8 text begins so.
const GZIP: [u8; 2] = [0x1f, 0x8b];

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The longest line in bytes: words of a sentence are counted in 31 bits.
const LINE_LIMIT: usize = i32::MAX as usize;

/// What is asked for at a time.
const PIECE: usize = 1 << 18;

/// Lines of a stream, checked as they come.
pub(super) struct LineStream {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    /// Lines so far.
    lines: usize,
    /// Bytes of the text so far, decompressed.
    bytes: u64,
}

/// Whether a path leads to what can be read once only, or is compressed.
///
/// # Errors
/// It is not there, or cannot be read.
pub(super) fn is_stream(path: &Path) -> Result<bool> {
    if path == Path::new(STANDARD_INPUT) || file::is_pipe(path) {
        return Ok(true);
    }
    let (mut opened, _) = file::open(path)?;
    let mut first = [0; 2];
    let read = opened.read(&mut first).map_err(|cause| unreadable(path, cause))?;
    Ok(first[..read] == GZIP)
}

fn unreadable(path: &Path, cause: io::Error) -> Error {
    Error::Unreadable { file: path.to_owned(), cause }
}

impl LineStream {
    /// Opens a file, a pipe, or standard input, which is named `-`; what is compressed by gzip is decompressed.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let raw: Box<dyn Read + Send> = match path == Path::new(STANDARD_INPUT) {
            true => Box::new(io::stdin()),
            false => Box::new(file::open(path)?.0),
        };
        let name = match path == Path::new(STANDARD_INPUT) {
            true => PathBuf::from("standard input"),
            false => path.to_owned(),
        };
        let mut buffered = BufReader::with_capacity(PIECE, raw);
        let first = buffered.fill_buf().map_err(|cause| unreadable(&name, cause))?;
        let input: Box<dyn BufRead + Send> = match first.starts_with(&GZIP) {
            true => Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(buffered))),
            false => Box::new(buffered),
        };
        Ok(Self { path: name, input, lines: 0, bytes: 0 })
    }

    /// What it is called in messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the next line with its end, and a byte order mark before the first; false at the end of the text.
    ///
    /// # Errors
    /// It cannot be read, or is not UTF-8, or the line is 2 GiB long.
    pub(super) fn read(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        let start = text.len();
        let read = (&mut self.input).take(LINE_LIMIT as u64 + 1).read_until(b'\n', text);
        let read = read.map_err(|cause| unreadable(&self.path, cause))?;
        // A mark that nothing follows is no line.
        if read == 0 || self.lines == 0 && &text[start..] == BYTE_ORDER_MARK {
            text.truncate(start);
            return Ok(false);
        }
        let line = &text[start..];
        if line.len() > LINE_LIMIT {
            let (file, line) = (self.path.clone(), self.lines + 1);
            return Err(Error::LineTooLong { file, line, limit: LINE_LIMIT as u64 });
        }
        if self.lines == 0 {
            file::refuse_wide(&self.path, line)?;
        }
        if let Err(error) = simdutf8::compat::from_utf8(line) {
            let at = error.valid_up_to();
            return Err(Error::InvalidUtf8 {
                file: self.path.clone(),
                line: self.lines + 1,
                byte_in_line: at as u64 + 1,
                byte_in_file: self.bytes + at as u64 + 1,
                byte: line[at],
            });
        }
        self.lines += 1;
        self.bytes += read as u64;
        Ok(true)
    }

    /// Reads on to the end and tells how many lines there are in all.
    ///
    /// # Errors
    /// As [`LineStream::read`].
    pub(super) fn count(&mut self) -> Result<usize> {
        let mut line = Vec::new();
        while self.read(&mut line)? {
            line.clear();
        }
        Ok(self.lines)
    }
}

/// Whether this file is standard input, which has no name to open it by again.
#[must_use]
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// Whether a file begins with a byte order mark, which is no text.
///
/// # Errors
/// It cannot be read.
pub(super) fn begins_with_mark(path: &Path) -> Result<bool> {
    let (opened, _) = file::open(path)?;
    let mut first = Vec::new();
    opened.take(3).read_to_end(&mut first).map_err(|cause| unreadable(path, cause))?;
    Ok(first == BYTE_ORDER_MARK)
}
