//! The sources of the plugin API as authors of plugins are given them: `plugin-api/` as it is committed, below a workspace manifest of
//! its own. A release keeps them ([`crate::release_api`]), and a package carries them ([`crate::dist`]).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::workspace::Workspace;

/// What they are of the repository.
pub(crate) const SOURCES: &str = "plugin-api";

/// All files with their paths, the manifest first.
pub(crate) fn files(workspace: &Workspace) -> Result<Vec<(String, Vec<u8>)>> {
    let manifest = manifest(&fs::read_to_string(workspace.root.join("Cargo.toml"))?)?;
    let mut files = vec![("Cargo.toml".to_owned(), manifest.into_bytes())];
    for name in git(&workspace.root, &["ls-files", "--", SOURCES])?.lines() {
        let bytes = fs::read(workspace.root.join(name)).with_context(|| format!("cannot read {name}"))?;
        files.push((name.to_owned(), bytes));
    }
    Ok(files)
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

/// What a command of git prints.
pub(crate) fn git(root: &Path, arguments: &[&str]) -> Result<String> {
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
