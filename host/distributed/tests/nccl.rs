//! The library of groups over NCCL where it is missing or is another one: said, and nothing is done by it.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::plugins::search::nccl_file_name;
use kiwi_distributed::{Nccl, NcclError};

fn refused(library: &Path) -> NcclError {
    Nccl::open(library).unwrap_err()
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let library = Path::new("/nowhere").join(nccl_file_name());
    assert_eq!(refused(&library), NcclError::Missing(library.clone()));
    assert_eq!(refused(&library).to_string(), format!("there is no {}", library.display()));
}

#[test]
fn a_file_that_is_no_library_is_said_with_what_the_loader_says() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let library = folder.join(nccl_file_name());
    fs::write(&library, "no library").unwrap();
    let said = refused(&library).to_string();
    let start = format!("{} cannot be opened: ", library.display());
    assert!(said.starts_with(&start) && said.len() > start.len(), "{said}");
}

#[test]
fn a_library_without_nccl_is_told_from_one_that_has_it() {
    // Any library at all: one of this process itself.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let is_library = |path: &&str| path.starts_with('/') && path.contains("/libc.so");
    let library = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(is_library).unwrap();
    assert_eq!(refused(Path::new(library)), NcclError::Empty(library.into()));
}
