//! Fetching libtorch: pip fills `.libtorch/.part`, its contents are moved into `.libtorch`, and a stamp is written last.
//!
//! Without the stamp an installation counts as half-made and is replaced, so an interruption at any moment is harmless.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail};
use kiwi_plugin_metadata::TORCH_VERSION;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::python::Pip;
use crate::workspace::Workspace;

/// Name of the stamp in `.libtorch`.
const STAMP: &str = "installed.json";

/// Folder in `.libtorch` that pip fills.
pub(super) const PART: &str = ".part";

/// Cache for pip in `.libtorch`, used where the home directory cannot be written.
pub(super) const CACHE: &str = ".pip-cache";

/// What libtorch's libraries need of CUDA even on a machine without a GPU.
const CUDA_RUNTIME: [&str; 2] = ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"];

/// What a complete installation is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    /// Version of libtorch.
    torch: String,
    /// Whether everything is there that GPUs need.
    cuda: bool,
}

impl Stamp {
    pub(super) fn new(cuda: bool) -> Self {
        Self { torch: TORCH_VERSION.to_owned(), cuda }
    }

    pub(super) fn read(folder: &Path) -> Result<Self> {
        let name = folder.join(STAMP);
        let text = fs::read_to_string(&name)
            .with_context(|| format!("its installation is half-made: there is no {}", name.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", name.display()))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let name = folder.join(STAMP);
        let new = folder.join(".installed.json");
        let write = || -> Result<()> {
            let mut file = File::create(&new)?;
            serde_json::to_writer(&mut file, self)?;
            file.sync_all()?;
            fs::rename(&new, &name)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", name.display()))
    }

    /// Refuses an installation of another version, and one without CUDA where that is asked for.
    pub(super) fn allows(self, cuda: bool) -> Result<()> {
        if self.torch != TORCH_VERSION {
            bail!("it holds libtorch {}, expected {TORCH_VERSION}", self.torch);
        }
        if cuda && !self.cuda {
            bail!("it was installed without CUDA's libraries");
        }
        Ok(())
    }
}

/// Downloads and installs libtorch into `.libtorch`.
pub(super) fn fetch(workspace: &Workspace, place: &Place, cuda: bool) -> Result<()> {
    let part = place.folder.join(PART);
    let cache = place.folder.join(CACHE);
    remove(&part)?;
    let pip = Pip::find(workspace, &cache)?;
    let size = if cuda { "about 3 GB with CUDA's libraries" } else { "about 530 MB" };
    println!("fetching libtorch {TORCH_VERSION} into {} ({size})", place.folder.display());

    let torch = format!("torch=={TORCH_VERSION}");
    let target = part.to_string_lossy();
    let mut arguments =
        vec!["install", "--target", &target, "--only-binary", ":all:", "--no-compile", &torch];
    if !cuda {
        arguments.push("--no-deps");
        if cfg!(target_os = "linux") {
            arguments.extend(CUDA_RUNTIME);
        }
    }
    pip.run(&arguments)?;

    clear(place)?;
    move_contents(&part, &place.folder)?;
    Stamp::new(cuda).write(&place.folder)?;
    remove(&part)?;
    remove(&cache)
}

/// Removes what an earlier installation left in `.libtorch`, the stamp first.
pub(super) fn clear(place: &Place) -> Result<()> {
    remove(&place.folder.join(STAMP))?;
    for entry in read_folder(&place.folder)? {
        if !entry.file_name().to_string_lossy().starts_with('.') {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn move_contents(from: &Path, to: &Path) -> Result<()> {
    for entry in read_folder(from)? {
        let target = to.join(entry.file_name());
        fs::rename(entry.path(), &target)
            .with_context(|| format!("cannot move {} to {}", entry.path().display(), target.display()))?;
    }
    Ok(())
}

fn read_folder(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    fs::read_dir(folder)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot list the folder {}", folder.display()))
}

/// Removes a file, a link or a whole folder; none there is fine. A link is never followed.
pub(super) fn remove(path: &Path) -> Result<()> {
    let Ok(kind) = fs::symlink_metadata(path) else { return Ok(()) };
    let removed = if kind.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_of_another_version_or_without_cuda_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Stamp::read(folder.path()).is_err());
        Stamp::new(false).write(folder.path()).unwrap();
        let stamp = Stamp::read(folder.path()).unwrap();
        assert_eq!(stamp, Stamp::new(false));
        assert!(stamp.allows(true).is_err());
        assert!(Stamp::new(true).allows(false).is_ok());
        let old = Stamp { torch: "2.9.1".to_owned(), cuda: false };
        assert!(old.allows(false).unwrap_err().to_string().contains("2.9.1"));
        fs::write(folder.path().join(STAMP), "{").unwrap();
        assert!(Stamp::read(folder.path()).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn clearing_spares_the_lock_and_the_targets_of_links() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let place = Place::new(root.path());
        let _lock = place.lock().unwrap();
        fs::create_dir_all(place.folder.join("nvidia/lib")).unwrap();
        std::os::unix::fs::symlink(&outside, &place.torch).unwrap();
        Stamp::new(false).write(&place.folder).unwrap();
        clear(&place).unwrap();
        assert!(outside.join("kept").exists());
        let left: Vec<_> = read_folder(&place.folder).unwrap().iter().map(fs::DirEntry::file_name).collect();
        assert_eq!(left, [".lock"]);
    }
}
