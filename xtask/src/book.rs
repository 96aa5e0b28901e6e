//! `cargo xtask book`: builds the book of `docs/` into `target/book` and checks its links, by the program `kiwi-book`, which is a crate of
//! its own so that this one does not need mdBook.

use anyhow::Result;

use crate::workspace::{Workspace, run};

/// Builds the book and checks its links.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo(&["run", "--quiet", "--package", "kiwi-book", "--"]);
    run(command.arg(&workspace.root).arg(workspace.target_directory.join("book")))
}
