//! Licences, sources and bans of dependencies, by `cargo deny` with the rules of `deny.toml`. Known vulnerabilities are not looked up
//! here: that takes a network, and would have old commits fail.

use std::process::Stdio;

use anyhow::Result;

use super::runner::Tally;
use crate::workspace::{Workspace, run};

/// Checks them where cargo-deny is installed, else says that they were left out.
pub(super) fn check(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let mut command = workspace.cargo(&["deny", "--version"]);
    let installed =
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !installed {
        tally.skipped.note("no cargo-deny: `cargo install --locked cargo-deny` installs it");
        return Ok(());
    }
    run(&mut workspace.cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]))
}
