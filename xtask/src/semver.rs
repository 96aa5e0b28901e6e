//! `cargo xtask semver`: whether the plugin API still has all that its released versions of the same major version promise to
//! those who compile against it. What they promise to binaries is for the tests of `plugin-api/src/abi/layout`.
//!
//! `cargo-semver-checks` finds it out, from the sources that `cargo xtask release-api` keeps. It takes longer to build than the
//! program itself, so that it is no part of `cargo xtask test`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::semver::Version;
use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use kiwi_plugin_metadata::API_VERSION;

use crate::libtorch;
use crate::release_api::ARCHIVES;
use crate::workspace::{Workspace, run};

/// What authors of plugins compile, each by the version of the API.
const PACKAGES: [&str; 3] = ["kiwi-plugin-api", "kiwi-plugin-metadata", "kiwi-torch-ext"];

/// Compares with each version; an error if one has what is missing now.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let found = Command::new("cargo").args(["semver-checks", "--version"]).stderr(Stdio::null()).output();
    if !found.is_ok_and(|output| output.status.success()) {
        bail!(
            "cargo-semver-checks is not installed: `cargo install cargo-semver-checks --locked` installs it"
        );
    }
    libtorch::setup(workspace, libtorch::Options::default())?;
    let released = released(&workspace.root.join(ARCHIVES))?;
    if released.is_empty() {
        bail!("{ARCHIVES} has no earlier version than {API_VERSION} to compare with");
    }
    for (version, archive) in released {
        let folder = workspace.target_directory.join("semver").join(version.to_string());
        // Anew each time: what an earlier run left might be of another archive.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
            }
            _ => {}
        }
        let file = File::open(&archive).with_context(|| format!("cannot open {}", archive.display()))?;
        tar::Archive::new(GzDecoder::new(file))
            .unpack(&folder)
            .with_context(|| format!("cannot unpack {}", archive.display()))?;
        for package in PACKAGES {
            println!("\n=== {package} {API_VERSION} against {version}");
            let mut command = workspace.cargo(&["semver-checks", "check-release", "--package", package]);
            // Each of its builds has a folder of its own; what they depend on is the same.
            command.env("CARGO_BUILD_BUILD_DIR", workspace.target_directory.join("semver/build"));
            run(command.arg("--baseline-root").arg(&folder))?;
        }
    }
    Ok(())
}

/// The archives of earlier versions with this major version, the oldest first.
fn released(folder: &Path) -> Result<Vec<(Version, PathBuf)>> {
    let now: Version = API_VERSION.parse().context("the version of the plugin API")?;
    let mut released = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(version) = name.strip_suffix(".tar.gz") else { continue };
        let version: Version =
            version.parse().with_context(|| format!("{name} is named after no version"))?;
        if version.major == now.major && version < now {
            released.push((version, path));
        }
    }
    released.sort();
    Ok(released)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_versions_of_the_same_major_version_are_compared_with() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(ARCHIVES);
        let found = released(&folder).unwrap();
        assert_eq!(found[0].0, Version::new(1, 0, 0));
        assert!(found.is_sorted() && found.iter().all(|(_, archive)| archive.is_file()));
    }
}
