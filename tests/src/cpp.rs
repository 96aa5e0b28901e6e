//! Plugins in C++, built as their authors build them: with `make` and g++ against the libtorch of the tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built;

/// The plugin of `examples/cpp`, in a directory with no other.
#[must_use]
pub fn example() -> PathBuf {
    build("example", "examples/cpp/conv_predictor.cpp")
}

/// The plugin of `tests/plugins/cpp`, which fails on demand, in a directory with no other.
#[must_use]
pub fn faulty() -> PathBuf {
    build("faulty", "tests/plugins/cpp/faulty.cpp")
}

/// Builds `source` unless what was built before is newer than it and the headers. Tests that run at the same time wait for one
/// another.
fn build(name: &str, source: &str) -> PathBuf {
    let (root, folder) = (built::root(), built::folder().join("cpp").join(name));
    fs::create_dir_all(&folder).expect("a folder for what is built");
    let lock = File::create(folder.join("lock")).expect("a lock");
    lock.lock().expect("the lock is free in the end");
    let file = folder.join(format!("libcpp_{name}.so"));
    let setting = |name: &str, path: &Path| format!("{name}={}", path.display());
    let output = Command::new("make")
        .arg("-C")
        .arg(root.join("examples/cpp"))
        .args(["-s", "CXXFLAGS=-O1 -Wall -Wextra -Werror"])
        .args([
            setting("LIBTORCH", &built::libtorch()),
            setting("SOURCE", &root.join(source)),
            setting("OUT", &file),
        ])
        .output()
        .expect("make is there");
    assert!(output.status.success(), "{source} must build:\n{}", String::from_utf8_lossy(&output.stderr));
    file
}
