//! `cargo xtask setup`: makes `.libtorch/torch` a usable libtorch, which is where `.cargo/config.toml` lets every build look.
//!
//! [`folder`] says what a folder with libtorch in it must hold, [`install`] fetches one. Here is the order of search: the
//! user's `LIBTORCH`, what is in `.libtorch` already, the torch of the active Python, and last a download.

mod folder;
mod headers;
mod install;

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use folder::TorchFolder;
use kiwi_plugin_metadata::TORCH_VERSION;

use crate::python;
use crate::workspace::{LIBTORCH, Workspace, is_same_place};

pub(crate) use headers::are_there as has_cuda_headers;

/// What `cargo xtask setup` takes.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Options {
    /// Fetch what GPUs need too: CUDA's libraries, several gigabytes, and the headers of NCCL.
    #[arg(long)]
    cuda: bool,
    /// Fetch what some tests need of Python too, into `.python` and `.python-tracking`: several gigabytes.
    #[arg(long)]
    pub(crate) python: bool,
}

/// Where libtorch is kept in the repository.
#[derive(Debug)]
struct Place {
    /// `.libtorch`.
    folder: PathBuf,
    /// `.libtorch/torch`, a folder or a symbolic link.
    torch: PathBuf,
}

impl Place {
    fn new(root: &Path) -> Self {
        let folder = root.join(".libtorch");
        Self { torch: root.join(LIBTORCH), folder }
    }

