//! The directory of a sweep, and the file `sweep.json` in it, which says what the sweep is: the sweep file and the config that it
//! names, as they were when it began.
//!
//! | there | is |
//! |---|---|
//! | `sweep.json`, `trials.jsonl` | what the sweep is, and what has happened to its trials |
//! | `configs/0007.json` | the config of a trial |
//! | `trials/0007/` | its run, as `kiwi-host train` makes it |
//! | `logs/0007.log` | what its processes said on standard error |
//! | `best.json`, `report.html` | the config of the best trial, and the page about all of them |

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kiwi_core::config::changes::{Change, differences};
use kiwi_core::config::sweep::Sweep;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::record;

/// What says that a directory is that of a sweep.
pub const MANIFEST: &str = "sweep.json";
/// The form of the files in the directory.
const FORMAT: u64 = 1;
/// Keys of the sweep file that decide nothing of what a trial comes to.
const FREE: [&str; 5] = ["$schema", "parallel", "devices", "max_hours", "output_dir"];

/// The directory of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory at a path; nothing is looked at yet.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run of a trial, by the trial's number.
    #[must_use]
    pub fn trial(&self, number: usize) -> PathBuf {
        self.path.join("trials").join(name(number))
    }

    /// The config of a trial.
    #[must_use]
    pub fn config(&self, number: usize) -> PathBuf {
        self.path.join("configs").join(format!("{}.json", name(number)))
    }

    /// What the processes of a trial said.
    #[must_use]
    pub fn log(&self, number: usize) -> PathBuf {
        self.path.join("logs").join(format!("{}.log", name(number)))
    }

    /// The config of the best trial.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.path.join("best.json")
    }

    /// The page about the sweep.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Whether there is a sweep in it.
    #[must_use]
    pub fn is_sweep(&self) -> bool {
        self.path.join(MANIFEST).is_file()
    }

    /// Sees that a sweep may begin in it: that there is nothing in it.
    ///
    /// # Errors
    /// When there is, or when it cannot be looked into.
    pub fn check_unused(&self) -> Result<(), Error> {
        match fs::read_dir(&self.path) {
            Ok(entries) => match entries.flatten().find(|entry| !is_left_of_a_beginning(&entry.path())) {
                Some(_) => Err(Error::InUse { path: self.path.clone(), sweep: self.is_sweep() }),
                None => Ok(()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(Error::Unreadable { path: self.path.clone(), cause }),
        }
    }

    /// Makes it this process's until the file that comes back is closed, so that no two sweeps are at work in it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be made.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.path.join(".lock");
        let unwritable = |cause| Error::Unwritable { path: path.clone(), cause };
        fs::create_dir_all(&self.path).map_err(unwritable)?;
        let file = File::options().create(true).append(true).open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: self.path.clone() }),
            // Where no file can be locked, nothing is kept from anybody.
            _ => Ok(file),
        }
    }

    /// Writes what the sweep is, once, and makes the folders. The configs are those of the trials, in order.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn begin(&self, sweep: &Sweep, configs: &[String]) -> Result<(), Error> {
        for folder in ["trials", "configs", "logs"] {
            let folder = self.path.join(folder);
            fs::create_dir_all(&folder).map_err(|cause| Error::Unwritable { path: folder.clone(), cause })?;
        }
        for (place, config) in configs.iter().enumerate() {
            write(&self.config(place + 1), config)?;
        }
        // Last, since by it there is a sweep.
        self.write_manifest(sweep)
    }

    /// Writes the configs of those trials that have none yet.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write_configs(&self, configs: &[String]) -> Result<(), Error> {
        for (place, config) in configs.iter().enumerate() {
            let path = self.config(place + 1);
            if !path.exists() {
                write(&path, config)?;
            }
        }
        Ok(())
    }

    /// Writes what the sweep is.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write_manifest(&self, sweep: &Sweep) -> Result<(), Error> {
        write(&self.path.join(MANIFEST), &format!("{:#}\n", manifest(sweep)))
    }

    /// Sees that the sweep in it is this one, so that its trials can go on. More trials that are drawn are no other sweep.
    ///
    /// # Errors
    /// When there is none, or another, or it cannot be read.
    pub fn check_same(&self, sweep: &Sweep) -> Result<(), Error> {
        let path = self.path.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::NotASweep { path: self.path.clone() }
            }
            _ => Error::Unreadable { path: path.clone(), cause },
        })?;
        let damaged = |error: String| Error::Damaged { path: path.clone(), line: 1, reason: error };
        let before: Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if before["format"] != FORMAT {
            return Err(damaged(format!(
                "it is of the format {}, and this program knows {FORMAT}",
                before["format"]
            )));
        }
        let mut changes = changes(&before, &manifest(sweep));
        changes.retain(|change| !is_longer_draw(change, &before));
        if changes.is_empty() { Ok(()) } else { Err(Error::Changed { path: self.path.clone(), changes }) }
    }
}

