//! `cargo xtask release-api`: keeps the sources of this version of the plugin API, so that later hosts can be tried with plugins
//! built against it, and its hosts with later plugins.
//!
//! The archive holds `plugin-api/` as it is committed, below a workspace manifest of its own, as an author would be given it.

use std::fs;

use anyhow::{Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use kiwi_plugin_metadata::API_VERSION;

use crate::api_source::{self, SOURCES, git};
use crate::workspace::Workspace;

/// Where archives are kept.
pub(crate) const ARCHIVES: &str = "tests/api-versions";

/// Writes the archive of this version, which must not exist yet.
pub(crate) fn release(workspace: &Workspace) -> Result<()> {
    let archive = workspace.root.join(ARCHIVES).join(format!("{API_VERSION}.tar.gz"));
    if archive.exists() {
        bail!("{} exists: a version that was released stays as it is; raise the version", archive.display());
    }
    let changed = git(&workspace.root, &["status", "--porcelain", "--", SOURCES])?;
    if !changed.is_empty() {
        bail!("commit what has changed in {SOURCES} first:\n{changed}");
    }
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (name, bytes) in api_source::files(workspace)? {
        add(&mut tar, &name, &bytes)?;
    }
    fs::write(&archive, tar.into_inner()?.finish()?)?;
    println!("{}", archive.display());
    Ok(())
}

/// An entry that depends on name and content only.
fn add<W: std::io::Write>(tar: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes)?;
    Ok(())
}
