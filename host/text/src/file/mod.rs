//! One corpus file: opened, checked and known by blocks of lines. Nothing is mapped: a file that shrinks while it is read is
//! an error here, never a fault of the process. Reading lines is `reader`'s, recognising other encodings `wide`'s, joining
//! several files `corpus`'s.

mod reader;
mod scan;
#[cfg(test)]
mod tests;
mod wide;

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

pub(crate) use reader::{FileReader, without_end};
use scan::Scanner;
pub(crate) use wide::refuse as refuse_wide;

use crate::{Error, Result, hash::ContentHash};

/// Sizes in bytes by which files are read; tests have smaller ones.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Files that together are not larger are read once and kept; others are opened and read anew, in blocks, by everything
    /// that goes through them, so that their text is in the page cache alone and however many there are can be used.
    held: u64,
    /// What is asked for at a time when a file is read from end to end.
    piece: usize,
    /// A block ends with the line that makes it as long as this.
    block: u64,
}

const SIZES: Sizes = Sizes { held: 4 << 20, piece: 1 << 20, block: 64 << 10 };

/// What a pipe may give, which can be read once only and is kept.
const PIPE_LIMIT: u64 = 1 << 30;

/// A UTF-8 file as lines. Lines end at LF or CR LF; a byte order mark at the start is not text.
#[derive(Debug)]
pub(crate) struct TextFile {
    path: PathBuf,
    content: Content,
    /// In order; the last one is the end of the file, without lines.
    blocks: Vec<Block>,
    bytes: u64,
    hash: ContentHash,
}

#[derive(Debug)]
enum Content {
    Held(String),
    OnDisk(Stamp),
}

/// Where some lines begin: reading goes by blocks of about [`Sizes::block`] bytes, which are whole lines.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// From 0.
    first_line: usize,
    /// Byte in the file.
    start: u64,
}

/// What tells that a file was written to, or its name given to another, since it was first opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// Device and number.
    file: (u64, u64),
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    fn new(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// What has changed since.
    fn difference(&self, now: &Self) -> Option<&'static str> {
        if now.file != self.file {
            Some("its name is another file's now")
        } else if now.bytes != self.bytes {
            Some("its size is another")
        } else {
            (now.modified != self.modified).then_some("it was written to")
        }
    }
}

impl TextFile {
    /// Opens one of several files of a text.
    pub(crate) fn open(path: &Path, files: usize) -> Result<Self> {
        Self::open_by(path, Sizes { held: SIZES.held / files.max(1) as u64, ..SIZES })
    }

    fn open_by(path: &Path, sizes: Sizes) -> Result<Self> {
        let (file, metadata) = open(path)?;
        let mut scanner = Scanner::new(path, sizes.block);
        let content = if metadata.is_file() && metadata.len() > sizes.held {
            let stamp = Stamp::new(&metadata);
            scan_on_disk(path, &file, &mut scanner, sizes.piece)?;
            Content::OnDisk(stamp)
        } else {
            // What says that it has no bytes may have some all the same (under `/proc`, for instance).
            let limit = if metadata.is_file() { SIZES.held } else { PIPE_LIMIT };
            let bytes = read_whole(path, &file, limit)?;
            scanner.feed(&bytes, true)?;
            // Checked by the scanner; a second look at a few megabytes costs nothing.
            Content::Held(String::from_utf8(bytes).map_err(|_| changed(path, "its bytes are others now"))?)
        };
        let (blocks, bytes, hash) = scanner.finish();
        let opened = Self { path: path.to_owned(), content, blocks, bytes, hash };
        opened.check_unchanged()?;
        Ok(opened)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lines(&self) -> usize {
        self.blocks.last().map_or(0, |end| end.first_line)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn hash(&self) -> ContentHash {
        self.hash
    }

    pub(crate) fn reader(&self) -> FileReader<'_> {
        FileReader::new(self)
    }

    /// Whether the file is still what was opened, by its size and its time of modification.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let Content::OnDisk(stamp) = &self.content else { return Ok(()) };
        let metadata = self.path.metadata().map_err(|cause| self.gone(cause))?;
        if self.bytes != stamp.bytes {
            return Err(self.changed("its size is another"));
        }
        stamp.difference(&Stamp::new(&metadata)).map_or(Ok(()), |evidence| Err(self.changed(evidence)))
    }

    /// The file, which must be the one that was opened first.
    fn open_again(&self, stamp: &Stamp) -> Result<File> {
        self.check_unchanged()?;
        let file = File::open(&self.path).map_err(|cause| self.gone(cause))?;
        let metadata = file.metadata().map_err(|cause| self.gone(cause))?;
        match stamp.difference(&Stamp::new(&metadata)) {
            None => Ok(file),
            Some(evidence) => Err(self.changed(evidence)),
        }
    }

    fn gone(&self, cause: io::Error) -> Error {
        match cause.kind() {
            io::ErrorKind::NotFound => self.changed("it is gone"),
            _ => Error::Unreadable { file: self.path.clone(), cause },
        }
    }

    /// Carriage returns that are not part of a line's end.
    pub(crate) fn lone_carriage_returns(&self) -> Result<usize> {
        let mut reader = self.reader();
        let mut count = 0;
        for block in self.blocks.windows(2) {
            reader.line(block[0].first_line)?;
            count += lone_carriage_returns(reader.block().as_bytes());
        }
        Ok(count)
    }

    /// The error for a file that is not what was opened.
    fn changed(&self, evidence: &'static str) -> Error {
        changed(&self.path, evidence)
    }
}

fn changed(path: &Path, evidence: &'static str) -> Error {
    Error::Changed { file: path.to_owned(), evidence }
}

/// Carriage returns not followed by a line feed. In a line without its end these are all it has, but for those before a
/// line feed, of which there is none.
pub(crate) fn lone_carriage_returns(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count()
}

/// Whether a path leads to a pipe, whose text comes once only.
pub(crate) fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Opens a file or a pipe.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata)> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(path),
        _ => Error::Unreadable { file: path.to_owned(), cause },
    };
    let kind = path.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(Error::Directory { file: path.to_owned() });
    }
    // A terminal waits for ever and `/dev/zero` never ends.
    if kind.is_char_device() || kind.is_block_device() {
        return Err(Error::Device { file: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    Ok((file, metadata))
}

/// All bytes of a small file or a pipe.
fn read_whole(path: &Path, file: &File, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|cause| Error::Unreadable { file: path.to_owned(), cause })?;
    match bytes.len() as u64 {
        length if length <= limit => Ok(bytes),
        _ if limit == PIPE_LIMIT => Err(Error::PipeTooLong { file: path.to_owned(), limit }),
        _ => Err(changed(path, "it has grown")),
    }
}

fn scan_on_disk(path: &Path, file: &File, scanner: &mut Scanner<'_>, piece: usize) -> Result<()> {
    let mut buffer = vec![0; piece];
    let (mut at, mut filled) = (0, 0);
    loop {
        let read = match file.read_at(&mut buffer[filled..], at) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(Error::Unreadable { file: path.to_owned(), cause }),
            Ok(read) => read,
        };
        (at, filled) = (at + read as u64, filled + read);
        if read > 0 && filled < buffer.len() {
            continue;
        }
        // A character that the piece has cut in two is looked at again with the next.
        let used = scanner.feed(&buffer[..filled], read == 0)?;
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if read == 0 {
            return Ok(());
        }
    }
}

/// The error for a file that is not there, with the nearest name in its folder.
fn missing(path: &Path) -> Error {
    if let Ok(leads_to) = path.read_link() {
        return Error::DanglingLink { file: path.to_owned(), leads_to };
    }
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
