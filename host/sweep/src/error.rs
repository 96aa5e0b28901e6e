//! What keeps a sweep from beginning or going on.

use std::io;
use std::path::PathBuf;

use kiwi_core::config::changes::Change;
use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use thiserror::Error;

/// So many changes are told.
const TOLD: usize = 5;

/// What keeps a sweep from beginning or going on.
#[derive(Debug, Error)]
pub enum Error {
    /// There is something in the directory of a new sweep.
    #[error("the directory of the sweep is in use already, and nothing in it is overwritten")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Whether a sweep is in it.
        sweep: bool,
    },
    /// There is no sweep in the directory.
    #[error("there is no sweep in the directory")]
    NotASweep {
        /// The directory.
        path: PathBuf,
    },
    /// The sweep in the directory is another.
    #[error("the sweep in {} is not the one of the sweep file", path.display())]
    Changed {
        /// The directory.
        path: PathBuf,
        /// What differs.
        changes: Vec<Change>,
    },
    /// Another process is at work in the directory.
    #[error("another process is at work in the directory of the sweep")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the sweep is not what it was.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        cause: io::Error,
    },
}

impl Error {
    /// What kind of trouble it is.
    const fn code(&self) -> Code {
        match self {
            Self::InUse { .. } | Self::Locked { .. } => Code::DirectoryTaken,
            Self::NotASweep { .. } => Code::NothingToResume,
            Self::Changed { .. } => Code::ChangedSince,
            Self::Damaged { .. } | Self::Unreadable { .. } => Code::FileUnreadable,
            Self::Unwritable { .. } => Code::FileUnwritable,
        }
    }

    /// The error with what was found and what to do.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let error = Diagnostic::error(self.code(), self.to_string());
        match self {
            Self::InUse { path, sweep } => {
                let error = error
                    .found(path.display().to_string())
                    .expected("a directory that is empty or does not exist yet");
                error.help(if *sweep {
                    "go on with the sweep in it by --resume, choose another with --output-dir, or move it away"
                } else {
                    "choose another with --output-dir or output_dir"
                })
            }
            Self::NotASweep { path } => error
                .found(path.display().to_string())
                .expected("a directory with the sweep.json and trials.jsonl of a sweep")
                .help("leave out the option to begin the sweep, or name its directory with --output-dir"),
            Self::Changed { changes, .. } => {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not there".to_owned());
                let told = |change: &Change| {
                    let Change { path, before, now } = change;
                    format!("{path} was {}, and is {}", shown(before), shown(now))
                };
                let mut error = error.found(changes.first().map_or_else(String::new, told));
                error.notes = changes.iter().skip(1).take(TOLD).map(told).collect();
                if changes.len() > TOLD + 1 {
                    error = error.note(format!("and {} more", changes.len() - TOLD - 1));
                }
                error
                    .expected("the sweep file and the config that the sweep began with; only parallel, devices, max_hours and, for random, more trials may differ")
                    .help("put back what has changed, or begin another sweep with --output-dir")
            }
            Self::Locked { path } => error
                .found(format!("{} is locked", path.display()))
                .help("wait until it has ended, or end it; a signal has its trials save resume points"),
            Self::Damaged { line, reason, .. } => error
                .found(format!("line {line}: {reason}"))
                .expected("the file as kiwi-host wrote it")
                .help("put the file back, or begin another sweep with --output-dir"),
            Self::Unreadable { .. } => error.help("see whether you may read it"),
            Self::Unwritable { cause, .. } => error.help(match cause.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room, then go on with --resume"
                }
                _ => "choose a directory that can be written with --output-dir",
            }),
        }
    }
}
