//! A copy of a file that nobody can change, hashed while it is made: what was hashed is what the dynamic loader opens.
//!
//! The loader maps a library and reads its pages when they are needed, hours later perhaps. A file that is overwritten or cut
//! meanwhile, as by a build or by `cp`, changes the code of a run or ends it with a bus error; and between hashing and
//! opening, a file can be replaced. So a plugin is copied into memory without a name in any file system, which the kernel is
//! told to let nobody write to any more (`memfd_create(2)`, `F_ADD_SEALS`), and opened through the descriptor.
//!
//! Why not a copy in the user's cache, named by its hash: its owner and all of the owner's programs can write to it, it has to
//! be checked anew at each opening and removed some day, and there are homes that are read-only or full, or whose files
//! may not be run. Memory has none of that, is gone with the process however that ends, and lets any number of processes
//! work at once, at the price of a plugin's size for each. `/proc/PID/maps` shows the plugin's file name and hash, and
//! debuggers find symbols through `/proc/PID/fd`, which is why the descriptor stays open.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::compatibility::Rejection;
use super::inspect;

/// Why a file could not be copied.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("it {0}")]
    Unreadable(Rejection),
    /// There is no room, in memory or on disk.
    #[error("a copy of it that nobody can change cannot be written: {0}; free some memory")]
    Write(io::Error),
    /// The system gives neither memory nor a file that a library may be opened from.
    #[error(
        "the system gives no place for a copy of it that nobody can change: {}; allow memfd_create, or set TMPDIR to a \
         directory that is not mounted noexec", .tried.join("; ")
    )]
    NoPlace {
        /// What was tried, with why it did not do.
        tried: Vec<String>,
    },
    /// The copy cannot be named.
    #[error("the copy of it that is to be opened is not found at {}: mount /proc for this process", .0.display())]
    NoProc(PathBuf),
}

/// The copy. While it lives, its path leads to it.
#[derive(Debug)]
pub struct SealedCopy {
    file: File,
    path: PathBuf,
    sha256: String,
}

impl SealedCopy {
    /// Copies a file and hashes what is copied.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the system has no room or no place for a copy.
    pub fn of(file: &Path) -> Result<Self, Error> {
        let mut source = inspect::open(file).map_err(Error::Unreadable)?;
        let name = file.file_name().unwrap_or(file.as_os_str());
        let mut copy = Self::place(name)?;
        let sha256 = copy_hashed(&mut source, &mut copy)?;
        let file = seal(copy)?;
        let path = path_of(&file)?;
        Ok(Self { file, path, sha256 })
    }

    /// A path that leads to the copy, for this process and for those that debug it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of what was copied, in lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Keeps it until the process ends, and its path to it alone: the loader takes two libraries of one path for the same.
    pub fn keep(self) {
        std::mem::forget(self.file);
    }

    /// Memory of this name, or a file without one where the system does not give memory.
    fn place(name: &OsStr) -> Result<File, Error> {
        let mut tried = Vec::new();
        match memory(name) {
            Ok(file) => return Ok(file),
            Err(error) => tried.push(format!("memfd_create: {error}")),
        }
        let directory = std::env::temp_dir();
        match nameless_file(&directory) {
            Ok(file) => return Ok(file),
            Err(error) => tried.push(format!("{}: {error}", directory.display())),
        }
        Err(Error::NoPlace { tried })
    }
}

fn memory(name: &OsStr) -> io::Result<File> {
    // The name is for people who look into /proc; the kernel takes no more than 249 bytes.
    let name: String = name.to_string_lossy().chars().filter(|c| *c != '\0').take(60).collect();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // What is only mapped need not be a program. Systems that let nobody make programs in memory ask for the
    // flag, and kernels before 6.3 do not know it.
    let made = match rustix::fs::memfd_create(&name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(&name, flags),
        made => made,
    };
    Ok(File::from(made?))
}

