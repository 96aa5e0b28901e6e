//! A Python with torch, which `cargo xtask test` and `cargo xtask setup --python` install into `.python/`.

use std::process::Command;

use crate::built;

/// The Python, if its packages are there; else a line that says why the test is left out.
#[must_use]
pub fn python() -> Option<Command> {
    let packages = built::root().join(".python");
    if !packages.join("installed").is_file() {
        println!("skipped: no torch for Python in .python: `cargo xtask setup --python` fetches it");
        return None;
    }
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}
