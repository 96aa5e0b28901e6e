//! Where things lie in this workspace, and how programs are run from it.
//!
//! What cargo knows is asked of `cargo metadata`, so `CARGO_TARGET_DIR` and cargo's own configuration are respected.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Where libtorch is in the root folder: what `.cargo/config.toml` sets the variable `LIBTORCH` to unless the user did.
pub(crate) const LIBTORCH: &str = ".libtorch/torch";

/// What is needed of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

/// What a package builds.
#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
    doctest: bool,
}

/// The workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target_directory: PathBuf,
    packages: Vec<Package>,
}

impl Workspace {
    /// Asks cargo for the workspace that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"])
            .arg(&manifest)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}", cargo().display()))?;
        if !output.status.success() {
            bail!("cargo metadata of {} failed: {}", manifest.display(), output.status);
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata printed")?;
        Ok(Self {
            root: metadata.workspace_root,
            target_directory: metadata.target_directory,
            packages: metadata.packages,
        })
    }

    /// Packages that serve development only: this one and those under `tests/`.
    pub(crate) fn development_packages(&self) -> Vec<&str> {
        let only_development = |package: &&Package| {
            package
                .manifest_path
                .strip_prefix(&self.root)
                .is_ok_and(|path| path.starts_with("tests") || path.starts_with("xtask"))
        };
        self.packages.iter().filter(only_development).map(|package| package.name.as_str()).collect()
    }

    /// Packages whose documentation cargo can test: a plugin, which is no Rust library, has none to test.
    pub(crate) fn documented_packages(&self) -> Vec<&str> {
        let is_library = |target: &Target| {
            target.doctest && target.kind.iter().any(|kind| matches!(kind.as_str(), "lib" | "rlib"))
        };
        let packages = self.packages.iter().filter(|package| package.targets.iter().any(is_library));
        packages.map(|package| package.name.as_str()).collect()
    }

    /// A command that runs in the root folder, in the environment that the user's shell has: what `cargo run` added for
    /// this program is taken out again.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        // The program finds it without the variable, as it must in the user's shell, where it lies below the root folder.
        let is_cargos = |path: OsString| is_same_place(Path::new(&path), &self.root.join(LIBTORCH));
        if env::var_os("LIBTORCH").is_some_and(is_cargos) && self.builds_in_root() {
            command.env_remove("LIBTORCH");
        }
        if let Some(paths) = env::var_os("LD_LIBRARY_PATH") {
            match self.without_cargos_folders(&paths) {
                Some(kept) => command.env("LD_LIBRARY_PATH", kept),
                None => command.env_remove("LD_LIBRARY_PATH"),
            };
        }
        command
    }

    /// A cargo command that runs in the root folder.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(cargo());
        command.args(arguments);
        command
    }

    /// Whether the target directory really lies in the root folder.
    fn builds_in_root(&self) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        real(&self.root)
            .is_some_and(|root| real(&self.target_directory).is_some_and(|path| path.starts_with(root)))
    }

    /// The folders that cargo did not add: all but those of the target directory and of the Rust installation.
    fn without_cargos_folders(&self, paths: &OsStr) -> Option<OsString> {
        let is_cargos = |path: &PathBuf| {
            path.starts_with(&self.target_directory)
                || (path.ends_with("lib") && path.components().any(|part| part.as_os_str() == "rustlib"))
                || path.parent().is_some_and(|toolchain| toolchain.join("lib/rustlib").is_dir())
        };
        let kept: Vec<PathBuf> = env::split_paths(paths).filter(|path| !is_cargos(path)).collect();
        if kept.is_empty() { None } else { env::join_paths(kept).ok() }
    }
}

/// The cargo that runs this program.
fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Runs a command with its output shown; an error names the command and how it ended. The command itself is shown on standard
/// error, as cargo does with what it is about.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = display(command);
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    if status.success() { Ok(()) } else { bail!("`{line}` failed: {status}") }
}

/// Runs a command and hands back its standard output; standard error is shown, and before it the command.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = display(command);
    eprintln!("$ {line}");
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed what is not UTF-8"))
}

/// A command as it would be typed.
pub(crate) fn display(command: &Command) -> String {
    let short = |word: &OsStr| match Path::new(word).file_name() {
        Some(name) if Path::new(word) == cargo() => name.to_string_lossy().into_owned(),
        _ => word.to_string_lossy().into_owned(),
    };
    let mut words = vec![short(command.get_program())];
    words.extend(command.get_args().map(|word| match word.to_string_lossy() {
        text if text.contains(' ') || text.is_empty() => format!("'{text}'"),
        text => text.into_owned(),
    }));
    words.join(" ")
}

/// Whether two paths name one place, spelled in whatever way; a link in that place is not followed.
pub(crate) fn is_same_place(one: &Path, other: &Path) -> bool {
    let spelled = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    one == other || spelled(one).is_some_and(|one| Some(one) == spelled(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_cargo_added_are_taken_out() {
        let workspace = Workspace {
            root: PathBuf::from("/w"),
            target_directory: PathBuf::from("/w/target"),
            packages: Vec::new(),
        };
        let paths = OsStr::new("/w/target/debug/deps:/opt/own:/r/lib/rustlib/x86_64/lib");
        assert_eq!(workspace.without_cargos_folders(paths), Some(OsString::from("/opt/own")));
        assert_eq!(workspace.without_cargos_folders(OsStr::new("/w/target/debug")), None);
    }

    #[test]
    fn a_place_is_told_in_any_spelling() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join(LIBTORCH);
        assert!(is_same_place(&place, &place));
        std::fs::create_dir_all(&place).unwrap();
        assert!(is_same_place(&root.path().join(".libtorch/../.libtorch/torch"), &place));
        assert!(!is_same_place(Path::new("/opt/libtorch"), &place));
    }

    #[test]
    fn this_package_serves_development_only() {
        let workspace = Workspace::find().unwrap();
        let packages = workspace.development_packages();
        assert!(packages.contains(&"xtask"));
        assert!(!packages.contains(&"kiwi-host"));
    }

    #[test]
    fn libraries_have_documentation_to_test_and_plugins_have_not() {
        let workspace = Workspace::find().unwrap();
        let packages = workspace.documented_packages();
        assert!(packages.contains(&"kiwi-plugin-api"));
        assert!(!packages.contains(&"kiwi-encoders") && !packages.contains(&"xtask"));
    }
}
