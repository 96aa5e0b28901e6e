//! Makes the directory of a new plugin: all of it or nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;

use super::template;

/// Whether nothing of this name exists.
pub(super) fn check_absent(directory: &Path) -> Result<(), Diagnostic> {
    // A link that leads nowhere is something too.
    if directory.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Diagnostic::error(
        Code::FileExists,
        format!("{} exists already, and nothing is written over", directory.display()),
    )
    .found(directory.display().to_string())
    .expected("a directory that does not exist yet")
    .help("give another one with --output, or remove it"))
}

/// Writes the files into a directory beside, which gets its name when all are on the disk.
pub(super) fn directory(directory: &Path, files: &[template::File]) -> Result<(), Diagnostic> {
    let cannot = |error: &io::Error| {
        Diagnostic::error(Code::FileUnwritable, format!("{} cannot be written", directory.display()))
            .note(error.to_string())
    };
    let parent = match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(cannot(&io::Error::other("it has no name"))),
    };
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let beside = parent.join(format!(".{name}.part-{}", std::process::id()));
    let written = write_all(&beside, files).and_then(|()| {
        fs::rename(&beside, directory)?;
        File::open(parent)?.sync_all()
    });
    written.map_err(|error| {
        // What is left of it helps nobody, and there may be nothing.
        let _ = fs::remove_dir_all(&beside);
        cannot(&error)
    })
}

fn write_all(directory: &Path, files: &[template::File]) -> io::Result<()> {
    fs::create_dir(directory)?;
    for (name, text) in files {
        let path: PathBuf = directory.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create_new(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_there_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("a", "one\n".to_owned()), ("b/c", "two\n".to_owned())];
        let made = folder.path().join("new");
        assert!(check_absent(&made).is_ok());
        directory(&made, &files).unwrap();
        assert_eq!(fs::read_to_string(made.join("b/c")).unwrap(), "two\n");
        assert!(check_absent(&made).unwrap_err().message.contains("exists already"));
        // What holds something is not written over, and what was written beside is taken away.
        assert!(directory(&made, &files).is_err());
        let broken = [("a", String::new()), ("a", String::new())];
        assert!(directory(&folder.path().join("broken"), &broken).is_err());
        let error = directory(&folder.path().join("nowhere/new"), &files).unwrap_err();
        assert!(error.message.contains("cannot be written"), "{error:?}");
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
    }
}
