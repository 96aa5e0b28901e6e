//! Why there is no page.

use std::io;
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_core::saved_system;
use kiwi_tracking::journal::{FILE, read};
use thiserror::Error;

/// Why there is no page.
#[derive(Debug, Error)]
pub enum Error {
    /// The path of a run leads nowhere.
    #[error("there is no directory {}", path.display())]
    NoDirectory {
        /// What was asked for.
        path: PathBuf,
        /// A run of a similar name beside it.
        nearest: Option<PathBuf>,
    },
    /// A run is named by one of its files.
    #[error("{} is a file, neither the directory of a run nor a saved system", path.display())]
    NotADirectory {
        /// What was asked for.
        path: PathBuf,
        /// The run that the file lies in.
        nearest: Option<PathBuf>,
        /// Why it is no saved system, where it lies in no run.
        reason: Option<String>,
    },
    /// The directory has no record.
    #[error("{} is not the directory of a run: there is no {FILE} in it", path.display())]
    NotARun {
        /// What was asked for.
        path: PathBuf,
        /// What lies there, some of it.
        found: Vec<String>,
        /// Runs below it, some of them.
        runs: Vec<PathBuf>,
        /// Whether there is a config, as runs of versions without records have.
        has_config: bool,
    },
    /// The directory cannot be looked into.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// What was asked for.
        path: PathBuf,
        /// What the file system says.
        cause: io::Error,
    },
    /// There is a record and nothing in it.
    #[error(transparent)]
    Record(#[from] read::Error),
    /// One directory by two paths, or by one path twice.
    #[error("the run {} is given twice", path.display())]
    Twice {
        /// As it was given first.
        first: PathBuf,
        /// As it was given again.
        path: PathBuf,
    },
    /// The file of a saved system is none.
    #[error(transparent)]
    System(#[from] saved_system::Error),
    /// A saved system among other paths.
    #[error("{} is a saved system, which has a page of its own", path.display())]
    NotAlone {
        /// The system.
        path: PathBuf,
    },
    /// A corpus for runs.
    #[error("{} is the directory of a run, and only a saved system is run on a corpus", path.display())]
    CorpusForRun {
        /// The run.
        path: PathBuf,
        /// Its best system.
        best: Option<PathBuf>,
    },
    /// Several runs, and nobody said where the page is to go.
    #[error("a page about {runs} runs needs a file to go to")]
    WhereTo {
        /// How many.
        runs: usize,
    },
    /// There is something else where the page is to go.
    #[error("{} is in use, and {what} is not overwritten", path.display())]
    InUse {
        /// Where the page was to go.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The page cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Unwritable {
        /// Where the page was to go.
        path: PathBuf,
        /// What the file system says.
        cause: io::Error,
    },
}

impl Error {
    const fn code(&self) -> Code {
        match self {
            Self::NoDirectory { .. }
            | Self::NotADirectory { .. }
            | Self::NotARun { .. }
            | Self::Unreadable { .. }
            | Self::Record(_) => Code::NotARun,
            Self::System(error) => error.code(),
            Self::Twice { .. } | Self::WhereTo { .. } | Self::NotAlone { .. } | Self::CorpusForRun { .. } => {
                Code::Arguments
            }
            Self::InUse { .. } => Code::FileExists,
            Self::Unwritable { .. } => Code::FileUnwritable,
        }
    }

    /// The error with what was found and what to do.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let error = Diagnostic::error(self.code(), self.to_string());
        let run = "the directory of a run, with its events.jsonl";
        let system = "the file of a saved system, as they lie in the `checkpoints` of a run";
        match self {
            Self::NoDirectory { nearest, .. } => error.expected(run).nearest(nearest.as_deref().map(shown)),
            Self::NotADirectory { nearest, reason, .. } => {
                let error =
                    error.expected(format!("{run}, or {system}")).nearest(nearest.as_deref().map(shown));
                reason.iter().fold(error, |error, reason| error.note(reason))
            }
            Self::NotARun { found, runs, has_config, .. } => {
                let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
                let error = error.found(found).expected(run);
                match &runs[..] {
                    [] if *has_config => error
                        .help("a run keeps a record since there is this command; train again to have one"),
                    [] => error.help("name a directory that `kiwi-host train` wrote"),
                    [only] => error.nearest(Some(shown(only))),
                    [first, ..] => {
                        let list = runs.iter().map(|run| shown(run)).collect::<Vec<_>>().join("\n");
                        error.nearest(Some(shown(first))).note(format!("runs below it:\n{list}"))
                    }
                }
            }
            Self::Unreadable { .. } => error.help("see whether you may read it"),
            Self::Record(read::Error::Empty { .. }) => {
                error.expected("at least the line that a run begins with").help("train the run again")
            }
            Self::Record(_) => error.expected(run),
            Self::Twice { first, path } => {
                let error =
                    if first == path { error } else { error.found(format!("also as {}", shown(first))) };
                error.help("name each run once")
            }
            Self::System(_) => error.expected(system),
            Self::NotAlone { .. } => {
                error.expected("one saved system, or the directories of runs").help("make a page of each")
            }
            Self::CorpusForRun { best, .. } => error
                .found("--source and --target")
                .expected(system)
                .nearest(best.as_deref().map(shown))
                .help("name a system of the run, or leave out the corpus"),
            Self::WhereTo { .. } => error.help("say where with --output, as `-o comparison.html`"),
            Self::InUse { .. } => error
                .expected("a path where nothing is yet, or an earlier report")
                .help("choose another path with --output, or move away what is there"),
            Self::Unwritable { cause, .. } => error.help(match cause.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room, or choose a path on another disk with --output"
                }
                io::ErrorKind::NotFound => "make the directory, or choose another path with --output",
                _ => "choose a path that can be written with --output",
            }),
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
