//! `plugins package`: a wheel of a plugin, by which pip installs it where every host of that environment finds it. Nothing of the
//! plugin is run.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugins::{Registry, inspect};
use kiwi_plugin_metadata::reader::PluginMetadata;
use kiwi_wheel::{Project, Tag, Wheel, symbols, version};

use super::inspect::find_file;
use super::{print_data, text};
use crate::arguments::PackageArguments;

/// Where plugins lie, seen from the prefix that programs are installed under: `plugins list` searches it.
const PLACE: &str = "lib/kiwi-host/plugins";
/// How the loader names the folder of the library that it opens.
const ORIGIN: &str = "$ORIGIN";

pub(super) fn run(arguments: &PackageArguments, registry: &Registry) -> Result<i32, Failure> {
    let file = find_file(&arguments.plugin, registry)?;
    let wheel = wheel(&file, arguments)?;
    let path = arguments.output.join(wheel.file_name());
    write(wheel, &path, arguments.force)?;
    print_data([text(&path)])?;
    Ok(ExitCode::Success.number())
}

/// The wheel of a plugin that this host can use.
fn wheel(file: &Path, arguments: &PackageArguments) -> Result<Wheel, Failure> {
    let bytes = inspect::read_file(file).map_err(|reason| unusable(file, &reason.to_string()))?;
    let inspection = inspect::inspect_bytes(&bytes);
    let metadata = match (inspection.metadata, inspection.rejections.first()) {
        (Some(metadata), None) => metadata,
        (_, reason) => {
            let reason = reason.map_or_else(|| "says nothing about itself".to_owned(), ToString::to_string);
            return Err(unusable(file, &reason));
        }
    };
    refuse_taken_names(&metadata, arguments)?;
    stands_alone(file)?;
    let needed = symbols::needed(&bytes).map_err(|reason| unusable(file, &reason.to_string()))?;
    let tag = Tag::of(&needed).map_err(|version| {
        let error =
            Diagnostic::error(Code::PackagePlugin, "the plugin needs a newer C++ library than wheels may")
                .found(version.to_string())
                .expected(format!("at most what {} has", Tag::OF_HOST))
                .help("build it on a system with GCC 11 or 12, such as Debian 12");
        Failure::new(ExitCode::Invalid, error)
    })?;
    let mut wheel = Wheel::new(project(&metadata, arguments)?, tag);
    for license in &arguments.licenses {
        let bytes = fs::read(license).map_err(|error| {
            let error = Diagnostic::error(
                Code::FileUnreadable,
                format!("the licence {} cannot be read", license.display()),
            )
            .note(error.to_string());
            Failure::new(ExitCode::Invalid, error)
        })?;
        wheel.license(&license.file_name().unwrap_or_default().to_string_lossy(), bytes);
    }
    // By the plugin's name and not its file's, which two plugins may share.
    let name = format!("lib{}.so", metadata.name.replace('-', "_"));
    wheel.data(&format!("{PLACE}/{name}"), bytes);
    Ok(wheel)
}

/// Names of packages that such a wheel would take the place of: what kiwi-host is installed by and needs, and its own plugins, whose
/// files it would overwrite and, once uninstalled, remove.
const TAKEN: [&str; 6] =
    ["kiwi-host", "torch", "kiwi-encoders", "kiwi-heads", "kiwi-metrics", "kiwi-optimizers"];

fn refuse_taken_names(metadata: &PluginMetadata, arguments: &PackageArguments) -> Result<(), Failure> {
    let alike = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
    let is_taken = |name: &&str| TAKEN.contains(&alike(name).as_str());
    let names = [metadata.name.as_str()].into_iter().chain(arguments.name.as_deref());
    let Some(taken) = names.into_iter().find(is_taken) else { return Ok(()) };
    let error = Diagnostic::error(
        Code::PackagePlugin,
        format!("a package named `{taken}` would take the place of what kiwi-host is made of"),
    )
    .found(format!("`{taken}`"))
    .expected(format!("a name other than {}", TAKEN.join(", ")))
    .help("give the plugin's crate a name of its own and build it again; --name names the package alone");
    Err(Failure::new(ExitCode::Invalid, error))
}

