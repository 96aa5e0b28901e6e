//! The directory of the cache: names, files that get their name when they are complete, and the bound on its size.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;

use super::Kind;
use crate::ContentHash;

const SUFFIX: &str = ".kiwi-cache";
const UNFINISHED: &str = ".kiwi-cache.partial";

/// After this time an unfinished file belongs to a process that is gone.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// The name of a file.
pub(super) fn path(directory: &Path, kind: Kind, key: ContentHash) -> PathBuf {
    directory.join(format!("{}-{key}{SUFFIX}", kind.name()))
}

/// A file without its name yet, in the directory, which is made where it is missing. Only its owner may read it: it holds a
/// text's words.
pub(super) fn create(directory: &Path) -> io::Result<NamedTempFile> {
    fs::create_dir_all(directory)?;
    tempfile::Builder::new().prefix(".").suffix(UNFINISHED).tempfile_in(directory)
}

/// Notes that a file was used now.
pub(super) fn touch(file: &File) {
    // Where that is not allowed the file only counts as older than it is.
    let _ = file.set_modified(SystemTime::now());
}

/// Removes the files that were not used for the longest time until the rest has at most `limit` bytes, `keep` excepted, and
/// files that processes have left unfinished. What other users or processes do not let us remove stays.
pub(super) fn trim(directory: &Path, limit: u64, keep: &Path) {
    let mut files = Vec::new();
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(used) = metadata.modified() else { continue };
        if !metadata.is_file() {
            continue;
        }
        if name.ends_with(UNFINISHED) && used.elapsed().is_ok_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        } else if is_ours(&name) {
            files.push((used, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if total <= limit {
            break;
        }
        if path != keep && fs::remove_file(&path).is_ok() {
            total -= size;
        }
    }
}

/// Whether a name is one that [`path`] gives: nothing else in the directory is ever removed.
fn is_ours(name: &str) -> bool {
    name.strip_suffix(SUFFIX).and_then(|name| name.split_once('-')).is_some_and(|(kind, key)| {
        Kind::ALL.iter().any(|known| known.name() == kind)
            && key.len() == 64
            && key.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}
