//! Resume points: files from which a run goes on as if it had never ended, `resume/after-N-batches.safetensors` in its directory.
//! One file has everything, so that it is complete or absent: parameters by the names of a saved system, states of optimizers,
//! gradients and figures on their way, and in its `__metadata__` what else there is.
//!
//! | key | content |
//! |---|---|
//! | `format` | `pt`, as PyTorch's own files have it |
//! | `kiwi.format_version` | the version of this table, 1 |
//! | `kiwi.resume.identity` | JSON: what must not have changed ([`crate::resume`]) |
//! | `kiwi.resume.state` | JSON: where training was |
//! | `kiwi.blake3` | BLAKE3 hash of the tensors' bytes in the order of their names |

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::saved_system::Error;
use kiwi_core::saved_system::archive::Archive;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::snapshot::{CopiedTensors, HASH_KEY, Snapshot, hash_of};

/// Resume points that are kept: the last, and the one before for the case that it is damaged.
pub(super) const KEPT: usize = 2;

const FORMAT_VERSION: &str = "1";
const VERSION_KEY: &str = "kiwi.format_version";
const IDENTITY_KEY: &str = "kiwi.resume.identity";
const STATE_KEY: &str = "kiwi.resume.state";

/// The file of a resume point after so many batches of the run, in a run's directory of resume points.
pub(crate) fn file(directory: &Path, batches: u64) -> PathBuf {
    directory.join(format!("after-{batches}-batches.safetensors"))
}

/// The content of a resume point.
///
/// # Errors
/// When something cannot be written as JSON.
pub(crate) fn snapshot(
    identity: &impl Serialize,
    state: &impl Serialize,
    tensors: CopiedTensors,
) -> serde_json::Result<Snapshot> {
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (VERSION_KEY.to_owned(), FORMAT_VERSION.to_owned()),
        (IDENTITY_KEY.to_owned(), serde_json::to_string(identity)?),
        (STATE_KEY.to_owned(), serde_json::to_string(state)?),
    ]);
    Ok(Snapshot::new(metadata, tensors).hashed())
}

/// A resume point that was read.
pub(crate) struct ResumePoint<I, S> {
    pub(crate) identity: I,
    pub(crate) state: S,
    pub(crate) archive: Archive,
}

/// A file that cannot be read, and why not.
pub(crate) type Broken = (PathBuf, String);

/// The newest resume point in a directory that can be read, if there is any; and of those that cannot, which and why not. One of a
/// newer format is not passed over.
pub(crate) fn newest<I: DeserializeOwned, S: DeserializeOwned>(
    directory: &Path,
) -> (Option<ResumePoint<I, S>>, Vec<Broken>) {
    let mut broken = Vec::new();
    for (_, path) in all(directory) {
        match read(&path) {
            Ok(point) => return (Some(point), broken),
            Err(Problem::Damaged(problem)) => broken.push((path, problem)),
            Err(Problem::Newer(problem)) => return (None, vec![(path, problem)]),
        }
    }
    (None, broken)
}

/// Puts files that cannot be read out of the way of those that can.
pub(crate) fn set_aside(files: &[PathBuf]) {
    for file in files {
        let mut name = file.clone().into_os_string();
        name.push(".damaged");
        // One that cannot be renamed is passed over once more.
        let _ = fs::rename(file, name);
    }
}

/// Why a resume point cannot be read.
enum Problem {
    Damaged(String),
    Newer(String),
}

fn read<I: DeserializeOwned, S: DeserializeOwned>(path: &Path) -> Result<ResumePoint<I, S>, Problem> {
    let archive = Archive::open(path).map_err(|error| match error {
        Error::NotSafetensors { reason, .. } => {
            // What to do with one that is no saved system is not what to do with one that is no resume point.
            Problem::Damaged(reason.to_string().split(';').next().unwrap_or_default().to_owned())
        }
        error => Problem::Damaged(error.to_string()),
    })?;
    let metadata = archive.metadata();
    let entry = |key: &str| {
        let lacking = || Problem::Damaged(format!("it is no resume point: its metadata lack `{key}`"));
        metadata.get(key).ok_or_else(lacking)
    };
    let (identity, state) = (entry(IDENTITY_KEY)?, entry(STATE_KEY)?);
    let version = entry(VERSION_KEY)?;
    if version != FORMAT_VERSION {
        return Err(Problem::Newer(format!(
            "it has the format version {version}, and this kiwi-host reads {FORMAT_VERSION}: go on with the version that saved it"
        )));
    }
    let hash = hash_of(archive.tensors().map(|tensor| (tensor.name, tensor.bytes)));
    if entry(HASH_KEY)? != &hash {
        return Err(Problem::Damaged(
            "it is damaged: its tensors are not those that were written".to_owned(),
        ));
    }
    let damaged =
        |error: serde_json::Error| Problem::Damaged(format!("it is damaged or was edited: {error}"));
    let identity = serde_json::from_str(identity).map_err(damaged)?;
    let state = serde_json::from_str(state).map_err(damaged)?;
    Ok(ResumePoint { identity, state, archive })
}

/// Removes all but the newest `count`; whether there was any to remove.
pub(super) fn keep_newest(directory: &Path, count: usize) -> bool {
    let old: Vec<_> = all(directory).into_iter().skip(count).collect();
    // What cannot be removed only takes room.
    old.iter().filter(|(_, path)| fs::remove_file(path).is_ok()).count() > 0
}

/// All files of resume points, newest first.
fn all(directory: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix("after-")?.strip_suffix("-batches.safetensors")?;
            Some((number.parse::<u64>().ok()?, entry.path()))
        })
        .collect();
    found.sort_by_key(|(batches, _)| std::cmp::Reverse(*batches));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, batches: u64) -> PathBuf {
        let path = file(directory, batches);
        snapshot(&"who", &batches, CopiedTensors::default()).unwrap().write(&path).unwrap();
        path
    }

    #[test]
    fn the_newest_that_can_be_read_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let none = newest::<String, u64>(&folder.path().join("missing"));
        assert!(none.0.is_none() && none.1.is_empty());
        for batches in [9, 10, 100] {
            write(folder.path(), batches);
        }
        fs::write(folder.path().join(".after-200-batches.safetensors.x.partial"), "half").unwrap();
        fs::write(file(folder.path(), 100), &fs::read(file(folder.path(), 10)).unwrap()[..40]).unwrap();
        let (found, broken) = newest::<String, u64>(folder.path());
        let found = found.unwrap();
        assert_eq!((found.identity.as_str(), found.state), ("who", 10));
        assert_eq!(broken.len(), 1);
        assert!(broken[0].0.ends_with("after-100-batches.safetensors"), "{broken:?}");
        set_aside(&[broken[0].0.clone()]);
        assert!(keep_newest(folder.path(), 1) && !keep_newest(folder.path(), 1));
        assert!(file(folder.path(), 10).exists() && !file(folder.path(), 9).exists());
        assert!(!file(folder.path(), 100).exists(), "set aside");
    }

    #[test]
    fn another_file_is_no_resume_point() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), 1);
        Snapshot::new(BTreeMap::new(), CopiedTensors::default()).write(&path).unwrap();
        let (found, broken) = newest::<String, u64>(folder.path());
        assert!(found.is_none() && broken[0].1.contains("no resume point"), "{broken:?}");
    }
}
