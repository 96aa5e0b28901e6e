//! Runs whose directory is on a disk with little room.

use std::fs;
use std::process::Command;

use crate::outcome::Outcome;
use crate::workplace::Workplace;

/// Runs a script in which `small` is a disk of this size and `run ARGUMENTS` the program; nothing, where that is not possible.
///
/// # Panics
/// When the folder cannot be made, and as [`Outcome::of`].
#[must_use]
pub fn with_small_disk(work: &Workplace, kibibytes: u32, script: &str) -> Option<Outcome> {
    fs::create_dir_all(work.at("small")).expect("a folder");
    let possible = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs -o size=1M tmpfs \"$1\"", "sh"])
        .arg(work.at("small"))
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: no small disk can be mounted here (unshare -rm, mount -t tmpfs)");
        return None;
    }
    let mount = format!("mount -t tmpfs -o size={kibibytes}k tmpfs small || exit 99\n");
    let run = "run() { \"$PROGRAM\" train run.json --threads 1 --output-dir small/run \"$@\"; }\n";
    Some(work.run_unshared("-rm", &format!("{mount}{run}{script}")))
}
