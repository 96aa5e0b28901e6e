//! Which packages of others are compiled into what is given away: the dependencies of the program, its libraries and the built-in
//! plugins, as cargo resolved them. What serves the build alone is not among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::workspace::Workspace;

/// Packages that are packed, with all that they depend on.
const PACKED: [&str; 7] = [
    "kiwi-host",
    "kiwi-engine",
    "kiwi-nccl",
    "kiwi-encoders",
    "kiwi-heads",
    "kiwi-metrics",
    "kiwi-optimizers",
];

/// A package that is compiled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Component {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: Option<String>,
    pub(super) authors: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) repository: Option<String>,
    /// The registry, unless it is of this workspace.
    pub(super) source: Option<String>,
    pub(super) manifest_path: PathBuf,
    /// What it depends on, by their `id`s.
    #[serde(skip)]
    pub(super) needs: Vec<String>,
    /// SHA-256 of the archive that the registry has, as `Cargo.lock` has it.
    #[serde(skip)]
    pub(super) checksum: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Component>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// Absent for what is compiled in, `dev` or `build` for the rest.
    kind: Option<String>,
}

/// All that is compiled in, sorted by name and version.
pub(super) fn find(workspace: &Workspace) -> Result<Vec<Component>> {
    let target = kiwi_plugin_metadata::TARGET;
    let mut command =
        workspace.cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform"]);
    let printed = crate::workspace::output(command.arg(target))?;
    let metadata: Metadata =
        serde_json::from_str(&printed).context("cannot read what cargo metadata printed")?;
    let lock =
        std::fs::read_to_string(workspace.root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    chosen(metadata, &checksums(&lock)?)
}

fn chosen(metadata: Metadata, checksums: &BTreeMap<(String, String), String>) -> Result<Vec<Component>> {
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut packages: BTreeMap<String, Component> =
        metadata.packages.into_iter().map(|package| (package.id.clone(), package)).collect();
    let mut waiting: Vec<String> = Vec::new();
    for name in PACKED {
        let ours = packages.values().find(|package| package.name == name && package.source.is_none());
        waiting.push(ours.with_context(|| format!("there is no package {name}"))?.id.clone());
    }
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut chosen = Vec::new();
    while let Some(id) = waiting.pop() {
        if !found.insert(id.clone()) {
            continue;
        }
        let node = nodes.get(id.as_str()).with_context(|| format!("cargo resolved no {id}"))?;
        let compiled_in =
            |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        let mut needs: Vec<String> =
            node.deps.iter().filter(compiled_in).map(|dependency| dependency.pkg.clone()).collect();
        needs.sort();
        waiting.extend(needs.iter().cloned());
        let Some(mut component) = packages.remove(&id) else { bail!("cargo told nothing of {id}") };
        component.needs = needs;
        component.checksum = checksums.get(&(component.name.clone(), component.version.clone())).cloned();
        chosen.push(component);
    }
    chosen.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(chosen)
}

/// The checksums of a `Cargo.lock` by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock).context("cannot read Cargo.lock")?;
    let with = |one: Locked| Some(((one.name, one.version), one.checksum?));
    Ok(lock.package.into_iter().filter_map(with).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serves_tests_and_builds_alone_is_not_compiled_in() {
        let found = find(&Workspace::find().unwrap()).unwrap();
        let has = |name: &str| found.iter().any(|component| component.name == name);
        assert!(has("kiwi-host") && has("kiwi-encoders") && has("serde") && has("tch"));
        assert!(!has("xtask") && !has("proptest") && !has("cc") && !has("kiwi-tests"));
        for component in &found {
            assert_eq!(component.source.is_some(), component.checksum.is_some(), "{}", component.name);
            assert!(component.license.is_some(), "{}", component.name);
        }
    }
}
