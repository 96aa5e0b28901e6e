//! Finds libtorch at run time, without linking or opening it: which directories are candidates and in which order, what
//! makes one libtorch, and whether its version is the one this program is built for.
//!
//! A directory that someone named (`--libtorch`, `LIBTORCH`) holds or is an error: another libtorch than the one asked
//! for is never taken. What was found by looking around is skipped if it does not fit, and told of when nothing does.
//! Opening the libraries is the program's.

mod installed;
mod python;
#[cfg(test)]
mod tests;
mod version;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use kiwi_plugin_metadata::TORCH_VERSION;

use crate::diagnostic::{Diagnostic, Failure};
use crate::environment;
use crate::error_code::Code;
use crate::exit_code::ExitCode;

/// The library that makes a directory libtorch, seen from that directory.
pub const LIBRARY: &str = "lib/libtorch_cpu.so";

/// Where a candidate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `--libtorch`.
    Option,
    /// [`environment::LIBTORCH`].
    Variable,
    /// The program's folder or one above it.
    Program,
    /// [`environment::VIRTUAL_ENV`].
    VirtualEnvironment,
    /// The `python3` on [`environment::PATH`].
    Python,
}

impl Origin {
    /// Whether someone named the directory.
    #[must_use]
    pub const fn is_explicit(self) -> bool {
        matches!(self, Self::Option | Self::Variable)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "--libtorch",
            Self::Variable => environment::LIBTORCH.name,
            Self::Program => "beside the program",
            Self::VirtualEnvironment => "the active virtual environment",
            Self::Python => "python3",
        })
    }
}

/// A libtorch that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    /// Its directory, with symbolic links resolved: libtorch finds the libraries it needs from where it really lies.
    pub directory: PathBuf,
    /// Its version as written there, such as `2.11.0+cpu`. `None` if nothing there tells: it is taken nevertheless, since
    /// whoever opens it asks the library itself.
    pub version: Option<String>,
    /// Where it was found.
    pub origin: Origin,
}

impl Libtorch {
    /// The path of one of its libraries.
    #[must_use]
    pub fn library(&self, file_name: &str) -> PathBuf {
        self.directory.join("lib").join(file_name)
    }
}

/// Why a candidate is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nothing there.
    #[error("does not exist")]
    Missing,
    /// A file or the like.
    #[error("is not a directory")]
    NotADirectory,
    /// A directory without libtorch.
    #[error("holds no {LIBRARY}")]
    NoLibrary {
        /// The directory that was probably meant.
        meant: Option<PathBuf>,
    },
    /// A libtorch of another version.
    #[error("is torch {found}, needed is {}.*", needed())]
    Version {
        /// Its version.
        found: String,
    },
    /// No candidate could be made.
    #[error("{0}")]
    NoCandidate(String),
}

/// A place that was looked at in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The directory, if there was one to look at.
    pub directory: Option<PathBuf>,
    /// Why it was looked at.
    pub origin: Origin,
    /// Why it is not taken.
    pub unfit: Unfit,
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.directory {
            Some(directory) => write!(f, "{} ({}) {}", directory.display(), self.origin, self.unfit),
            None => write!(f, "{}: {}", self.origin, self.unfit),
        }
    }
}

/// Why there is no libtorch to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibtorchError {
    /// The directory that someone named is not one.
    #[error("{} names {}, which {unfit}", .origin, .directory.display())]
    Named {
        /// The directory.
        directory: PathBuf,
        /// Who named it.
        origin: Origin,
        /// Why it is not taken.
        unfit: Unfit,
    },
    /// Nothing fits.
    #[error("no libtorch {}.* was found", needed())]
    NotFound {
        /// Each place that was looked at, in order.
        looked: Vec<Looked>,
    },
}

impl LibtorchError {
    /// The complaint.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let error = Diagnostic::error(Code::NoLibtorch, self.to_string());
        let expected = format!("a directory that holds {LIBRARY} of torch {}.*", needed());
        match self {
            Self::Named { directory, origin, unfit } => {
                let found = match unfit {
                    Unfit::Version { found } => format!("torch {found} in {}", directory.display()),
                    _ => directory.display().to_string(),
                };
                let meant = match unfit {
                    Unfit::NoLibrary { meant } => meant.as_ref().map(|meant| meant.display().to_string()),
                    _ => None,
                };
                let rest = match origin {
                    Origin::Variable => "or unset it to use a libtorch found elsewhere",
                    _ => "or leave it out to use a libtorch found elsewhere",
                };
                error.found(found).expected(expected).nearest(meant).help(format!(
                    "set {origin} to a libtorch {}, {rest}; {}",
                    needed(),
                    advice()
                ))
            }
            Self::NotFound { looked } => {
                let mut error = error.expected(expected);
                error.notes = looked.iter().map(|looked| format!("looked at {looked}")).collect();
                error.help(format!(
                    "{}, or name its directory with --libtorch or {}",
                    advice(),
                    environment::LIBTORCH.name
                ))
            }
        }
    }

    /// The same as the end of a command.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::new(ExitCode::Invalid, self.diagnostic())
    }
}

fn advice() -> String {
    format!("get one with `cargo xtask setup` in a checkout, or `pip install torch=={TORCH_VERSION}`")
}