    /// Waits until no other set-up works on this place; the lock ends with the file.
    fn lock(&self) -> Result<File> {
        let name = self.folder.join(".lock");
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        let file = File::create(&name).with_context(|| format!("cannot make the file {}", name.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!("another set-up is running: waiting for it");
                file.lock().with_context(|| format!("cannot lock {}", name.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", name.display()));
            }
        }
        Ok(file)
    }

    /// Makes `.libtorch/torch` a link to a folder, in one step.
    fn link_to(&self, folder: &TorchFolder) -> Result<()> {
        let new = self.folder.join(".torch-link");
        let _ = fs::remove_file(&new);
        std::os::unix::fs::symlink(&folder.path, &new)
            .and_then(|()| fs::rename(&new, &self.torch))
            .with_context(|| format!("cannot link {} to {}", self.torch.display(), folder.path.display()))
    }
}

/// What lies at `.libtorch/torch`.
#[derive(Debug)]
enum Present {
    Nothing,
    /// A link to a libtorch that is right.
    Link(TorchFolder),
    /// A complete installation of our own.
    Installed(TorchFolder),
    /// Something that cannot be used, and why.
    Unusable(String),
}

fn present(place: &Place, options: Options) -> Present {
    let Ok(kind) = fs::symlink_metadata(&place.torch) else { return Present::Nothing };
    let checked = TorchFolder::check(&place.torch);
    if kind.is_symlink() {
        return match checked.and_then(|folder| folder.for_cuda(options.cuda)) {
            Ok(folder) => Present::Link(folder),
            Err(error) => Present::Unusable(format!("{error:#}")),
        };
    }
    match install::Stamp::read(&place.folder).and_then(|stamp| stamp.allows(options.cuda)).and(checked) {
        Ok(folder) => Present::Installed(folder),
        Err(error) => Present::Unusable(format!("{error:#}")),
    }
}

/// Makes `.libtorch/torch` usable; hands back the folder that it is or leads to.
pub(crate) fn setup(workspace: &Workspace, options: Options) -> Result<PathBuf> {
    let place = Place::new(&workspace.root);
    let _lock = place.lock()?;
    let folder = find_or_fetch(workspace, &place, options)?;
    if options.cuda {
        headers::fetch(workspace, &place)?;
    }
    Ok(folder)
}

/// Fetches the headers of NCCL and CUDA, and nothing else that GPUs need.
pub(crate) fn fetch_cuda_headers(workspace: &Workspace) -> Result<()> {
    let place = Place::new(&workspace.root);
    let _lock = place.lock()?;
    headers::fetch(workspace, &place)
}

fn find_or_fetch(workspace: &Workspace, place: &Place, options: Options) -> Result<PathBuf> {
    let present = present(place, options);

    if let Some(given) = users_libtorch(place) {
        let folder = check_given(&given, options.cuda).with_context(|| {
            format!(
                "LIBTORCH cannot be used: set it to the folder of a libtorch {TORCH_VERSION}, or unset it to let \
                 `cargo xtask setup` find or fetch one"
            )
        })?;
        match present {
            Present::Installed(_) => {}
            Present::Link(linked) if linked.is_same_as(&folder) => {}
            Present::Link(_) | Present::Nothing => place.link_to(&folder)?,
            Present::Unusable(reason) => {
                println!("{} is replaced: {reason}", place.torch.display());
                install::clear(place)?;
                place.link_to(&folder)?;
            }
        }
        println!("libtorch {}: {} (from LIBTORCH)", folder.version, folder.path.display());
        return Ok(folder.path);
    }

    match present {
        Present::Installed(folder) => {
            println!("libtorch {}: {}", folder.version, place.torch.display());
            return Ok(folder.path);
        }
        Present::Link(folder) => {
            println!("libtorch {}: {}, linked as .libtorch/torch", folder.version, folder.target().display());
            return Ok(folder.path);
        }
        Present::Unusable(reason) => println!("{} is not used: {reason}", place.torch.display()),
        Present::Nothing => {}
    }

    for found in python::torch_folders(workspace) {
        match TorchFolder::check(&found).and_then(|folder| folder.for_cuda(options.cuda)) {
            Ok(folder) => {
                install::clear(place)?;
                place.link_to(&folder)?;
                println!("libtorch {}: {} (the active Python's)", folder.version, folder.path.display());
                return Ok(folder.path);
            }
            Err(error) => println!("the active Python's torch is not used: {error:#}"),
        }
    }

    install::fetch(workspace, place, options.cuda)?;
    let folder = TorchFolder::check(&place.torch).context("pip installed a torch that cannot be used")?;
    println!("libtorch {}: {}", folder.version, place.torch.display());
    Ok(folder.path)
}

/// `LIBTORCH` if the user set it. Cargo sets it too, to `.libtorch/torch`, where the user did not.
fn users_libtorch(place: &Place) -> Option<PathBuf> {
    let given = env::var_os("LIBTORCH").filter(|value| !value.is_empty()).map(PathBuf::from)?;
    (!is_same_place(&given, &place.torch)).then_some(given)
}

/// The folder that the user set, which each build script must find from a folder of its own.
fn check_given(given: &Path, cuda: bool) -> Result<TorchFolder> {
    if !given.is_absolute() {
        bail!("it is the relative path {}, expected an absolute one", given.display());
    }
    TorchFolder::check(given)?.for_cuda(cuda)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_counts_only_with_its_stamp() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path());
        assert!(matches!(present(&place, Options::default()), Present::Nothing));
        folder::tests::make(&place.torch, TORCH_VERSION);
        assert!(matches!(present(&place, Options::default()), Present::Unusable(_)));
        install::Stamp::new(false).write(&place.folder).unwrap();
        assert!(matches!(present(&place, Options::default()), Present::Installed(_)));
        assert!(matches!(
            present(&place, Options { cuda: true, ..Options::default() }),
            Present::Unusable(_)
        ));
    }

    #[test]
    fn a_link_is_replaced_and_counts_while_its_target_is_right() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path());
        let _lock = place.lock().unwrap();
        for name in ["first", "second"] {
            folder::tests::make(&root.path().join(name), TORCH_VERSION);
            place.link_to(&TorchFolder::check(&root.path().join(name)).unwrap()).unwrap();
            assert_eq!(fs::read_link(&place.torch).unwrap(), root.path().join(name));
        }
        assert!(matches!(present(&place, Options::default()), Present::Link(_)));
        fs::remove_dir_all(root.path().join("second")).unwrap();
        assert!(matches!(present(&place, Options::default()), Present::Unusable(_)));
    }
}