/// A file in this directory that has no name there and is gone when nobody has it open any more.
fn nameless_file(directory: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(directory)?;
    if rustix::fs::fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(io::Error::other("it is mounted noexec"));
    }
    Ok(file)
}

fn copy_hashed(source: &mut File, copy: &mut File) -> Result<String, Error> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::Unreadable(Rejection::Unreadable(error.to_string()))),
        };
        let part = buffer.get(..read).unwrap_or_default();
        hash.update(part);
        copy.write_all(part).map_err(Error::Write)?;
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Lets nobody write to the copy any more.
fn seal(copy: File) -> Result<File, Error> {
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    match rustix::fs::fcntl_add_seals(&copy, seals) {
        Ok(()) => Ok(copy),
        // A file, which has no seals: nobody but its owner may open it, by a path that only this process has, and not to write.
        Err(_) => {
            copy.set_permissions(fs::Permissions::from_mode(0o400)).map_err(Error::Write)?;
            File::open(path_of(&copy)?).map_err(Error::Write)
        }
    }
}

/// The path of an open file. `/proc/self` would be another process for whoever debugs this one.
fn path_of(file: &File) -> Result<PathBuf, Error> {
    let process = fs::read_link("/proc/self").unwrap_or_else(|_| PathBuf::from("self"));
    let path = Path::new("/proc").join(process).join("fd").join(file.as_raw_fd().to_string());
    let identity = |metadata: io::Result<fs::Metadata>| metadata.map(|found| (found.dev(), found.ino())).ok();
    match (identity(fs::metadata(&path)), identity(file.metadata())) {
        (Some(found), Some(expected)) if found == expected => Ok(path),
        _ => Err(Error::NoProc(path)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_copy_stays_what_it_was_whatever_becomes_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libx.so");
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i * 7) as u8).collect();
        fs::write(&file, &bytes).unwrap();
        let copy = SealedCopy::of(&file).unwrap();
        assert_eq!(copy.sha256(), inspect::sha256(&bytes));
        fs::write(&file, "cut").unwrap();
        assert_eq!(fs::read(copy.path()).unwrap(), bytes);
        fs::remove_file(&file).unwrap();
        assert_eq!(fs::read(copy.path()).unwrap(), bytes);

        // Not even whoever made it can change it.
        let mut writer = OpenOptions::new().write(true).open(copy.path()).unwrap();
        assert_eq!(writer.write(b"x").unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));
        assert!(writer.set_len(3).is_err());
        assert_eq!(fs::read(copy.path()).unwrap(), bytes);

        let path = copy.path().to_owned();
        let shown = fs::read_link(&path).unwrap();
        assert!(shown.to_string_lossy().contains("libx.so"), "{}", shown.display());
        drop(copy);
        assert!(fs::read(&path).is_err(), "nothing is left over");
    }

    #[test]
    fn two_copies_have_two_paths() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libx.so");
        fs::write(&file, "one").unwrap();
        let first = SealedCopy::of(&file).unwrap();
        let path = first.path().to_owned();
        first.keep();
        fs::write(&file, "two").unwrap();
        let second = SealedCopy::of(&file).unwrap();
        assert_ne!(second.path(), path);
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn where_there_is_no_memory_for_it_a_file_without_a_name_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = nameless_file(folder.path()).unwrap();
        let source = folder.path().join("libx.so");
        fs::write(&source, "bytes").unwrap();
        let sha256 = copy_hashed(&mut File::open(&source).unwrap(), &mut place).unwrap();
        assert_eq!(sha256, inspect::sha256(b"bytes"));
        let mut sealed = seal(place).unwrap();
        let path = path_of(&sealed).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"bytes");
        assert!(sealed.write(b"x").is_err(), "it is open for reading only");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        // Nothing of it is in the directory.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(nameless_file(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            SealedCopy::of(folder.path()),
            Err(Error::Unreadable(Rejection::NotAFile("a directory")))
        ));
        let error = SealedCopy::of(&folder.path().join("absent")).unwrap_err();
        assert!(error.to_string().starts_with("it cannot be read"), "{error}");
    }
}