fn project(metadata: &PluginMetadata, arguments: &PackageArguments) -> Result<Project, Failure> {
    let python = metadata.version.parse().ok().and_then(|version| version::of_python(&version));
    let version = python.ok_or_else(|| {
        let error =
            Diagnostic::error(Code::PackagePlugin, "the plugin's version has no counterpart among Python's")
                .found(&*metadata.version)
                .expected("a version such as 1.2.3, 1.2.3-alpha.1, 1.2.3-beta.1 or 1.2.3-rc.1");
        Failure::new(ExitCode::Invalid, error.help("change the crate's version and build it again"))
    })?;
    let torch: Vec<&str> = metadata.torch.split('.').take(2).collect();
    let described = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let classes: String = super::registered(metadata).iter().map(|line| format!("{line}\n")).collect();
    Ok(Project {
        name: arguments.name.clone().unwrap_or_else(|| metadata.name.clone()),
        version,
        summary: metadata.description.clone(),
        license: described(&metadata.license),
        authors: metadata.authors.clone(),
        requires: vec![format!("torch=={}.*", torch.join("."))],
        requires_python: None,
        description: format!(
            "# {}\n\n{}\n\nA plugin of kiwi-host. It registers\n\n```text\n{classes}```\n",
            metadata.name, metadata.description
        ),
    })
}

/// An error if a plugin has the loader look for libraries beside it and one lies there: a wheel would leave it behind.
fn stands_alone(file: &Path) -> Result<(), Failure> {
    let linkage = inspect::linkage(file).map_err(|reason| unusable(file, &reason.to_string()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let beside = |entry: &String| Some(folder.join(entry.strip_prefix(ORIGIN)?.trim_start_matches('/')));
    let folders: Vec<PathBuf> = linkage.search.iter().filter_map(beside).collect();
    let carried: Vec<&str> = linkage
        .needed
        .iter()
        .filter(|needed| folders.iter().any(|folder| folder.join(needed).is_file()))
        .map(String::as_str)
        .collect();
    if carried.is_empty() {
        return Ok(());
    }
    let error = Diagnostic::error(
        Code::PackagePlugin,
        "the plugin carries libraries beside it, and a wheel made here holds one file",
    )
    .found(carried.join(", "))
    .help(format!("link them statically, or make the wheel by other means, with all of it below `{PLACE}`"));
    Err(Failure::new(ExitCode::Invalid, error))
}

fn unusable(file: &Path, reason: &str) -> Failure {
    let error =
        Diagnostic::error(Code::PackagePlugin, format!("{} cannot be packaged: it {reason}", file.display()))
            .help("see `kiwi-host plugins check`");
    Failure::new(ExitCode::Plugin, error)
}

/// Writes the wheel whole or not at all.
fn write(wheel: Wheel, path: &Path, force: bool) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        let error = Diagnostic::error(Code::FileUnwritable, format!("{} cannot be written", path.display()))
            .note(error.to_string());
        Failure::new(ExitCode::Invalid, error)
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    let mut out = BufWriter::new(file);
    wheel.write(&mut out).map_err(|error| failed(&error))?;
    out.flush().map_err(|error| failed(&error))?;
    let file = out.into_inner().map_err(|error| failed(&error))?;
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    let kept = if force { file.persist(path).map(drop) } else { file.persist_noclobber(path).map(drop) };
    kept.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => {
            let error = Diagnostic::error(Code::FileExists, format!("{} exists already", path.display()))
                .help("raise the plugin's version, or give --force to replace the file");
            Failure::new(ExitCode::Invalid, error)
        }
        _ => failed(&error.error),
    })
}
