//! What a folder must hold to be a libtorch that kiwi-host can be built with: the right version, headers, libraries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiwi_plugin_metadata::TORCH_VERSION;

/// Files that a build needs: the C++ interface's header and the two libraries that everything links.
const NEEDED: [&str; 3] =
    ["include/torch/csrc/api/include/torch/torch.h", "lib/libtorch_cpu.so", "lib/libc10.so"];

/// Where the version stands: in a Python package, in a release of libtorch, in the headers of either.
const VERSION_FILES: [&str; 4] = [
    "version.py",
    "build-version",
    "include/torch/headeronly/version.h",
    "include/torch/csrc/api/include/torch/version.h",
];

/// A folder with a usable libtorch in it.
#[derive(Debug)]
pub(super) struct TorchFolder {
    /// The folder that holds `include` and `lib`.
    pub(super) path: PathBuf,
    /// Its version, without a suffix such as `+cu130`.
    pub(super) version: String,
}

impl TorchFolder {
    /// Checks version, headers and libraries; an error says what was found, what was expected, and where.
    pub(super) fn check(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            bail!("libtorch {TORCH_VERSION} expected in {}, but there is no such folder", path.display());
        }
        let Some((version, file)) = version_of(path) else {
            bail!(
                "libtorch {TORCH_VERSION} expected in {}, but none of {} names a version",
                path.display(),
                VERSION_FILES.join(", ")
            );
        };
        if release(&version) != release(TORCH_VERSION) {
            bail!("found libtorch {version} in {}, expected {TORCH_VERSION}", path.join(file).display());
        }
        let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !path.join(name).exists()).collect();
        if !missing.is_empty() {
            bail!("libtorch {version} in {} is incomplete: it lacks {}", path.display(), missing.join(", "));
        }
        Ok(Self { path: path.to_path_buf(), version })
    }

    /// The same folder if it serves GPUs as well or no GPU is asked for.
    pub(super) fn for_cuda(self, wanted: bool) -> Result<Self> {
        let library = "lib/libtorch_cuda.so";
        if wanted && !self.path.join(library).exists() {
            bail!(
                "libtorch {} in {} lacks {library}: it was built without CUDA",
                self.version,
                self.path.display()
            );
        }
        // Python packages of CUDA's libraries lie beside that of torch: there are all or some.
        let packages = self.target().with_file_name("nvidia");
        if wanted && packages.is_dir() && !packages.join("cudnn").is_dir() {
            bail!(
                "libtorch {} in {} lacks CUDA's libraries: {}",
                self.version,
                self.path.display(),
                packages.join("cudnn").display()
            );
        }
        Ok(self)
    }

    /// The folder itself where the path is a link.
    pub(super) fn target(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.clone())
    }

    /// Whether both paths lead to one folder.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.target() == other.target()
    }
}

/// Major and minor version: libtorch's interface is the same within them.
fn release(version: &str) -> Option<(&str, &str)> {
    let mut parts = version.split('.');
    Some((parts.next()?, parts.next()?))
}

/// The version in a folder, and the file that names it.
fn version_of(path: &Path) -> Option<(String, &'static str)> {
    VERSION_FILES.into_iter().find_map(|file| {
        let text = fs::read_to_string(path.join(file)).ok()?;
        let version = match file {
            "build-version" => Some(text.trim()),
            "version.py" => after(&text, "__version__ = "),
            _ => quoted_macro(&text),
        }?;
        let version = version.split('+').next()?.trim();
        (!version.is_empty()).then(|| (version.to_owned(), file))
    })
}

/// The quoted value after `prefix` at the start of a line.
fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(prefix))
        .map(|value| value.trim().trim_matches(['\'', '"']))
}

/// The value of the C macro `TORCH_VERSION`, on the line of its definition or the next.
fn quoted_macro(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("#define TORCH_VERSION ")?;
    rest.split('"').nth(1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A folder that looks like the torch of a Python package.
    pub(crate) fn make(path: &Path, version: &str) {
        for name in NEEDED {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        fs::write(path.join("version.py"), format!("debug = False\n__version__ = '{version}+cu130'\n"))
            .unwrap();
    }

    #[test]
    fn each_kind_of_version_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), TORCH_VERSION);
        assert_eq!(TorchFolder::check(folder.path()).unwrap().version, TORCH_VERSION);

        fs::remove_file(folder.path().join("version.py")).unwrap();
        assert!(TorchFolder::check(folder.path()).is_err());
        let header = folder.path().join("include/torch/headeronly/version.h");
        fs::create_dir_all(header.parent().unwrap()).unwrap();
        let text =
            format!("#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION \\\n  \"{TORCH_VERSION}\"\n");
        fs::write(header, text).unwrap();
        assert_eq!(TorchFolder::check(folder.path()).unwrap().version, TORCH_VERSION);

        fs::write(folder.path().join("build-version"), "1.2.3+cpu\n").unwrap();
        let message = TorchFolder::check(folder.path()).unwrap_err().to_string();
        assert!(message.contains("found libtorch 1.2.3"), "{message}");
        assert!(message.contains(&format!("expected {TORCH_VERSION}")), "{message}");
        assert!(message.contains("build-version"), "{message}");
    }

    #[test]
    fn a_patch_release_is_as_good_and_a_minor_one_is_not() {
        assert_eq!(release("2.11.0"), release("2.11.3"));
        assert_ne!(release("2.11.0"), release("2.1.10"));
    }

    #[test]
    fn some_of_cudas_packages_are_not_enough() {
        let packages = tempfile::tempdir().unwrap();
        let torch = packages.path().join("torch");
        make(&torch, TORCH_VERSION);
        fs::write(torch.join("lib/libtorch_cuda.so"), "").unwrap();
        fs::create_dir_all(packages.path().join("nvidia/cu13")).unwrap();
        assert!(TorchFolder::check(&torch).unwrap().for_cuda(false).is_ok());
        let message = TorchFolder::check(&torch).unwrap().for_cuda(true).unwrap_err().to_string();
        assert!(message.contains("nvidia/cudnn"), "{message}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), TORCH_VERSION);
        let message = TorchFolder::check(folder.path()).unwrap().for_cuda(true).unwrap_err().to_string();
        assert!(message.contains("lib/libtorch_cuda.so"), "{message}");
        fs::write(folder.path().join("lib/libtorch_cuda.so"), "").unwrap();
        TorchFolder::check(folder.path()).unwrap().for_cuda(true).unwrap();
        fs::remove_file(folder.path().join("lib/libc10.so")).unwrap();
        let message = TorchFolder::check(folder.path()).unwrap_err().to_string();
        assert!(message.contains("lacks lib/libc10.so"), "{message}");
    }
}