/// Whether this is all that a sweep leaves which is ended while it makes its directory: nothing that anybody could miss.
fn is_left_of_a_beginning(path: &Path) -> bool {
    let all = |is_ours: fn(&str) -> bool| {
        let mut names = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        path.is_dir() && names.all(|name| name.to_str().is_some_and(is_ours))
    };
    match path.file_name().and_then(|name| name.to_str()) {
        Some(".lock") => path.is_file(),
        Some("trials" | "logs") => all(|_| false),
        Some("configs") => all(|name| {
            let number = name.strip_suffix(".json").unwrap_or_default();
            name.ends_with(".partial")
                || number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit())
        }),
        Some(name) => name.ends_with(".partial") && path.is_file(),
        None => false,
    }
}

/// The name of a trial's files.
#[must_use]
pub fn name(number: usize) -> String {
    format!("{number:04}")
}

fn manifest(sweep: &Sweep) -> Value {
    let mut file = sweep.to_json();
    if let Some(file) = file.as_object_mut() {
        // It stands by itself, wherever it was read from.
        file.remove("config");
    }
    json!({"format": FORMAT, "kiwi_host": env!("CARGO_PKG_VERSION"), "sweep": file, "config": sweep.base_to_json()})
}

fn changes(before: &Value, now: &Value) -> Vec<Change> {
    let without_free = |manifest: &Value| {
        let mut file = manifest["sweep"].as_object().cloned().unwrap_or_default();
        file.retain(|key, _| !FREE.contains(&key.as_str()));
        let config = manifest["config"].clone();
        Value::from(Map::from_iter([("sweep".to_owned(), Value::from(file)), ("config".to_owned(), config)]))
    };
    differences(&without_free(before), &without_free(now))
}

/// Whether more trials are drawn than before, at random: those before are the same.
fn is_longer_draw(change: &Change, before: &Value) -> bool {
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<u64>().ok());
    change.path == "sweep.trials"
        && before["sweep"]["method"] == "random"
        && number(&change.before).zip(number(&change.now)).is_some_and(|(before, now)| before < now)
}

/// Whether another process is at work in the directory of a run.
#[must_use]
pub fn is_locked(run: &Path) -> bool {
    let file = File::options().append(true).open(run.join(".lock"));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Writes a text file that is complete or not there, in place of what is there.
///
/// # Errors
/// When the file system refuses.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix(".")
            .suffix(".partial")
            .make_in(folder, |path| File::options().write(true).create_new(true).open(path))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|cause: io::Error| Error::Unwritable { path: path.to_owned(), cause })
}

/// What has happened to so many trials.
///
/// # Errors
/// When it cannot be read.
pub fn states(directory: &Directory, trials: usize) -> Result<Vec<record::State>, Error> {
    record::read(&directory.path, trials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_that_was_ended_while_it_made_its_directory_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().join("out"));
        directory.check_unused().unwrap();
        let _held = directory.lock().unwrap();
        for name in ["trials", "logs", "configs"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        fs::write(directory.config(1), "{}").unwrap();
        directory.check_unused().unwrap();
        let mine = directory.path().join("configs/mine.json");
        fs::write(&mine, "{}").unwrap();
        assert!(matches!(directory.check_unused(), Err(Error::InUse { sweep: false, .. })));
        fs::remove_file(mine).unwrap();
        fs::create_dir(directory.trial(1)).unwrap();
        assert!(directory.check_unused().is_err());
    }

    #[test]
    fn one_process_has_the_directory_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().to_owned());
        let held = directory.lock().unwrap();
        assert!(matches!(directory.lock(), Err(Error::Locked { .. })) && is_locked(folder.path()));
        drop(held);
        assert!(!is_locked(folder.path()));
    }
}