/// Major and minor version that are needed.
fn needed() -> String {
    TORCH_VERSION.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// What the search goes by.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The directory of `--libtorch`.
    pub option: Option<PathBuf>,
    /// The value of [`environment::LIBTORCH`].
    pub variable: Option<PathBuf>,
    /// The running program.
    pub program: Option<PathBuf>,
    /// The value of [`environment::VIRTUAL_ENV`].
    pub virtual_environment: Option<PathBuf>,
    /// The value of [`environment::PATH`], where `python3` is looked for.
    pub path: Option<OsString>,
}

/// Makes the directories of one origin, or says why there are none.
type Candidates = fn(&Search) -> Result<Vec<PathBuf>, String>;

impl Search {
    /// The search of a command.
    #[must_use]
    pub fn of_command(option: Option<PathBuf>, program: PathBuf) -> Self {
        // A variable that is set to nothing is not set.
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            option,
            variable: variable(environment::LIBTORCH.name).map(PathBuf::from),
            program: Some(program),
            virtual_environment: variable(environment::VIRTUAL_ENV.name).map(PathBuf::from),
            path: variable(environment::PATH.name),
        }
    }

    /// The first libtorch that fits.
    ///
    /// # Errors
    ///
    /// The directory that someone named does not fit, or nothing does.
    pub fn find(&self) -> Result<Libtorch, LibtorchError> {
        let named = [(&self.option, Origin::Option), (&self.variable, Origin::Variable)];
        if let Some((Some(directory), origin)) = named.into_iter().find(|(directory, _)| directory.is_some())
        {
            return examine(directory, origin).map_err(|unfit| LibtorchError::Named {
                directory: directory.clone(),
                origin,
                unfit,
            });
        }

        let mut looked = Vec::new();
        // Each is made only when all before it failed: asking Python takes long.
        let sources: [(Origin, Candidates); 3] = [
            (Origin::Program, Self::around_program),
            (Origin::VirtualEnvironment, Self::in_virtual_environment),
            (Origin::Python, Self::of_python),
        ];
        for (origin, candidates) in sources {
            match candidates(self) {
                Ok(candidates) => {
                    for directory in candidates {
                        match examine(&directory, origin) {
                            Ok(found) => return Ok(found),
                            Err(unfit) => looked.push(Looked { directory: Some(directory), origin, unfit }),
                        }
                    }
                }
                Err(reason) => {
                    looked.push(Looked { directory: None, origin, unfit: Unfit::NoCandidate(reason) });
                }
            }
        }
        Err(LibtorchError::NotFound { looked })
    }

    /// The prefix that the program is installed under, the torch of a Python that pip installed both for, and the checkouts that the
    /// program lies in.
    fn around_program(&self) -> Result<Vec<PathBuf>, String> {
        let Some(program) = &self.program else {
            return Err("the program's own path is not known".to_owned());
        };
        let program = fs::canonicalize(program).unwrap_or_else(|_| program.clone());
        let folders: Vec<_> = program.ancestors().skip(1).collect();
        // `../lib` and not `..` is what the libraries lie in; a directory of libtorch is the one above that.
        let mut candidates: Vec<_> = folders.get(1).map(|prefix| prefix.to_path_buf()).into_iter().collect();
        candidates.extend(folders.get(1).map(|prefix| installed::torch_packages(prefix)).unwrap_or_default());
        let checkouts = folders.iter().map(|folder| folder.join(".libtorch"));
        // A folder that does not exist says nothing, and there are many; the nearest is named in any case.
        let exists = |(i, folder): &(usize, PathBuf)| *i == 0 || folder.is_dir();
        candidates.extend(checkouts.enumerate().filter(exists).map(|(_, folder)| folder.join("torch")));
        Ok(candidates)
    }

    fn in_virtual_environment(&self) -> Result<Vec<PathBuf>, String> {
        let Some(environment) = &self.virtual_environment else {
            return Err(format!("none, {} is not set", environment::VIRTUAL_ENV.name));
        };
        let lib = environment.join("lib");
        if !lib.is_dir() {
            return Err(format!("{} is no directory", lib.display()));
        }
        let candidates = installed::torch_packages(environment);
        if candidates.is_empty() {
            return Err(format!("{} holds no torch of a python3*", lib.display()));
        }
        Ok(candidates)
    }

    fn of_python(&self) -> Result<Vec<PathBuf>, String> {
        let path = self.path.as_deref().ok_or_else(|| format!("{} is not set", environment::PATH.name))?;
        let python = python::on_path(path).ok_or_else(|| "there is no python3 on PATH".to_owned())?;
        let asked = python::torch_directories(&python, python::TIME_LIMIT);
        asked.map_err(|reason| format!("{} {reason}", python.display()))
    }
}

/// Whether a directory is a libtorch that fits.
fn examine(directory: &Path, origin: Origin) -> Result<Libtorch, Unfit> {
    let real = fs::canonicalize(directory).map_err(|_| Unfit::Missing)?;
    if !real.is_dir() {
        return Err(Unfit::NotADirectory);
    }
    if !real.join(LIBRARY).is_file() {
        let around = [real.join("torch"), real.join("libtorch"), real.join("..")];
        let meant = around.into_iter().find(|directory| directory.join(LIBRARY).is_file());
        return Err(Unfit::NoLibrary { meant: meant.and_then(|meant| fs::canonicalize(meant).ok()) });
    }
    let version = version::of(&real);
    match version {
        Some(found) if !version::same_line(&found, TORCH_VERSION) => Err(Unfit::Version { found }),
        version => Ok(Libtorch { directory: real, version, origin }),
    }
}
