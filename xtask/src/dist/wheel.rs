//! The wheel: the same files for `pip install`, which brings torch along.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kiwi_wheel::{Project, Tag, Wheel};

use super::contents::{Contents, DOCUMENTS, PROGRAM};
use super::{VERSION, bill, licences, persist};
use crate::workspace::Workspace;

/// Licences that stand among the metadata too, where pip's tools look for them.
const LICENCES: [&str; 3] = ["LICENSE-MIT", "LICENSE-APACHE", licences::FILE];

/// Writes it; its path.
pub(super) fn write(workspace: &Workspace, contents: &Contents, folder: &Path) -> Result<PathBuf> {
    let readme = workspace.root.join("README.md");
    let mut release = kiwi_plugin_metadata::TORCH_VERSION.split('.');
    let torch = [release.next(), release.next()].into_iter().flatten().collect::<Vec<_>>().join(".");
    let project = Project {
        name: "kiwi-host".to_owned(),
        version: VERSION.to_owned(),
        summary: "Trains translation language models whose parts come from plugins".to_owned(),
        license: Some("MIT OR Apache-2.0".to_owned()),
        authors: vec!["The kiwi-host developers".to_owned()],
        requires: vec![format!("torch=={torch}.*")],
        // torch's own bound.
        requires_python: Some(">=3.10".to_owned()),
        description: fs::read_to_string(&readme)
            .with_context(|| format!("cannot read {}", readme.display()))?,
    };
    let mut wheel = Wheel::new(project, Tag::OF_HOST);
    for (path, bytes) in &contents.files {
        let document = path.strip_prefix(DOCUMENTS).and_then(|name| name.strip_prefix('/'));
        match document {
            Some(name) if LICENCES.contains(&name) => wheel.license(name, bytes.clone()),
            Some(bill::FILE) => wheel.bill_of_materials(bill::FILE, bytes.clone()),
            _ if path == PROGRAM => wheel.script("kiwi-host", bytes.clone()),
            _ => wheel.data(path, bytes.clone()),
        }
    }
    let path = folder.join(wheel.file_name());
    persist(&path, |file| Ok(wheel.write(BufWriter::new(file))?))?;
    Ok(path)
}
