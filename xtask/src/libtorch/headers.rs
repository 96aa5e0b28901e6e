//! The headers of NCCL and CUDA, which the library by which GPUs sum is compiled with: pip fetches the packages that have them, and all
//! but their headers is thrown away. Neither a GPU nor libtorch's CUDA part is needed for that.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::install::{CACHE, PART, remove};
use super::{Place, Workspace};
use crate::python::Pip;

/// Where they lie in `.libtorch`; the crate's build script looks there.
const FOLDER: &str = "cuda-include";

/// The file that is written last, with the names of the packages.
const STAMP: &str = "packages";

/// Names folders to use in their place; the crate's build script reads it.
const VARIABLE: &str = "KIWI_CUDA_INCLUDE";

/// Of the versions that torch itself depends on.
const PACKAGES: [&str; 4] = [
    "nvidia-nccl-cu13==2.28.9",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-cccl==13.0.85",
];

/// What is kept of them, and as what.
const KEPT: [(&str, &str); 2] = [("nvidia/nccl/include", "nccl"), ("nvidia/cu13/include", "cuda")];

/// Whether they are there, or the user has named others.
pub(crate) fn are_there(workspace: &Workspace) -> bool {
    let named = env::var_os(VARIABLE).is_some_and(|folders| !folders.is_empty());
    named || is_complete(&Place::new(&workspace.root).folder.join(FOLDER))
}

/// Fetches them unless they are there.
pub(super) fn fetch(workspace: &Workspace, place: &Place) -> Result<()> {
    let folder = place.folder.join(FOLDER);
    if are_there(workspace) {
        return Ok(());
    }
    println!(
        "fetching the headers of NCCL and CUDA into {} (200 MB, of which 20 are kept)",
        folder.display()
    );
    let (part, cache) = (place.folder.join(PART), place.folder.join(CACHE));
    remove(&part)?;
    let target = part.to_string_lossy();
    let mut arguments =
        vec!["install", "--target", &target, "--only-binary", ":all:", "--no-compile", "--no-deps"];
    arguments.extend(PACKAGES);
    Pip::find(workspace, &cache)?.run(&arguments)?;
    keep(&part, &folder)?;
    remove(&part)?;
    remove(&cache)
}

/// Moves the headers out of what pip has installed.
fn keep(from: &Path, folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (part, name) in KEPT {
        let (part, target): (PathBuf, _) = (from.join(part), folder.join(name));
        fs::rename(&part, &target)
            .with_context(|| format!("cannot move {} to {}", part.display(), target.display()))?;
    }
    let stamp = folder.join(STAMP);
    fs::write(&stamp, stamped()).with_context(|| format!("cannot write {}", stamp.display()))
}

fn is_complete(folder: &Path) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|written| written == stamped())
}

fn stamped() -> String {
    format!("{}\n", PACKAGES.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_and_count_with_their_stamp_only() {
        let root = tempfile::tempdir().unwrap();
        let (part, folder) = (root.path().join("part"), root.path().join(FOLDER));
        for file in
            ["nvidia/nccl/include/nccl.h", "nvidia/nccl/lib/libnccl.so.2", "nvidia/cu13/include/cuda.h"]
        {
            fs::create_dir_all(part.join(file).parent().unwrap()).unwrap();
            fs::write(part.join(file), "").unwrap();
        }
        assert!(!is_complete(&folder));
        keep(&part, &folder).unwrap();
        assert!(is_complete(&folder));
        assert!(folder.join("nccl/nccl.h").exists() && folder.join("cuda/cuda.h").exists());
        fs::write(folder.join(STAMP), "nvidia-nccl-cu13==2.27.5\n").unwrap();
        assert!(!is_complete(&folder));
    }
}
