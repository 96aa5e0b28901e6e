//! `cargo xtask release-api`: keeps the sources of this version of the plugin API, so that later hosts can be tried with plugins
//! built against it, and its hosts with later plugins.
//!
//! The archive holds `plugin-api/` as it is committed, below a workspace manifest of its own, as an author would be given it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use kiwi_plugin_metadata::API_VERSION;
use toml::{Table, Value};

use crate::workspace::Workspace;

/// What an archive holds of the repository.
const SOURCES: &str = "plugin-api";
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
    let files = git(&workspace.root, &["ls-files", "--", SOURCES])?;
    let manifest = manifest(&fs::read_to_string(workspace.root.join("Cargo.toml"))?)?;
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    add(&mut tar, "Cargo.toml", manifest.as_bytes())?;
    for name in files.lines() {
        let bytes = fs::read(workspace.root.join(name)).with_context(|| format!("cannot read {name}"))?;
        add(&mut tar, name, &bytes)?;
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

/// The root manifest, of whose members and own crates only those below [`SOURCES`] are left.
fn manifest(root: &str) -> Result<String> {
    let mut manifest: Table = root.parse().context("cannot read Cargo.toml")?;
    let workspace = manifest.get_mut("workspace").and_then(Value::as_table_mut);
    let workspace = workspace.context("Cargo.toml has no workspace")?;
    workspace.remove("default-members");
    workspace.remove("exclude");
    let kept = |path: &Value| path.as_str().is_some_and(|path| path.starts_with(SOURCES));
    if let Some(members) = workspace.get_mut("members").and_then(Value::as_array_mut) {
        members.retain(kept);
    }
    if let Some(dependencies) = workspace.get_mut("dependencies").and_then(Value::as_table_mut) {
        dependencies.retain(|_, dependency| dependency.get("path").is_none_or(kept));
    }
    Ok(toml::to_string_pretty(&manifest)?)
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").current_dir(root).args(arguments).output().context("cannot run git")?;
    if !output.status.success() {
        bail!("git {} failed: {}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plugin_api_is_left_of_the_manifest() {
        let root = "[workspace]\nmembers = [\"host\", \"plugin-api\", \"plugin-api/metadata\"]\ndefault-members = [\"host\"]\n\
                    [workspace.dependencies]\nkiwi-core = { path = \"host/core\" }\nkiwi-plugin-api = { path = \"plugin-api\" }\n\
                    serde = \"1\"\n[profile.dev]\ndebug = 1\n";
        let left: Table = manifest(root).unwrap().parse().unwrap();
        let expected: Table = "[workspace]\nmembers = [\"plugin-api\", \"plugin-api/metadata\"]\n\
                    [workspace.dependencies]\nkiwi-plugin-api = { path = \"plugin-api\" }\nserde = \"1\"\n[profile.dev]\ndebug = 1\n"
            .parse()
            .unwrap();
        assert_eq!(left, expected);
        assert!(manifest("[package]").is_err());
    }
}
