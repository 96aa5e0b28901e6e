//! Which files a package holds and where they lie, seen from the prefix that it is installed or unpacked into.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::components::Component;
use super::{bill, licences};
use crate::workspace::{Workspace, output};
use crate::{api_source, build};

/// Where libraries of the program lie.
pub(super) const LIBRARIES: &str = "lib/kiwi-host";
/// Where plugins lie: the built-in ones, and those that other packages install.
pub(super) const PLUGINS: &str = "lib/kiwi-host/plugins";
/// Where all else lies.
const SHARED: &str = "share/kiwi-host";
/// Where what people read lies.
pub(super) const DOCUMENTS: &str = "share/doc/kiwi-host";

/// The program's place.
pub(super) const PROGRAM: &str = "bin/kiwi-host";

/// Libraries that are no plugins.
const OF_THE_PROGRAM: [&str; 2] = ["libkiwi_engine.so", "libkiwi_nccl.so"];

/// What the library by which GPUs sum exports; one that was built without the feature `nccl` is empty. Other names in it may be gone, since
/// a release build is stripped.
const ENTRY_OF_NCCL: &[u8] = b"KIWI_NCCL";

/// Files by their paths.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Contents {
    fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let path = path.into();
        if self.files.insert(path.clone(), bytes.into()).is_some() {
            bail!("two files are to lie at {path}");
        }
        Ok(())
    }

    /// Files that are run or opened, which are for one kind of machine.
    pub(super) fn binaries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let binary = |path: &str| path == PROGRAM || path.starts_with(LIBRARIES) && is_library(path);
        self.files
            .iter()
            .filter(move |(path, _)| binary(path))
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }
}

/// Whether a file is a shared library, by its name.
pub(super) fn is_library(path: &str) -> bool {
    path.ends_with(".so")
}

/// Whether a file is to be run.
pub(super) fn is_executable(path: &str) -> bool {
    path == PROGRAM || is_library(path)
}

/// All files: of the build in a folder, of the repository, and those that are made of them.
pub(super) fn collect(workspace: &Workspace, built: &Path, components: &[Component]) -> Result<Contents> {
    let mut contents = Contents::default();
    let of_build = |name: &str| {
        let path = built.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    for name in build::files() {
        let place = match name.as_str() {
            "kiwi-host" => PROGRAM.to_owned(),
            name if OF_THE_PROGRAM.contains(&name) => format!("{LIBRARIES}/{name}"),
            name => format!("{PLUGINS}/{name}"),
        };
        contents.add(place, of_build(&name)?)?;
    }
    let nccl = build::nccl();
    match of_build(&nccl) {
        Ok(bytes) if contains(&bytes, ENTRY_OF_NCCL) => contents.add(format!("{LIBRARIES}/{nccl}"), bytes)?,
        _ => println!(
            "without {nccl}, by which GPUs sum: `cargo xtask setup --cuda` fetches the headers that it is built with"
        ),
    }

    for (path, text) in api_source::files(workspace)? {
        contents.add(format!("{SHARED}/{path}"), text)?;
    }
    for name in of_repository(workspace, "configs")? {
        contents.add(format!("{SHARED}/{name}"), read(workspace, &name)?)?;
    }
    let is_read = |name: &String| [".md", ".svg", ".png"].iter().any(|end| name.ends_with(end));
    for name in of_repository(workspace, "docs")?.into_iter().filter(is_read) {
        contents.add(format!("{DOCUMENTS}/{name}"), read(workspace, &name)?)?;
    }
    for name in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        contents.add(format!("{DOCUMENTS}/{name}"), read(workspace, name)?)?;
    }
    contents.add(format!("{DOCUMENTS}/{}", licences::FILE), licences::text(components)?)?;
    contents.add(format!("{DOCUMENTS}/{}", bill::FILE), bill::json(components)?)?;
    for_the_shell(&mut contents, &built.join("kiwi-host"))?;
    Ok(contents)
}

/// Completions and man pages, which the program itself prints.
fn for_the_shell(contents: &mut Contents, program: &Path) -> Result<()> {
    let places = [
        ("bash", "share/bash-completion/completions/kiwi-host"),
        ("zsh", "share/zsh/site-functions/_kiwi-host"),
        ("fish", "share/fish/vendor_completions.d/kiwi-host.fish"),
    ];
    for (shell, place) in places {
        contents.add(place, output(Command::new(program).args(["completions", shell]))?)?;
    }
    let pages = tempfile::tempdir()?;
    output(Command::new(program).args(["man", "--output-dir"]).arg(pages.path()))?;
    let mut names: Vec<_> =
        fs::read_dir(pages.path())?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    names.sort();
    for page in names {
        let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        contents.add(format!("share/man/man1/{name}"), fs::read(&page)?)?;
    }
    Ok(())
}

/// The files of a folder that belong to the repository.
fn of_repository(workspace: &Workspace, folder: &str) -> Result<Vec<String>> {
    let mut files: Vec<String> =
        api_source::git(&workspace.root, &["ls-files", "--", folder])?.lines().map(str::to_owned).collect();
    files.sort();
    Ok(files)
}

fn read(workspace: &Workspace, name: &str) -> Result<Vec<u8>> {
    fs::read(workspace.root.join(name)).with_context(|| format!("cannot read {name}"))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
