//! A build whose files hold no path of this machine, so that the same sources, compilers and libtorch make the same bytes anywhere.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use kiwi_core::shell;

use crate::build;
use crate::workspace::{Workspace, run};

/// Says that the source of the plugin API is to be found beside the program alone, and not where this checkout lies.
const PACKAGED: &str = "KIWI_PACKAGED";

/// Builds into a folder of its own, and hands it back.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => {
            PathBuf::from(env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo")
        }
    };
    let target = workspace.target_directory.join("reproducible");
    let libtorch = match env::var_os("LIBTORCH") {
        Some(libtorch) => PathBuf::from(libtorch),
        None => workspace.root.join(".libtorch/torch"),
    };
    // Of several that fit, the last counts. What includes libtorch's headers names it now by one of its paths, now by another.
    let renamed = [
        (cargo_home.canonicalize().unwrap_or(cargo_home), "/cargo"),
        (target.clone(), "/target"),
        (workspace.root.clone(), "/kiwi-host"),
        (libtorch.canonicalize().unwrap_or_else(|_| libtorch.clone()), "/libtorch"),
        (libtorch, "/libtorch"),
    ];
    let flags = |option: &str| {
        let flags: Vec<String> =
            renamed.iter().map(|(from, to)| format!("{option}={}={to}", from.display())).collect();
        flags
    };
    let mut command = workspace.cargo(&["build", "--release", "--locked", "--workspace"]);
    for package in workspace.development_packages() {
        command.args(["--exclude", package]);
    }
    command.env("CARGO_TARGET_DIR", &target).env(PACKAGED, "1");
    // Separated so that paths may hold spaces.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags("--remap-path-prefix").join("\u{1f}"));
    command.env("CXXFLAGS", shell::command(flags("-ffile-prefix-map"))).env("CC_SHELL_ESCAPED_FLAGS", "1");
    run(&mut command)?;
    build::whole(&target.join("release"))?;
    Ok(target.join("release"))
}
