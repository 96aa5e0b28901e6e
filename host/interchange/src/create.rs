//! Writing a new file: complete or not at all, and never in place of another.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Error;

/// Writes a file beside `path`, makes sure that it is on the disk, and gives it the name unless something has it.
///
/// # Errors
/// Something has the name, or the file system fails.
pub fn create(path: &Path, write: impl FnOnce(BufWriter<&File>) -> io::Result<()>) -> Result<(), Error> {
    let unwritable = |cause| Error::Unwritable { file: path.to_owned(), cause };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(".")
        .suffix(".partial")
        // As for any new file: what the umask leaves.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(unwritable)?;
    write(BufWriter::with_capacity(1 << 20, temporary.as_file())).map_err(unwritable)?;
    temporary.as_file().sync_all().map_err(unwritable)?;
    temporary.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { file: path.to_owned() },
        _ => unwritable(error.error),
    })?;
    // The name is part of the folder, which has to reach the disk as well.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)
}
