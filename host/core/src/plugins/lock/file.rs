//! The lock as a file: read strictly, written whole, and never in place of another that says something else unless asked to.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::LockedPlugin;
use crate::diagnostic::{Diagnostic, Location};
use crate::error_code::Code;

/// What a lock is called unless another name is given.
pub const NAME: &str = "plugins.lock";

/// The format that this host writes, and the newest it reads.
const VERSION: u32 = 1;

/// A lock that is longer is none.
const LARGEST: u64 = 16 << 20;

#[derive(Serialize)]
struct Contents<'a> {
    version: u32,
    plugins: &'a [LockedPlugin],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "version")]
    _version: u32,
    plugins: Vec<LockedPlugin>,
}

/// Read before anything else: what a later version holds besides is not for this one to judge.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Values of an entry, each judged where it stands.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Err(D::Error::custom("the name of a plugin is empty")) } else { Ok(text) }
}

pub(super) fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match semver::Version::parse(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(D::Error::custom(format!(
            "`{text}` is no version, expected a semantic version such as `1.2.3`"
        ))),
    }
}

pub(super) fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(text);
    }
    Err(D::Error::custom(format!("`{text}` is no SHA-256, expected 64 lower-case hexadecimal digits")))
}

/// Why there is no lock to be held to.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no lock {}", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the lock {} cannot be read: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// What it holds is no lock.
    #[error("the lock {} is damaged: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Line and column, where they are known.
        place: Option<(usize, usize)>,
        /// What is wrong.
        reason: String,
    },
    /// A later host wrote it.
    #[error("the lock {} is of format version {found}, this host reads up to {VERSION}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It says something else, and was not to be replaced.
    #[error("{} is there already and differs", file.display())]
    Differs {
        /// The file.
        file: PathBuf,
        /// How, one plugin a line.
        differences: Vec<String>,
    },
    /// The file system refuses.
    #[error("the lock {} cannot be written: {reason}", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

impl Error {
    const fn code(&self) -> Code {
        match self {
            Self::Differs { .. } => Code::FileExists,
            Self::Unwritable { .. } => Code::FileUnwritable,
            Self::Missing(_) | Self::Unreadable { .. } | Self::Damaged { .. } | Self::Newer { .. } => {
                Code::LockUnusable
            }
        }
    }

    /// The complaint.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let error = Diagnostic::error(self.code(), self.to_string());
        match self {
            Self::Missing(_) => error.help(
                "make it with `kiwi-host plugins lock CONFIG`, name another with --lock, or leave --locked out",
            ),
            Self::Unreadable { .. } => error.help("correct its permissions, or name another with --lock"),
            Self::Damaged { file, place, .. } => {
                let error = match *place {
                    Some((line, column)) => {
                        error.located(Location { file: file.clone(), line, column: Some(column) })
                    }
                    None => error,
                };
                error.help(
                    "put it back as it was, or make it anew with `kiwi-host plugins lock CONFIG --force`",
                )
            }
            Self::Newer { .. } => error.help("update kiwi-host, or make the lock anew with --force"),
            Self::Differs { differences, .. } => {
                let mut error = error;
                error.notes.clone_from(differences);
                error.help("look at what differs, then replace it with --force; or write another with --output")
            }
            Self::Unwritable { .. } => error.help("write it elsewhere with --output"),
        }
    }
}

