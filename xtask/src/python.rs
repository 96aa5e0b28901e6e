//! The Python installation of this machine: which torch it has, and its pip, the only tool that downloads anything here.
//!
//! Nothing is installed into that Python: pip is only ever given a folder of this repository to fill, which is allowed in
//! "externally managed" installations (PEP 668) too.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, display};

/// What a machine lacks that has no pip, and how to get it.
const NO_PIP: &str = "Python's pip is needed to fetch files: on Debian and Ubuntu, \
    `apt install build-essential python3 python3-pip git curl` installs what kiwi-host needs beside Rust (https://rustup.rs)";

/// Prints the folder of the package torch without importing it.
const FIND_TORCH: &str = "import importlib.util as u, os\n\
    s = u.find_spec('torch')\n\
    print(os.path.dirname(s.origin) if s and s.origin else '')";

/// The folders of `torch` in the active Python: the virtual environment's, then that of `python3`.
pub(crate) fn torch_folders(workspace: &Workspace) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for interpreter in active_interpreters() {
        let printed = workspace.command(&interpreter).args(["-c", FIND_TORCH]).stderr(Stdio::null()).output();
        let Ok(output) = printed else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        let folder = PathBuf::from(text.trim());
        if output.status.success() && folder.is_absolute() && !found.contains(&folder) {
            found.push(folder);
        }
    }
    found
}

/// `python` of the active virtual environment, if there is one, and `python3`.
fn active_interpreters() -> Vec<PathBuf> {
    let environment = env::var_os("VIRTUAL_ENV").filter(|path| !path.is_empty());
    let mut interpreters: Vec<PathBuf> =
        environment.map(|path| Path::new(&path).join("bin/python")).into_iter().collect();
    interpreters.push(PathBuf::from("python3"));
    interpreters
}

/// pip of this machine.
#[derive(Debug)]
pub(crate) struct Pip<'a> {
    workspace: &'a Workspace,
    interpreter: PathBuf,
    /// A cache to use in place of pip's own, where that could not be written.
    cache: Option<PathBuf>,
}

impl<'a> Pip<'a> {
    /// The first interpreter that has pip: the active one, else the system's (a virtual environment may lack pip).
    /// `spare_cache` is used only if pip's own cache folder, in the home directory, cannot be written.
    pub(crate) fn find(workspace: &'a Workspace, spare_cache: &Path) -> Result<Self> {
        let mut interpreters = active_interpreters();
        interpreters.push(PathBuf::from("/usr/bin/python3"));
        let has_pip = |interpreter: &PathBuf| {
            let mut command = workspace.command(interpreter);
            command.args(["-m", "pip", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let Some(interpreter) = interpreters.iter().find(|interpreter| has_pip(interpreter)) else {
            let tried: Vec<String> = interpreters.iter().map(|path| path.display().to_string()).collect();
            bail!("no pip: `-m pip` fails with each of {}. {NO_PIP}", tried.join(", "));
        };
        let cache = (!cache_is_writable()).then(|| spare_cache.to_path_buf());
        Ok(Self { workspace, interpreter: interpreter.clone(), cache })
    }

    /// Runs pip with its own progress shown, and once more if it fails: what it had downloaded in full lies in its cache.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(arguments);
        let line = display(&command);
        for attempt in 1..=2 {
            println!("$ {line}");
            let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
            if status.success() {
                return Ok(());
            }
            if status.code().is_none() || attempt == 2 {
                bail!("`{line}` failed: {status}; what pip says is above");
            }
            println!("pip failed ({status}); trying once more");
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command(&self.interpreter);
        command.args(["-m", "pip"]).args(arguments).arg("--disable-pip-version-check");
        // Settings of the user that contradict a target folder.
        command.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0");
        if let Some(cache) = &self.cache {
            command.arg("--cache-dir").arg(cache);
        }
        command
    }
}

/// Packages that tests need of a real Python: torch itself, which libtorch's small set of wheels cannot be imported as, and
/// what reads and writes our files.
const PACKAGES: [&str; 2] = ["numpy", "safetensors"];

/// Packages that read what a run tells others: TensorBoard's event files, a tracking server of MLflow, and Optuna, which searches by it.
/// In a folder of their own, since they bring other versions of what torch's packages bring too.
const TRACKING: [&str; 3] = ["tensorboard==2.21.0", "mlflow==3.17.2", "optuna==5.0.0"];

/// Installs what tests need of Python, once: torch and what reads our files into `.python/`, what watches runs into
/// `.python-tracking/`.
pub(crate) fn setup_packages(workspace: &Workspace) -> Result<()> {
    let torch = format!("torch=={}", kiwi_plugin_metadata::TORCH_VERSION);
    let mut packages = vec![torch.as_str()];
    packages.extend(PACKAGES);
    install(workspace, ".python", &packages, "4.5 GB")?;
    install(workspace, ".python-tracking", &TRACKING, "700 MB")
}

/// Installs packages into a folder of the workspace.
///
/// Without the stamp, which is written last, an installation counts as half-made and is replaced.
fn install(workspace: &Workspace, folder: &str, packages: &[&str], size: &str) -> Result<()> {
    let folder = workspace.root.join(folder);
    let stamp = folder.join("installed");
    let wanted = format!("{}\n", packages.join(" "));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    println!(
        "fetching {} for Python into {} ({size}, for tests only)",
        packages.join(", "),
        folder.display()
    );
    let target = folder.to_string_lossy();
    let mut arguments = vec!["install", "--target", &target, "--only-binary", ":all:", "--no-compile"];
    arguments.extend(packages);
    Pip::find(workspace, &workspace.root.join(".libtorch/.pip-cache"))?.run(&arguments)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Whether pip can write its cache: where the user says it is, else in the home directory.
fn cache_is_writable() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if ["PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "XDG_CACHE_HOME"].into_iter().any(is_set) {
        return true;
    }
    env::var_os("HOME").is_some_and(|home| is_writable(Path::new(&home)))
}

/// Whether files can be made in a folder; leaves none there.
fn is_writable(folder: &Path) -> bool {
    folder.is_absolute() && tempfile::tempfile_in(folder).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_empty_or_missing_is_not_writable() {
        assert!(!is_writable(Path::new("")));
        assert!(!is_writable(Path::new("/nowhere/at/all")));
        let folder = tempfile::tempdir().unwrap();
        assert!(is_writable(folder.path()));
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
