//! `cargo xtask dist`: what people install, made of a release build: a tarball that runs wherever libtorch is, and a wheel for pip.
//!
//! [`contents`] says which files there are and where they lie, [`components`] which packages of others are compiled into them, with
//! [`licences`] and [`bill`] made of that, [`limits`] what is checked before anything is written. Both archives hold the same
//! files. Archives of the same files are the same bytes.

mod bill;
mod components;
mod contents;
mod licences;
mod limits;
mod reproducible;
mod tarball;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::build::{self, Profile};
use crate::libtorch;
use crate::workspace::Workspace;

/// The version of what is packed: the host's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `cargo xtask dist` takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Make the wheel alone.
    #[arg(long, conflicts_with = "tarball")]
    wheel: bool,
    /// Make the tarball alone.
    #[arg(long)]
    tarball: bool,
    /// The folder to write to [default: dist in the target folder].
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// Build with no path of this machine in the files, so that another machine makes the same bytes; takes a build of its own.
    #[arg(long)]
    reproducible: bool,
}

/// Builds, checks, packs; the paths of what was made.
pub(crate) fn make(workspace: &Workspace, options: &Options) -> Result<Vec<PathBuf>> {
    libtorch::setup(workspace, libtorch::Options::default())?;
    let built = if options.reproducible {
        reproducible::build(workspace)?
    } else {
        build::build(workspace, Profile::Release)?.parent().map(Path::to_owned).unwrap_or_default()
    };
    let components = components::find(workspace)?;
    let contents = contents::collect(workspace, &built, &components)?;
    limits::check(&contents)?;

    let folder = match &options.output {
        Some(folder) => workspace.root.join(folder),
        None => workspace.target_directory.join("dist"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut made = Vec::new();
    if !options.wheel {
        made.push(tarball::write(&contents, &folder)?);
    }
    if !options.tarball {
        made.push(wheel::write(workspace, &contents, &folder)?);
    }
    print!("{}", limits::table(&contents));
    for path in &made {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        println!("{}  {:.1} MB\n  sha256 {}", path.display(), megabytes(bytes.len()), digest(&bytes));
    }
    Ok(made)
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// SHA-256 in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file whole or not at all.
fn persist(path: &Path, write: impl FnOnce(&mut fs::File) -> Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    let file = file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    // A temporary file is for its owner alone; what is given to others is not.
    let mut permissions = file.metadata()?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    file.set_permissions(permissions)?;
    Ok(())
}
