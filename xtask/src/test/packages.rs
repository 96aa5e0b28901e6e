//! The packages that people install, used as they would: the tarball unpacked, the wheel installed by pip into a new virtual
//! environment. Each trains, and the source of the plugin API that they carry builds a plugin that trains too.
//!
//! torch and what it needs are linked into the environment in place of being downloaded, by what pip itself installed
//! ([`crate::python`]); that they are what the wheel asks for is pip's to find out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;

use crate::dist;
use crate::workspace::{LIBTORCH, Workspace, output, run};

/// What a new user does, with the program on the path: train the example, look at it, and filter the corpus by it.
const FIRST_STEPS: &str = "\
set -e
printf '%s\\n' 'a red apple .' 'a green tree .' 'the red tree .' 'the green apple .' > train.src
printf '%s\\n' 'ein roter Apfel .' 'ein grüner Baum .' 'der rote Baum .' 'der grüne Apfel .' > train.tgt
cp train.src valid.src; cp train.tgt valid.tgt
kiwi-host train --example > config.json
kiwi-host train config.json --output-dir run --threads 1
kiwi-host evaluate run/checkpoints/*.safetensors --source valid.src --target valid.tgt --threads 1
kiwi-host report run
test -s run/report.html
";

/// What an author of plugins does; libtorch is the one that this workspace was built with, so that little is compiled anew.
const OWN_PLUGIN: &str = "\
set -e
kiwi-host plugins new own-metric --kind metric
cd own-metric
cargo build --offline
kiwi-host plugins list --plugin-dir target/debug
kiwi-host train config.json --plugin-dir target/debug --threads 1
";

/// Makes both packages and uses them.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let made = dist::make(workspace, &dist::Options::default())?;
    let folder = workspace.target_directory.join("packages");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder.join("home"))?;
    for package in &made {
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_wheel = name.ends_with(".whl");
        let place = folder.join(if is_wheel { "environment" } else { "unpacked" });
        let prefix = if is_wheel {
            install(workspace, package, &place)?;
            place
        } else {
            unpack(package, &place)?;
            place.join(name.trim_end_matches(".tar.gz"))
        };
        let work = folder.join(if is_wheel { "by-pip" } else { "by-tarball" });
        let mut steps = shell(&prefix, &work, &folder.join("home"), FIRST_STEPS)?;
        if !is_wheel {
            // Wherever libtorch is: here someone says it. The wheel's program finds the one beside it.
            steps.env("LIBTORCH", workspace.root.join(LIBTORCH));
        }
        run(&mut steps)?;
        if is_wheel {
            run(&mut own_plugin(workspace, &prefix, &work, &folder.join("home"))?)?;
        }
    }
    Ok(())
}

/// A shell in a new folder, with the package's program on the path and nothing else of this environment.
fn shell(prefix: &Path, work: &Path, home: &Path, script: &str) -> Result<Command> {
    fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
    let mut shell = Command::new("sh");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", prefix.join("bin").display());
    shell.arg("-c").arg(script).current_dir(work).env_clear().env("HOME", home).env("PATH", path);
    Ok(shell)
}

/// The shell of an author: with this environment's Rust.
fn own_plugin(workspace: &Workspace, prefix: &Path, work: &Path, home: &Path) -> Result<Command> {
    let mut shell = shell(prefix, work, home, OWN_PLUGIN)?;
    for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            shell.env(name, value);
        }
    }
    let path = std::env::var("PATH").context("PATH is not set")?;
    shell.env("PATH", format!("{}:{path}", prefix.join("bin").display()));
    shell
        .env("LIBTORCH", workspace.root.join(LIBTORCH))
        .env("CARGO_BUILD_BUILD_DIR", &workspace.target_directory);
    Ok(shell)
}

fn unpack(package: &Path, to: &Path) -> Result<()> {
    let file = fs::File::open(package).with_context(|| format!("cannot open {}", package.display()))?;
    tar::Archive::new(GzDecoder::new(file)).unpack(to).context("cannot unpack the tarball")
}

/// Makes a virtual environment that has torch and installs the wheel into it.
fn install(workspace: &Workspace, package: &Path, environment: &Path) -> Result<()> {
    run(workspace.command("python3").args(["-m", "venv", "--without-pip"]).arg(environment))?;
    let packages = site_packages(environment)?;
    let torch = workspace.root.join(".python");
    for entry in fs::read_dir(&torch).with_context(|| format!("cannot list {}", torch.display()))? {
        let entry = entry?;
        let to = packages.join(entry.file_name());
        if !to.exists() {
            symlink(entry.path(), to)?;
        }
    }
    let python = environment.join("bin/python");
    let mut pip = workspace.command("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "--python"]).arg(&python);
    // Without an index: nothing may be missing.
    run(pip.args(["install", "--no-index", "--no-cache-dir"]).arg(package))?;
    let listed =
        output(workspace.command("python3").args(["-m", "pip", "--python"]).arg(&python).arg("list"))?;
    if !listed.contains("kiwi-host") {
        bail!("pip lists no kiwi-host:\n{listed}");
    }
    Ok(())
}

fn site_packages(environment: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(environment.join("lib"))? {
        let packages = entry?.path().join("site-packages");
        if packages.is_dir() {
            return Ok(packages);
        }
    }
    bail!("{} has no site-packages", environment.display())
}
