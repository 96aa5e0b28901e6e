//! How far a run was sent, and where to: `mlflow.json` in its directory. It holds no credentials.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Error;
use super::api::State;

/// Name of the file in a run's directory.
pub const FILE: &str = "mlflow.json";

/// The file that says who may write [`FILE`], by a lock on it.
const LOCK: &str = ".mlflow.lock";

/// How often it is tried to get the lock, and the pause between.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// What a run is at each server that it was sent to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursors {
    pub(super) servers: Vec<Cursor>,
}

/// What a run is at one server, and how far it was sent there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Address of the server.
    pub(super) server: String,
    pub(super) experiment_id: String,
    /// MLflow's id of the run; empty before there is one.
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) artifact_uri: String,
    /// Bytes of the record that are dealt with.
    #[serde(default)]
    pub(super) bytes: u64,
    /// The last step that the record told within them.
    #[serde(default)]
    pub(super) step: u64,
    /// The parameters that are dealt with.
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, String>,
    /// The files that are dealt with, by their paths in the run's directory.
    #[serde(default)]
    pub(super) artifacts: BTreeMap<String, Version>,
    /// The best system, once the run has finished.
    #[serde(default)]
    pub(super) best: Option<String>,
    /// The state that the record told last.
    #[serde(default)]
    pub(super) state: Option<State>,
    /// When it ended, in milliseconds since 1970.
    #[serde(default)]
    pub(super) ended: Option<i64>,
    /// The state that the server was told last.
    #[serde(default)]
    pub(super) told: Option<State>,
}

/// What tells a file from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) bytes: u64,
    /// When it was modified, in milliseconds since 1970.
    pub(super) modified: u64,
}

impl Version {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0);
        Self { bytes: metadata.len(), modified }
    }
}

impl Cursors {
    /// Reads the file of a run's directory; without one nothing was sent. What is damaged counts as none, which the `bool` says:
    /// the run is then found again by its tag.
    pub(super) fn load(directory: &Path) -> Result<(Self, bool), Error> {
        let file = directory.join(FILE);
        match fs::read(&file) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(cursors) => Ok((cursors, false)),
                Err(_) => Ok((Self::default(), true)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Self::default(), false)),
            Err(cause) => Err(Error::File { file, action: "read", cause }),
        }
    }

    /// Writes it beside and renames it.
    pub(super) fn save(&self, directory: &Path) -> Result<(), Error> {
        let (file, beside) = (directory.join(FILE), directory.join(".mlflow.json.new"));
        let write = || -> io::Result<()> {
            let mut out = File::create(&beside)?;
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            out.write_all(&text)?;
            out.sync_all()?;
            fs::rename(&beside, &file)
        };
        write().map_err(|cause| Error::File { file: file.clone(), action: "written", cause })
    }

    /// The cursor of a server, which is a new one if nothing was sent there.
    pub(super) fn of(&mut self, server: &str) -> &mut Cursor {
        let found = self.servers.iter().position(|cursor| cursor.server == server);
        let index = found.unwrap_or(self.servers.len());
        if found.is_none() {
            self.servers.push(Cursor { server: server.to_owned(), ..Cursor::default() });
        }
        &mut self.servers[index]
    }
}

/// The right to send a run, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is held, not used")] File);

impl Lock {
    pub(super) fn take(directory: &Path) -> Result<Self, Error> {
        let path: PathBuf = directory.join(LOCK);
        let failed = |cause| Error::File { file: path.clone(), action: "opened", cause };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(fs::TryLockError::WouldBlock) => thread::sleep(PAUSE),
                // A file system without locks: then nobody else can hold one either.
                Err(fs::TryLockError::Error(_)) => return Ok(Self(file)),
            }
        }
        Err(Error::Busy { directory: directory.to_path_buf() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Cursors::load(folder.path()).unwrap(), (Cursors::default(), false));
        let mut cursors = Cursors::default();
        cursors.of("http://a").bytes = 7;
        cursors.of("http://b").told = Some(State::Killed);
        cursors.of("http://a").step = 3;
        assert_eq!(cursors.servers.len(), 2);
        cursors.save(folder.path()).unwrap();
        assert_eq!(Cursors::load(folder.path()).unwrap(), (cursors, false));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Cursors::load(folder.path()).unwrap(), (Cursors::default(), true));
    }
}
