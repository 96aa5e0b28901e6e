//! Whether a folder holds the libtorch release that kiwi-host binds: for build scripts.
//!
//! Depending on this crate is a check by itself: its own build script fails when LIBTORCH names another release or nothing.
//! Cargo may run torch-sys's build first all the same. It finds no libtorch and fetches none.

mod folder;

use std::path::{Path, PathBuf};

/// Checks that `root` holds libtorch's headers, of the major and minor release that we bind. Gives the file that says so,
/// or one sentence: what was found, what was expected, where, and what to do.
pub fn check(root: &Path) -> Result<PathBuf, String> {
    folder::check(root)
}
