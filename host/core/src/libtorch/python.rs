//! Asks a Python where its torch lies. Python finds it without importing it, and is given up on when it takes too long.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long Python may take: it starts within a tenth of this even on a slow network drive.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The current directory is no place to find torch in, though Python looks there first.
pub(super) const QUESTION: &str = "\
import sys
sys.path = [entry for entry in sys.path if entry not in ('', '.')]
import importlib.util
found = importlib.util.find_spec('torch')
for place in (found.submodule_search_locations if found else None) or ():
    print(place)
";

/// The first `python3` that can be run.
pub(super) fn on_path(path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join("python3")).find(|file| {
        fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// Where this Python finds the package `torch`; what goes wrong is told as the rest of a sentence about it.
pub(super) fn torch_directories(python: &Path, limit: Duration) -> Result<Vec<PathBuf>, String> {
    let mut child = Command::new(python)
        .args(["-c", QUESTION])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot be run: {error}"))?;

    let end = Instant::now() + limit;
    // A few paths fit into the pipe, so Python never waits for a reader.
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                // Whether or not it can still be ended, it is waited for no longer.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("did not answer within {} seconds", limit.as_secs_f32()));
            }
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    };
    if !status.success() {
        return Err(format!("could not say where torch lies: {status}"));
    }
    let mut answer = String::new();
    let read = child.stdout.take().map(|mut output| output.read_to_string(&mut answer));
    if let Some(Err(error)) = read {
        return Err(format!("answered what cannot be read: {error}"));
    }
    let directories: Vec<_> = answer.lines().map(PathBuf::from).collect();
    if directories.is_empty() { Err("has no package torch".to_owned()) } else { Ok(directories) }
}
