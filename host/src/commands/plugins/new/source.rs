//! Where the source of the plugin API lies, which a new plugin depends on: that of the package that this program is part of, else
//! that of the checkout that it was built in.

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_plugin_metadata::API_VERSION;

/// Its directory, seen from the prefix that the program is installed under.
const IN_PACKAGE: &str = "share/kiwi-host/plugin-api";
/// Its directory when this program was built, which says nothing in a build that is to be the same anywhere.
const WHEN_BUILT: Option<&str> = match option_env!("KIWI_PACKAGED") {
    Some(_) => None,
    None => Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api")),
};
/// Its name.
const CRATE: &str = "kiwi-plugin-api";

/// Where the plugin API lies, an absolute path.
///
/// # Errors
/// When it does not lie where it was said to, or nowhere.
pub(super) fn find(option: Option<&Path>, program: &Path) -> Result<PathBuf, Diagnostic> {
    if let Some(directory) = option {
        return examine(directory).map_err(|reason| {
            Diagnostic::error(Code::NewPlugin, format!("--api names {}, which {reason}", directory.display()))
                .found(directory.display().to_string())
                .expected(format!("the directory of the crate {CRATE} {API_VERSION}"))
                .help("give the directory `plugin-api` of kiwi-host's source, or leave --api out")
        });
    }
    search(&candidates(program))
}

/// The places where it may lie, in order.
fn candidates(program: &Path) -> Vec<PathBuf> {
    let program = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let prefix = program.parent().and_then(Path::parent);
    let packaged = prefix.map(|prefix| prefix.join(IN_PACKAGE));
    packaged.into_iter().chain(WHEN_BUILT.map(PathBuf::from)).collect()
}

fn search(candidates: &[PathBuf]) -> Result<PathBuf, Diagnostic> {
    let mut looked = Vec::new();
    for directory in candidates {
        match examine(directory) {
            Ok(found) => return Ok(found),
            Err(reason) => looked.push(format!("looked at {}, which {reason}", directory.display())),
        }
    }
    let mut error = Diagnostic::error(
        Code::NewPlugin,
        "the source of the plugin API, which a plugin is built with, was not found",
    )
    .expected(format!("the directory of the crate {CRATE} {API_VERSION}"))
    .help("name the directory `plugin-api` of kiwi-host's source with --api");
    error.notes = looked;
    Err(error)
}

/// The directory with symbolic links resolved, or why it is not the plugin API of this host.
fn examine(directory: &Path) -> Result<PathBuf, String> {
    let directory = fs::canonicalize(directory).map_err(|_| "does not exist".to_owned())?;
    let manifest = fs::read_to_string(directory.join("Cargo.toml"))
        .map_err(|error| format!("holds no Cargo.toml that can be read: {error}"))?;
    if value(&manifest, "name") != Some(CRATE) {
        return Err(format!("is not the crate {CRATE}"));
    }
    match value(&manifest, "version") {
        Some(API_VERSION) => Ok(directory),
        Some(other) => Err(format!("is {CRATE} {other}, and this host has {API_VERSION}")),
        None => Err(format!("is {CRATE} of a version that its Cargo.toml does not say")),
    }
}

/// The value of a string key in the first section of a manifest, as cargo formats it.
fn value<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    let package = manifest.lines().map(str::trim).skip_while(|line| *line != "[package]").skip(1);
    package.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().strip_prefix('"')?.split('"').next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(folder: &Path, name: &str, version: &str) {
        fs::create_dir_all(folder).unwrap();
        let manifest = format!(
            "[package]\n# A comment.\nname = \"{name}\"\nversion = \"{version}\" # its own\n\n[dependencies]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    }

    #[test]
    fn the_package_goes_before_the_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = fs::canonicalize(folder.path()).unwrap();
        let program = prefix.join("bin/kiwi-host");
        let built = fs::canonicalize(WHEN_BUILT.unwrap()).unwrap();
        assert_eq!(find(None, &program), Ok(built), "the checkout that this test was built in");
        fs::create_dir(prefix.join("bin")).unwrap();
        fs::write(&program, "").unwrap();
        api(&prefix.join(IN_PACKAGE), CRATE, API_VERSION);
        assert_eq!(find(None, &program), Ok(prefix.join(IN_PACKAGE)));
    }

    #[test]
    fn what_is_not_the_api_of_this_host_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        api(&at("other"), "serde", API_VERSION);
        api(&at("old"), CRATE, "0.0.1");
        fs::create_dir(at("empty")).unwrap();
        for (name, reason) in [
            ("nowhere", "does not exist"),
            ("empty", "holds no Cargo.toml"),
            ("other", "is not the crate kiwi-plugin-api"),
            ("old", "is kiwi-plugin-api 0.0.1, and this host has "),
        ] {
            let error = find(Some(&at(name)), Path::new("kiwi-host")).unwrap_err();
            assert!(error.message.contains(reason), "{}", error.message);
            let error = search(&[at(name)]).unwrap_err();
            assert!(error.message.contains("was not found") && error.notes[0].contains(reason), "{error:?}");
        }
    }
}
