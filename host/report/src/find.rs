//! Whether paths lead to runs, and if not, which run was meant.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::nearest;
use kiwi_core::saved_system::SavedSystem;
use kiwi_tracking::journal::FILE;

use crate::error::Error;

/// So many entries of directories are looked at for runs.
const LOOKED_AT: usize = 20_000;
/// Runs lie in `runs/0/RUN_ID`.
const DEPTH: usize = 4;
/// So many things are told.
const TOLD: usize = 5;

/// Checks that each path is a run's directory and no run is there twice.
///
/// # Errors
/// The first that is not.
pub(crate) fn runs(paths: &[PathBuf]) -> Result<(), Error> {
    let mut seen: Vec<(PathBuf, &PathBuf)> = Vec::new();
    for path in paths {
        is_run(path)?;
        let place =
            fs::canonicalize(path).map_err(|cause| Error::Unreadable { path: path.clone(), cause })?;
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == place) {
            return Err(Error::Twice { first: (*first).clone(), path: path.clone() });
        }
        seen.push((place, path));
    }
    Ok(())
}

/// That a corpus was given for the path of a run; or what is wrong with the path.
#[must_use]
pub fn corpus_for_run(path: &Path) -> Error {
    is_run(path)
        .err()
        .unwrap_or_else(|| Error::CorpusForRun { path: path.to_owned(), best: best_system(path) })
}

/// The best system of a run, by its index.
fn best_system(run: &Path) -> Option<PathBuf> {
    let index = fs::read(run.join("checkpoints/index.json")).ok()?;
    let index: serde_json::Value = serde_json::from_slice(&index).ok()?;
    let best = run.join(index["best"].as_str()?);
    best.is_file().then_some(best)
}

fn is_run(path: &Path) -> Result<(), Error> {
    let unreadable = |cause| Error::Unreadable { path: path.to_owned(), cause };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            // A name alone lies in the directory that the program runs in.
            let parents = path.parent().into_iter().flat_map(Path::ancestors).take(2);
            let mut parents =
                parents.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
            let nearest = parents.find(|parent| has_record(parent)).map(Path::to_owned);
            let reason = if nearest.is_none() {
                SavedSystem::open(path).err().map(|error| error.to_string())
            } else {
                None
            };
            return Err(Error::NotADirectory { path: path.to_owned(), nearest, reason });
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(Error::NoDirectory { path: path.to_owned(), nearest: similar(path) });
        }
        Err(error) => return Err(unreadable(error)),
    }
    let mut found: Vec<_> = fs::read_dir(path)
        .map_err(unreadable)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .take(LOOKED_AT)
        .collect();
    // Whatever it is: what is wrong with it is told by who reads it.
    if fs::symlink_metadata(path.join(FILE)).is_ok() {
        return Ok(());
    }
    found.sort();
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0 {
        found.push(format!("{more} more"));
    }
    let has_config = path.join("config.json").is_file();
    Err(Error::NotARun { path: path.to_owned(), found, runs: runs_below(path), has_config })
}

/// The run beside `path` whose name is like its.
fn similar(path: &Path) -> Option<PathBuf> {
    let asked = path.file_name()?.to_str()?;
    let parent = path.parent()?;
    let listed = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let entries = fs::read_dir(listed).ok()?.take(LOOKED_AT).flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| has_record(&listed.join(name)));
    names.sort();
    Some(parent.join(nearest(asked, names.iter().map(String::as_str))?))
}

fn has_record(directory: &Path) -> bool {
    directory.join(FILE).is_file()
}

/// The runs nearest below a directory, in the order of their names.
fn runs_below(directory: &Path) -> Vec<PathBuf> {
    let mut runs = Vec::new();
    let mut waiting = VecDeque::from([(directory.to_owned(), 0)]);
    let mut looked_at = 0;
    while let Some((directory, depth)) = waiting.pop_front() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let mut below = Vec::new();
        for entry in entries.flatten() {
            looked_at += 1;
            if looked_at > LOOKED_AT {
                return runs;
            }
            // Links are not followed: they may lead in circles.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below.push(entry.path());
            }
        }
        below.sort();
        for path in below {
            if has_record(&path) {
                runs.push(path);
                if runs.len() == TOLD {
                    return runs;
                }
            } else if depth + 1 < DEPTH {
                waiting.push_back((path, depth + 1));
            }
        }
    }
    runs
}
