//! The plugins in `examples/`, a workspace of its own: checked, built and tested there by its own commands, as their author would.
//!
//! They are built into a target folder beside this workspace's, where the tests that drive them look for them and which lasts as
//! long.

use std::env;
use std::process::Command;

use anyhow::Result;

use super::runner::{Tally, cargo_test};
use crate::workspace::{Workspace, run};

/// The folder of the plugins, in the root folder.
const FOLDER: &str = "examples";
/// Their target folder, in that of this workspace.
const TARGET: &str = "example-plugins";

/// Format and lints.
pub(super) fn check_style(workspace: &Workspace) -> Result<()> {
    run(&mut cargo(workspace, &["fmt", "--all", "--check"]))?;
    run(&mut cargo(
        workspace,
        &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"],
    ))
}

/// The plugins themselves.
pub(super) fn build(workspace: &Workspace) -> Result<()> {
    run(&mut cargo(workspace, &["build", "--locked"]))
}

/// Their own tests.
pub(super) fn tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    cargo_test(cargo(workspace, &["test", "--locked", "--no-fail-fast", "--", "--show-output"]), tally)
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.cargo(arguments);
    command.current_dir(workspace.root.join(FOLDER));
    command.env("CARGO_TARGET_DIR", workspace.target_directory.join(TARGET));
    if env::var_os("CARGO_BUILD_BUILD_DIR").is_none() {
        // What this workspace has compiled already need not be compiled again.
        command.env("CARGO_BUILD_BUILD_DIR", &workspace.target_directory);
    }
    command
}
