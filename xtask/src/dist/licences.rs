//! The licences of everything that is compiled in, as their packages carry them; those that carry none have the text that SPDX
//! has of theirs.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail};

use super::components::Component;

/// The name of the file.
pub(super) const FILE: &str = "THIRD-PARTY-LICENSES.txt";

/// How the names of files with licences begin.
const NAMES: [&str; 4] = ["LICEN", "COPYING", "NOTICE", "UNLICENSE"];

/// What is compiled into every Rust program and is no package.
const STANDARD_LIBRARY: &str = "The Rust standard library, Copyright (c) The Rust Project Contributors, is licensed under \
    MIT OR Apache-2.0, <https://www.rust-lang.org/policies/licenses>.\n";

/// The text: what there is, then each licence once, with the packages that it is of.
pub(super) fn text(components: &[Component]) -> Result<String> {
    let others: Vec<&Component> = components.iter().filter(|component| component.source.is_some()).collect();
    let mut packages_by_text: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    for component in &others {
        let license = component.license.as_deref().unwrap_or_default();
        let name = format!("{} {}", component.name, component.version);
        list += &format!("{name}: {license}\n");
        for text in texts(component)? {
            packages_by_text.entry(text).or_default().push(name.clone());
        }
    }
    let mut licences: Vec<(String, Vec<String>)> = packages_by_text.into_iter().collect();
    licences.sort_by(|one, other| one.1.cmp(&other.1));
    let line = "=".repeat(78);
    let texts: String = licences
        .iter()
        .map(|(text, packages)| format!("\n{line}\n{}\n{line}\n\n{}\n", packages.join(", "), text.trim_end()))
        .collect();
    Ok(format!(
        "The program, its libraries and the built-in plugins contain the packages below, unchanged, under their licences.\n\
         libtorch is not among them: it is installed by itself.\n\n{STANDARD_LIBRARY}\n{list}{texts}"
    ))
}

/// The texts of a package's licences.
fn texts(component: &Component) -> Result<Vec<String>> {
    let folder = component.manifest_path.parent().context("a manifest lies in a folder")?;
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().to_uppercase();
            NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file()
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let mut texts = Vec::new();
    for path in files {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        texts.push(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
    }
    if texts.is_empty() {
        texts.push(standard(component)?);
    }
    Ok(texts)
}

/// The text that SPDX has of the first licence that a package offers, with its authors.
fn standard(component: &Component) -> Result<String> {
    let offered = component.license.as_deref().unwrap_or_default();
    let first = offered.split([' ', '/', '(']).find(|word| !word.is_empty()).unwrap_or_default();
    let Some(license) = spdx::license_id(first) else {
        bail!(
            "{} {} has neither a licence file nor one of SPDX: `{offered}`",
            component.name,
            component.version
        );
    };
    let authors = match component.authors.as_slice() {
        [] => format!("the authors of {}", component.name),
        authors => authors.join(", "),
    };
    Ok(format!("{} ({first}), Copyright (c) {authors}\n\n{}", license.full_name, license.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::components;
    use crate::workspace::Workspace;

    #[test]
    fn every_package_has_its_licence() {
        let components = components::find(&Workspace::find().unwrap()).unwrap();
        let text = text(&components).unwrap();
        for component in components.iter().filter(|component| component.source.is_some()) {
            let name = format!("{} {}", component.name, component.version);
            assert!(text.matches(&name).count() >= 2, "{name} stands in the list and above a licence");
        }
        assert!(!text.contains("kiwi-encoders 0.1.0"));
    }
}
