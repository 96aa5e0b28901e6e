//! A file that only grows, by whole pieces, and whose failures stop nobody: what cannot be written is kept in memory and tried
//! again, up to a bound, and a piece of which only a part was written is cut off before the next one.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::limit::Limit;

/// Bytes after which pieces are written without being asked to.
const WRITTEN_AT: usize = 64 << 10;

/// The most bytes that are kept when nothing can be written.
const KEPT: usize = 8 << 20;

/// What stands at the end of a file that another process may have left in the middle of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The file is new: there is none of this name yet.
    New,
    /// Pieces are lines; what follows the last end of a line is cut off.
    Line,
}

/// The file.
#[derive(Debug)]
pub(crate) struct AppendFile {
    path: PathBuf,
    ending: Ending,
    opened: Option<Opened>,
    pending: VecDeque<Vec<u8>>,
    bytes: usize,
    kept: usize,
    lost: u64,
    failing: bool,
    /// Whether the failure was told, so that its end is told too.
    told: bool,
    limit: Limit,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// Where the last whole piece ends.
    end: u64,
}

impl AppendFile {
    /// Nothing is opened yet: that too may fail and is tried again.
    pub(crate) fn new(path: PathBuf, ending: Ending) -> Self {
        Self {
            path,
            ending,
            opened: None,
            pending: VecDeque::new(),
            bytes: 0,
            kept: KEPT,
            lost: 0,
            failing: false,
            told: false,
            limit: Limit::default(),
            warnings: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn keeping(mut self, kept: usize) -> Self {
        self.kept = kept;
        self
    }

    /// Adds a piece. It is written with the next flush, or when many have come together.
    pub(crate) fn push(&mut self, piece: Vec<u8>) {
        self.bytes += piece.len();
        self.pending.push_back(piece);
        if self.failing {
            while self.bytes > self.kept {
                let Some(oldest) = self.pending.pop_front() else { break };
                self.bytes -= oldest.len();
                self.lost += 1;
            }
        } else if self.bytes >= WRITTEN_AT {
            self.flush();
        }
    }

    /// Writes what is pending. If that fails it stays pending.
    pub(crate) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.write() {
            Ok(()) => self.note_success(),
            Err(error) => {
                self.failing = true;
                if self.limit.may_speak() {
                    self.told = true;
                    self.warnings.push(format!(
                        "{} cannot be written: {error}; the run goes on, what belongs there is kept in memory and tried again: make \
                         room, or see to the permissions",
                        self.path.display()
                    ));
                }
            }
        }
    }

    /// Has what was written reach the disk itself.
    pub(crate) fn sync(&mut self) {
        self.flush();
        if let Some(Opened { file, .. }) = &self.opened {
            // A device that fails here has failed a write before, or is nobody's business any more.
            let _ = file.sync_all();
        }
    }

    /// What went wrong since the last call.
    pub(crate) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn note_success(&mut self) {
        self.failing = false;
        let (told, lost) = (std::mem::take(&mut self.told), std::mem::take(&mut self.lost));
        if !told && lost == 0 {
            return;
        }
        let path = self.path.display();
        self.warnings.push(match lost {
            0 => format!("{path} is written again, and nothing is missing in it"),
            lost => {
                format!(
                    "{path} is written again; {lost} of its entries were too many to keep and are missing"
                )
            }
        });
    }

    fn write(&mut self) -> io::Result<()> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            closed => closed.insert(open(&self.path, self.ending)?),
        };
        let bytes: Vec<u8> = self.pending.iter().flatten().copied().collect();
        let written =
            opened.file.seek(SeekFrom::Start(opened.end)).and_then(|_| opened.file.write_all(&bytes));
        if let Err(error) = written {
            // A part of it may be there. If it cannot be cut off now, the next pieces are written over it.
            let _ = opened.file.set_len(opened.end);
            return Err(error);
        }
        opened.end += bytes.len() as u64;
        self.pending.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl Drop for AppendFile {
    fn drop(&mut self) {
        self.flush();
    }
}

fn open(path: &Path, ending: Ending) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match ending {
        Ending::New => {
            let file = options.create_new(true).open(path)?;
            Ok(Opened { file, end: 0 })
        }
        Ending::Line => {
            let mut file = options.create(true).truncate(false).open(path)?;
            let end = end_of_lines(&mut file)?;
            file.set_len(end)?;
            Ok(Opened { file, end })
        }
    }
}

/// Where the last whole line ends.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0_u8; 4096];
    while end > 0 {
        let begin = end.saturating_sub(block.len() as u64);
        let Some(part) = usize::try_from(end - begin).ok().and_then(|length| block.get_mut(..length)) else {
            break;
        };
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        for (before, after) in [
            (String::new(), "new\n".to_owned()),
            ("torn".to_owned(), "new\n".to_owned()),
            ("whole\n".to_owned(), "whole\nnew\n".to_owned()),
            (format!("whole\n{}", "x".repeat(10_000)), "whole\nnew\n".to_owned()),
            (format!("{}\ntorn", "x".repeat(4095)), format!("{}\nnew\n", "x".repeat(4095))),
        ] {
            fs::write(&path, before).unwrap();
            let mut file = AppendFile::new(path.clone(), Ending::Line);
            file.push(b"new\n".to_vec());
            file.flush();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            assert_eq!(file.warnings(), [""; 0]);
        }
    }

    #[test]
    fn what_cannot_be_written_comes_later_and_is_warned_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/lines");
        let mut file = AppendFile::new(path.clone(), Ending::Line);
        for number in 0..5 {
            file.push(format!("{number}\n").into_bytes());
            file.flush();
        }
        let said = file.warnings();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("cannot be written"), "{said:?}");
        fs::create_dir(folder.path().join("absent")).unwrap();
        file.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "0\n1\n2\n3\n4\n");
        assert!(file.warnings()[0].ends_with("nothing is missing in it"));
    }

    #[test]
    fn beyond_the_bound_the_oldest_are_lost_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/lines");
        let mut file = AppendFile::new(path.clone(), Ending::Line).keeping(4);
        file.push(b"0\n".to_vec());
        file.flush();
        for number in 1..5 {
            file.push(format!("{number}\n").into_bytes());
        }
        file.warnings();
        fs::create_dir(folder.path().join("absent")).unwrap();
        file.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n4\n");
        assert!(file.warnings()[0].contains("3 of its entries"));
    }

    #[test]
    fn a_full_disk_is_a_warning() {
        let mut file = AppendFile::new(PathBuf::from("/dev/full"), Ending::Line);
        file.push(b"line\n".to_vec());
        file.flush();
        assert_eq!(file.warnings().len(), 1);
    }
}