/// Reads a lock.
///
/// # Errors
///
/// It is not there, cannot be read, or is damaged.
pub fn read(file: &Path) -> Result<Vec<LockedPlugin>, Error> {
    let unreadable = |reason: String| Error::Unreadable { file: file.to_owned(), reason };
    match fs::metadata(file) {
        Ok(metadata) if !metadata.is_file() => return Err(unreadable("it is no file".to_owned())),
        Ok(metadata) if metadata.len() > LARGEST => {
            let reason = format!("it has {} bytes, more than any lock", metadata.len());
            return Err(Error::Damaged { file: file.to_owned(), place: None, reason });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Missing(file.to_owned())),
        Err(error) => return Err(unreadable(error.to_string())),
    }
    let bytes = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    parse(file, &bytes)
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<LockedPlugin>, Error> {
    let damaged = |place, reason| Error::Damaged { file: file.to_owned(), place, reason };
    let not_json = |error: serde_json::Error| {
        let text = error.to_string();
        // Its place is told as a place.
        let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
        damaged(Some((error.line().max(1), error.column().max(1))), reason)
    };
    let VersionOnly { version } = serde_json::from_slice(bytes).map_err(not_json)?;
    match version {
        VERSION => {}
        0 => return Err(damaged(None, "format version 0 was never written".to_owned())),
        found => return Err(Error::Newer { file: file.to_owned(), found }),
    }
    let Read { mut plugins, .. } = serde_json::from_slice(bytes).map_err(not_json)?;
    plugins.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = plugins.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(damaged(None, format!("the plugin `{}` stands there twice", pair[0].name)));
    }
    Ok(plugins)
}

/// What writing a lock did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file is new.
    New,
    /// The file was replaced.
    Replaced,
    /// It said the same already and was left alone.
    Unchanged,
}

/// Writes a lock of these plugins. A file that says something else is replaced only if `force`.
///
/// # Errors
///
/// Such a file is there, or the file system refuses.
pub fn write(file: &Path, mut plugins: Vec<LockedPlugin>, force: bool) -> Result<Written, Error> {
    plugins.sort_by(|a, b| a.name.cmp(&b.name));
    let unwritable = |reason: io::Error| Error::Unwritable { file: file.to_owned(), reason };
    let mut text = serde_json::to_string_pretty(&Contents { version: VERSION, plugins: &plugins })
        .map_err(|error| unwritable(error.into()))?;
    text.push('\n');
    let is_there = match fs::symlink_metadata(file) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(unwritable(error)),
    };
    if is_there {
        match read(file) {
            Ok(there) if there == plugins => return Ok(Written::Unchanged),
            Ok(there) if !force => {
                let differences = differences(&there, &plugins);
                return Err(Error::Differs { file: file.to_owned(), differences });
            }
            Err(error @ (Error::Damaged { .. } | Error::Newer { .. })) if !force => return Err(error),
            // A link into nothing, a directory: writing would not do what was asked.
            Err(Error::Missing(_)) => return Err(unwritable(io::ErrorKind::AlreadyExists.into())),
            Err(Error::Unreadable { reason, .. }) => return Err(unwritable(io::Error::other(reason))),
            _ => {}
        }
    }
    // A link stays one: what it leads to is replaced.
    let target = if is_there { fs::canonicalize(file).map_err(unwritable)? } else { file.to_owned() };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".")
        .suffix(".partial")
        // As for any new file: what the umask leaves.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(unwritable)?;
    temporary.write_all(text.as_bytes()).map_err(unwritable)?;
    temporary.as_file().sync_all().map_err(unwritable)?;
    if is_there {
        temporary.persist(&target).map_err(|error| unwritable(error.error))?;
    } else {
        temporary.persist_noclobber(&target).map_err(|error| unwritable(error.error))?;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
    Ok(if is_there { Written::Replaced } else { Written::New })
}

/// What differs between two locks, one plugin a line.
fn differences(there: &[LockedPlugin], new: &[LockedPlugin]) -> Vec<String> {
    let of = |plugins: &[LockedPlugin], name: &str| plugins.iter().find(|one| one.name == name).cloned();
    let told = |one: &LockedPlugin| format!("{} {} with SHA-256 {}", one.name, one.version, one.sha256);
    let mut names: Vec<_> = there.iter().chain(new).map(|one| one.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let lines = names.iter().filter_map(|name| match (of(there, name), of(new, name)) {
        (Some(there), None) => Some(format!("it has {}, which would go", told(&there))),
        (None, Some(new)) => Some(format!("it lacks {}", told(&new))),
        (Some(there), Some(new)) if (&there.version, &there.sha256) != (&new.version, &new.sha256) => {
            Some(format!("it has {}, and {} is installed", told(&there), told(&new)))
        }
        (Some(there), Some(new)) if there != new => {
            Some(format!("what it says of {} besides version and hash is not so", told(&there)))
        }
        _ => None,
    });
    lines.collect()
}
