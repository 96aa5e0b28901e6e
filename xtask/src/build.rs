//! `cargo xtask build`: the program, its engine and the built-in plugins, beside each other in the target directory.
//!
//! What serves development only, this program and the tests' crates, is left out. The library by which GPUs sum is built where there are
//! headers of CUDA.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::libtorch;
use crate::workspace::{Workspace, run};

/// Libraries that the program opens from its own folder: the engine and the built-in plugins.
const LIBRARIES: [&str; 5] =
    ["kiwi_engine", "kiwi_encoders", "kiwi_heads", "kiwi_optimizers", "kiwi_metrics"];

/// The crate of the library by which GPUs sum; it is empty without the feature `nccl`.
const NCCL: &str = "kiwi-nccl";

/// What `cargo xtask build` takes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// Build without optimisation, into `target/debug`.
    #[arg(long)]
    debug: bool,
}

/// How it is built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    Release,
    Dev,
}

impl Profile {
    fn put(self, cargo: &mut Command) {
        if matches!(self, Self::Release) {
            cargo.arg("--release");
        }
    }
}

/// Sets libtorch up, then builds.
pub(crate) fn setup_and_build(workspace: &Workspace, options: Options) -> Result<()> {
    libtorch::setup(workspace, libtorch::Options::default())?;
    let program = build(workspace, if options.debug { Profile::Dev } else { Profile::Release })?;
    println!("built {}", program.display());
    Ok(())
}

/// Builds and makes sure that everything the program needs lies beside it; hands back the program.
pub(crate) fn build(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let mut command = workspace.cargo(&["build", "--workspace", "--exclude", NCCL]);
    profile.put(&mut command);
    for package in workspace.development_packages() {
        command.args(["--exclude", package]);
    }
    run(&mut command)?;
    if libtorch::has_cuda_headers(workspace) {
        let mut command = workspace.cargo(&["build", "--package", NCCL, "--features", "nccl"]);
        profile.put(&mut command);
        run(&mut command)?;
    }

    let folder = workspace.target_directory.join(match profile {
        Profile::Release => "release",
        Profile::Dev => "debug",
    });
    whole(&folder)?;
    Ok(folder.join(program()))
}

/// An error, unless a folder holds the program and all that it needs beside it.
pub(crate) fn whole(folder: &Path) -> Result<()> {
    let missing: Vec<String> = files().into_iter().filter(|name| !folder.join(name).is_file()).collect();
    if !missing.is_empty() {
        bail!("the build succeeded, but {} lacks {}", folder.display(), missing.join(", "));
    }
    Ok(())
}

/// The names of the program and of all that it needs beside it.
pub(crate) fn files() -> Vec<String> {
    let libraries = LIBRARIES.iter().map(|name| format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
    std::iter::once(program()).chain(libraries).collect()
}

/// The name of the library by which GPUs sum, which not every build has.
pub(crate) fn nccl() -> String {
    format!("{DLL_PREFIX}kiwi_nccl{DLL_SUFFIX}")
}

fn program() -> String {
    format!("kiwi-host{EXE_SUFFIX}")
}
