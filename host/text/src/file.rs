//! One corpus file: opened, checked and indexed by line. Joining several is `corpus`'s.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use memmap2::Mmap;

use crate::{Error, Result};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes looked at to recognise UTF-16 without a byte order mark.
const SAMPLE: usize = 4096;

/// A UTF-8 file as lines. Lines end at LF or CR LF; a byte order mark at the start is not text.
#[derive(Debug)]
pub(crate) struct TextFile {
    path: PathBuf,
    bytes: Bytes,
    /// The start of each line, and the end of the last.
    starts: Vec<u64>,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

impl TextFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        refuse_wide_characters(path, &bytes)?;
        let starts = check_and_index(path, &bytes)?;
        Ok(Self { path: path.to_owned(), bytes, starts })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lines(&self) -> usize {
        self.starts.len() - 1
    }

    /// A line, from 0, without its end.
    pub(crate) fn line(&self, line: usize) -> Result<&str> {
        let bytes = &self.bytes[self.starts[line] as usize..self.starts[line + 1] as usize];
        let bytes = match bytes {
            [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] => line,
            line => line,
        };
        // Checked when the file was opened; a map shows what others write to the file since.
        str::from_utf8(bytes).map_err(|_| Error::Changed { file: self.path.clone(), line: line + 1 })
    }

    /// Carriage returns that are not part of a line's end.
    pub(crate) fn lone_carriage_returns(&self) -> usize {
        lone_carriage_returns(&self.bytes)
    }
}

/// Carriage returns not followed by a line feed. In a line without its end these are all it has, but for those before a
/// line feed, of which there is none.
pub(crate) fn lone_carriage_returns(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count()
}

fn read(path: &Path) -> Result<Bytes> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(path),
        _ => Error::Unreadable { file: path.to_owned(), cause },
    };
    let metadata = path.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::Directory { file: path.to_owned() });
    }
    let mut file = File::open(path).map_err(failed)?;
    if metadata.is_file() && metadata.len() > 0 {
        // SAFETY: the map is private to this module and only ever read as bytes. Another process that writes to the file
        // changes the bytes seen here: every line is checked to be UTF-8 again when it is read (`line`), and positions
        // stay within the mapped length. Corpora are documented as not to be changed while they are read.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        return Ok(Bytes::Mapped(map));
    }
    // Empty files cannot be mapped on every system, pipes and devices on none; some of these have a size of 0.
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Bytes::Read(bytes))
}

/// The error for a file that is not there, with the nearest name in its folder.
fn missing(path: &Path) -> Error {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let wanted = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.file_name());
    let nearest = names
        .map(|name| (strsim::normalized_damerau_levenshtein(&wanted, &name.to_string_lossy()), name))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|(a, a_name), (b, b_name)| a.total_cmp(b).then_with(|| b_name.cmp(a_name)))
        .map(|(_, name)| path.with_file_name(name));
    Error::Missing { file: path.to_owned(), nearest, folder_missing: !folder.is_dir() }
}

fn refuse_wide_characters(path: &Path, bytes: &[u8]) -> Result<()> {
    let (encoding, evidence) = match bytes {
        [0xff, 0xfe, 0, 0, ..] => ("UTF-32LE", "its byte order mark"),
        [0, 0, 0xfe, 0xff, ..] => ("UTF-32BE", "its byte order mark"),
        [0xff, 0xfe, ..] => ("UTF-16LE", "its byte order mark"),
        [0xfe, 0xff, ..] => ("UTF-16BE", "its byte order mark"),
        _ => {
            let sample = &bytes[..bytes.len().min(SAMPLE)];
            let pairs = sample.len() / 2;
            let zeros = |offset: usize| sample.chunks_exact(2).filter(|pair| pair[offset] == 0).count();
            let (first, second) = (zeros(0), zeros(1));
            // Text in an alphabet has a zero byte in at least every second of its 16-bit units (spaces and ASCII, if
            // nothing else, in every fifth); zero bytes on both sides alike are not text at all.
            let mostly = |zeros: usize, others: usize| zeros * 5 > pairs && others * 20 <= pairs;
            if mostly(second, first) {
                ("UTF-16LE", "a zero in every second byte")
            } else if mostly(first, second) {
                ("UTF-16BE", "a zero in every second byte")
            } else {
                return Ok(());
            }
        }
    };
    Err(Error::WideCharacters { file: path.to_owned(), encoding, evidence })
}

/// Checks that the text is UTF-8 and returns where its lines start, and where the last ends.
fn check_and_index(path: &Path, bytes: &[u8]) -> Result<Vec<u64>> {
    if let Err(error) = str::from_utf8(bytes) {
        let at = error.valid_up_to();
        let line_start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1);
        return Err(Error::InvalidUtf8 {
            file: path.to_owned(),
            line: memchr::memchr_iter(b'\n', &bytes[..at]).count() + 1,
            byte_in_line: (at - line_start) as u64 + 1,
            byte_in_file: at as u64 + 1,
            byte: bytes[at],
        });
    }
    let text_start = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let mut starts = vec![text_start as u64];
    starts.extend(memchr::memchr_iter(b'\n', bytes).map(|end| end as u64 + 1));
    if starts.last() != Some(&(bytes.len() as u64)) {
        starts.push(bytes.len() as u64);
    }
    Ok(starts)
}
