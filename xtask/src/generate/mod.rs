//! `cargo xtask generate`: writes the files of the repository that are made from others, or checks that they are what they would be.
//!
//! One kind of file a module: [`c_header`] is the header of plugins in C and C++, [`reference`] the page of all keys of a config.
//! `docs/errors.md` is what `kiwi-core` says of each error code.

mod c_header;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::workspace::Workspace;

/// What to do with the generated files.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a file is not what it would be.
    #[arg(long)]
    check: bool,
}

/// A file that is made from others.
struct Generated {
    /// Its path from the root of the repository.
    path: &'static str,
    text: String,
}

/// Writes or checks every generated file.
pub(crate) fn generate(workspace: &Workspace, options: Options) -> Result<()> {
    let errors = Generated { path: "docs/errors.md", text: kiwi_core::error_code::markdown() };
    let files = [c_header::generate(&workspace.root)?, reference::generate(&workspace.root)?, errors];
    let mut stale: Vec<&str> = Vec::new();
    for file in &files {
        let path = workspace.root.join(file.path);
        if fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
            println!("{} is up to date", file.path);
        } else if options.check {
            stale.push(file.path);
        } else {
            write(&path, &file.text)?;
            println!("wrote {}", file.path);
        }
    }
    match stale.as_slice() {
        [] => Ok(()),
        stale => bail!(
            "not what it is made from any more: {}; run `cargo xtask generate` and commit what it writes",
            stale.join(", ")
        ),
    }
}

/// Checks every generated file: a step of `cargo xtask test`.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    generate(workspace, Options { check: true })
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().map(Path::to_owned).unwrap_or_else(|| PathBuf::from("."));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
