//! Writing the page so that it is complete or not there, and nothing but an earlier page is lost by it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::error::Error;
use crate::page::BEGINNING;

/// Finds out before the work whether a page may go to `path`.
///
/// # Errors
/// When there is anything there that is not an earlier page.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    let in_use = |what| Err(Error::InUse { path: path.to_owned(), what });
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => in_use("a directory"),
        Ok(metadata) if !metadata.is_file() => in_use("what is no regular file"),
        Ok(_) => match is_page(path) {
            Ok(true) => Ok(()),
            Ok(false) => in_use("a file that is no report"),
            Err(cause) => Err(Error::Unwritable { path: path.to_owned(), cause }),
        },
        // A link that leads nowhere, or nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Error::Unwritable { path: path.to_owned(), cause }),
    }
}

fn is_page(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?.take(BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning == BEGINNING.as_bytes())
}

/// Finds out before long work whether a page can go to `path`: makes a file beside it, which is gone again at once.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn try_out(path: &Path) -> Result<(), Error> {
    beside(path).map(drop).map_err(|cause| Error::Unwritable { path: path.to_owned(), cause })
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A new file in the folder of `path`.
fn beside(path: &Path) -> io::Result<NamedTempFile<File>> {
    // Opened by ourselves: as any file that a program writes, where temporary files are closed to all others, and with errors as
    // the system words them.
    Builder::new()
        .prefix(".report-")
        .suffix(".partial")
        .make_in(folder(path), |path| OpenOptions::new().write(true).create_new(true).open(path))
}

/// Writes the page: beside `path` first, then renamed.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write(path: &Path, page: &str) -> Result<(), Error> {
    let write = || {
        let mut file = beside(path)?;
        file.as_file_mut().write_all(page.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder(path))?.sync_all()
    };
    write().map_err(|cause: io::Error| Error::Unwritable { path: path.to_owned(), cause })
}
