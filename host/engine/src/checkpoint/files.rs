//! Small texts, and what is left of files whose writing was interrupted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes `text` and a line's end to `path`: beside it first, then renamed, so that it is complete or not there at all.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write_text(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&partial, path)
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    match path.parent() {
        Some(parent) => {
            File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all()
        }
        None => Ok(()),
    }
}

/// Removes what interrupted writers have left in a directory of files whose names are `own`; how many.
pub(super) fn remove_partial(directory: &Path, own: impl Fn(&str) -> bool) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let partial = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.ends_with(".partial") && own(&name) && entry.path().is_file()
    });
    partial.filter(|entry| fs::remove_file(entry.path()).is_ok()).count()
}
