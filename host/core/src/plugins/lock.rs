//! `plugins.lock`: the plugins that someone agreed on, by name, version and hash. A command that is held to it uses these and
//! no others.
//!
//! The file is JSON, one plugin after the other in the order of their names, and of the same plugins always the same bytes, so
//! that a review shows what changed. What a plugin registers stands there for whoever reviews it; version and hash are
//! what counts.

mod file;
mod held;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Kind;
use super::registry::{Changed, Plugin};
use crate::diagnostic::{Diagnostic, nearest};
use crate::error_code::Code;

pub use file::{Error, NAME, Written, read, write};

/// What a command is told about a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockChoice {
    /// The file.
    pub file: PathBuf,
    /// Whether the command is held to it (`--locked`). If not, what differs is worth a warning, and the file may be missing.
    pub required: bool,
}

impl LockChoice {
    /// The lock of what is named `of`, a config or a saved system: the one that was given, else [`NAME`] beside it.
    #[must_use]
    pub fn of(of: &Path, given: Option<PathBuf>, required: bool) -> Self {
        Self { required: required || given.is_some(), file: given.unwrap_or_else(|| beside(of)) }
    }
}

/// The lock that lies beside a file.
#[must_use]
pub fn beside(file: &Path) -> PathBuf {
    file.with_file_name(NAME)
}

/// A plugin that was agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPlugin {
    /// Its name.
    #[serde(deserialize_with = "file::name")]
    pub name: String,
    /// Its version.
    #[serde(deserialize_with = "file::version")]
    pub version: String,
    /// SHA-256 of its file, in lower-case hexadecimal.
    #[serde(deserialize_with = "file::sha256")]
    pub sha256: String,
    /// The plugin API that it is built with.
    pub plugin_api: String,
    /// The libtorch release that it is built against.
    pub torch: String,
    /// The system that it is built for.
    pub target: String,
    /// What it registers: kind and class, as `metric PERP`, in order.
    pub registers: Vec<String>,
}

impl LockedPlugin {
    /// That of a plugin that is installed.
    ///
    /// # Errors
    ///
    /// Its file cannot be read any more, or is not the one that was found.
    pub fn of(plugin: &Plugin) -> Result<Self, Changed> {
        let sha256 = plugin.sha256()?.to_owned();
        let metadata = &plugin.metadata;
        let systems = metadata.systems.iter().map(|one| format!("{} {}", Kind::System, one.class));
        let components = metadata.components.iter().map(|one| format!("{} {}", one.kind, one.class));
        let mut registers: Vec<_> = systems.chain(components).collect();
        registers.sort_unstable();
        Ok(Self {
            name: metadata.name.clone(),
            version: metadata.version.clone(),
            sha256,
            plugin_api: metadata.api_version.clone(),
            torch: metadata.torch.clone(),
            target: metadata.target.clone(),
            registers,
        })
    }
}

/// A lock that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The file.
    pub file: PathBuf,
    /// Whether the command is held to it.
    pub required: bool,
    /// The plugins.
    pub plugins: Vec<LockedPlugin>,
}

/// How an installed plugin differs from what was agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Disagreement {
    /// Nothing was agreed on about it.
    #[error("the plugin `{name}` is not in {}", lock.display())]
    NotLocked {
        /// Its name.
        name: String,
        /// What is installed: version and hash.
        installed: String,
        /// The plugins that are in the lock.
        locked: Vec<String>,
        /// The lock.
        lock: PathBuf,
    },
    /// Another version was.
    #[error("the plugin `{name}` is of version {installed_version}, and {} has {locked_version}", lock.display())]
    Version {
        /// Its name.
        name: String,
        /// The version that is installed.
        installed_version: String,
        /// The version that was agreed on.
        locked_version: String,
        /// What is installed: version and hash.
        installed: String,
        /// What was agreed on.
        locked: String,
        /// The lock.
        lock: PathBuf,
    },
    /// Another file of the same version was.
    #[error("the plugin `{name}` {version} is not the build that {} has", lock.display())]
    Sha256 {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// What is installed: version and hash.
        installed: String,
        /// What was agreed on.
        locked: String,
        /// The lock.
        lock: PathBuf,
    },
}

fn described(version: &str, sha256: &str) -> String {
    format!("{version} with SHA-256 {sha256}")
}

impl Lock {
    /// Holds a plugin of this name, version and hash against the lock.
    ///
    /// # Errors
    ///
    /// It is not what was agreed on.
    pub fn verify(&self, name: &str, version: &str, sha256: &str) -> Result<(), Box<Disagreement>> {
        let (name, lock) = (name.to_owned(), self.file.clone());
        let installed = described(version, sha256);
        let Some(entry) = self.plugins.iter().find(|entry| entry.name == name) else {
            let locked = self.plugins.iter().map(|entry| entry.name.clone()).collect();
            return Err(Box::new(Disagreement::NotLocked { name, installed, locked, lock }));
        };
        let locked = described(&entry.version, &entry.sha256);
        if entry.version != version {
            let (installed_version, locked_version) = (version.to_owned(), entry.version.clone());
            return Err(Box::new(Disagreement::Version {
                name,
                installed_version,
                locked_version,
                installed,
                locked,
                lock,
            }));
        }
        if entry.sha256 != sha256 {
            let version = version.to_owned();
            return Err(Box::new(Disagreement::Sha256 { name, version, installed, locked, lock }));
        }
        Ok(())
    }
}

impl Disagreement {
    /// The error about the plugin of this file, for a command that is held to the lock.
    #[must_use]
    pub fn error(&self, file: &Path) -> Diagnostic {
        let install = match self {
            Self::NotLocked { .. } => "take it out of the config",
            Self::Version { .. } | Self::Sha256 { .. } => "install the one that is locked",
        };
        self.described(Diagnostic::error(Code::LockDiffers, self.to_string()), file).help(format!(
            "{install}; or, if you trust this one, make the lock anew with `kiwi-host plugins lock CONFIG --force`"
        ))
    }

    /// The warning about it, for a command that is not.
    #[must_use]
    pub fn warning(&self, file: &Path) -> Diagnostic {
        self.described(Diagnostic::warning(Code::LockDiffers, self.to_string()), file).help(
            "give --locked to use what is locked and nothing else; if this one is meant, make the lock anew with \
             `kiwi-host plugins lock CONFIG --force`",
        )
    }

    fn described(&self, diagnostic: Diagnostic, file: &Path) -> Diagnostic {
        let file = file.display();
        match self {
            Self::NotLocked { name, installed, locked, .. } => diagnostic
                .found(format!("{installed}, {file}"))
                .expected(if locked.is_empty() {
                    "one of the locked plugins, and there are none".to_owned()
                } else {
                    format!("one of the locked plugins: {}", locked.join(", "))
                })
                .nearest(nearest(name, locked.iter().map(String::as_str))),
            Self::Version { installed, locked, .. } | Self::Sha256 { installed, locked, .. } => {
                diagnostic.found(format!("{installed}, {file}")).expected(locked.clone())
            }
        }
    }
}
