//! Plugin files that are almost those that were built: of another version, of another build, of other linkage.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiwi_core::plugins::inspect;

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn sha256(file: &Path) -> String {
    inspect::sha256(&fs::read(file).expect("a file"))
}

/// The version of a built plugin.
pub const VERSION: &str = "0.1.0";

/// Makes another version of the plugin of this file, of the same code. Versions must be as long as [`VERSION`].
///
/// # Panics
/// When the file does not say its version once.
pub fn set_version(file: &Path, version: &str) {
    let record = |version: &str| [&b"\x07\0\0\0\x05\0\0\0version"[..], version.as_bytes()].concat();
    let mut bytes = fs::read(file).expect("a plugin");
    let old = record(VERSION);
    let places: Vec<_> = (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(&old)).collect();
    let [at] = places[..] else { panic!("{} versions in {}", places.len(), file.display()) };
    bytes[at..at + old.len()].copy_from_slice(&record(version));
    replace(file, &bytes);
}

/// Makes another build of the plugin of this file, of the same code and version.
///
/// # Panics
/// When it cannot be written.
pub fn rebuild(file: &Path) {
    let mut bytes = fs::read(file).expect("a plugin");
    // After the end of what is loaded.
    bytes.extend_from_slice(b"another build");
    replace(file, &bytes);
}

/// Puts another file in the place of one; the old one stays what it was for whoever has it open.
fn replace(file: &Path, bytes: &[u8]) {
    fs::remove_file(file).expect("a file to replace");
    fs::write(file, bytes).expect("a file");
}

/// A shared library that says of itself what the plugin of `file` says, of this C code and linked with these options.
///
/// # Panics
/// When there are no C compiler and binary tools.
pub fn impersonate(file: &Path, path: &Path, code: &str, options: &[&str]) {
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder).expect("a folder");
    let (section, source): (PathBuf, PathBuf) = (path.with_extension("section"), path.with_extension("c"));
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["-O", "binary", "--only-section=.kiwi_plugin"]).arg(file).arg(&section);
    assert!(objcopy.status().expect("objcopy").success());
    let embedded = format!(
        "__asm__(\".section .kiwi_plugin,\\\"a\\\"\\n.incbin \\\"{}\\\"\\n.previous\");\n{code}\n",
        section.display()
    );
    fs::write(&source, embedded).expect("a file");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(path).arg(&source).args(options);
    assert!(cc.status().expect("cc").success());
    fs::remove_file(section).expect("a file");
    fs::remove_file(source).expect("a file");
}
