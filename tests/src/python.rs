//! A Python with torch, and one with TensorBoard, MLflow and Optuna, which `cargo xtask test` and `cargo xtask setup --python` install into
//! `.python/` and `.python-tracking/`.

use std::process::Command;

use crate::built;

/// The Python with torch, if its packages are there; else a line that says why the test is left out.
#[must_use]
pub fn python() -> Option<Command> {
    with_packages(".python", "torch for Python")
}

/// The same with TensorBoard and MLflow.
#[must_use]
pub fn tracking() -> Option<Command> {
    with_packages(".python-tracking", "TensorBoard and MLflow")
}

/// The same with Optuna, which an earlier installation has not.
#[must_use]
pub fn optuna() -> Option<Command> {
    let command = tracking()?;
    if built::root().join(".python-tracking/optuna").is_dir() {
        return Some(command);
    }
    println!("skipped: no Optuna in .python-tracking: `cargo xtask setup --python` fetches it");
    None
}

fn with_packages(folder: &str, what: &str) -> Option<Command> {
    let packages = built::root().join(folder);
    if !packages.join("installed").is_file() {
        println!("skipped: no {what} in {folder}: `cargo xtask setup --python` fetches it");
        return None;
    }
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}
