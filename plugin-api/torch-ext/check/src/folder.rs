//! Reads the release of a libtorch from its files.

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_plugin_metadata::TORCH_VERSION;

/// Where releases of libtorch state their version, and how: the first that exists is read.
const VERSION_FILES: [(&str, Style); 4] = [
    ("include/torch/headeronly/version.h", Style::Header),
    ("include/torch/csrc/api/include/torch/version.h", Style::Header),
    ("version.py", Style::Python),
    ("build-version", Style::Plain),
];

#[derive(Clone, Copy)]
enum Style {
    Header,
    Python,
    Plain,
}

pub(crate) fn check(root: &Path) -> Result<PathBuf, String> {
    let place = root.display();
    if !root.join("include/ATen/core/Tensor.h").is_file() {
        let found = if root.is_dir() { "a folder without libtorch's headers" } else { "no such folder" };
        return Err(format!(
            "no libtorch {TORCH_VERSION} at {place} ({found}): set LIBTORCH to the folder that holds its include/ and \
             lib/, or run `cargo xtask setup`"
        ));
    }
    let advice = "set LIBTORCH to one of that release, or run `cargo xtask setup`";
    for (file, style) in VERSION_FILES {
        let path = root.join(file);
        let Some(found) = fs::read_to_string(&path).ok().and_then(|text| version_in(&text, style)) else {
            continue;
        };
        if major_minor(&found) == major_minor(TORCH_VERSION) {
            return Ok(path);
        }
        return Err(format!(
            "the libtorch at {place} is release {found}, expected {TORCH_VERSION}: {advice}"
        ));
    }
    Err(format!("the libtorch at {place} does not say its release, expected {TORCH_VERSION}: {advice}"))
}

fn version_in(text: &str, style: Style) -> Option<String> {
    match style {
        Style::Header => {
            let part = |name: &str| {
                text.lines().find_map(|line| {
                    let mut words = line.split_whitespace();
                    (words.next() == Some("#define") && words.next() == Some(name))
                        .then(|| words.next())
                        .flatten()
                })
            };
            let major = part("TORCH_VERSION_MAJOR")?;
            let minor = part("TORCH_VERSION_MINOR")?;
            Some(format!("{major}.{minor}.{}", part("TORCH_VERSION_PATCH")?))
        }
        Style::Python => {
            let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
            Some(line.trim_matches(['\'', '"', ' ']).to_owned())
        }
        Style::Plain => text.lines().next().map(|line| line.trim().to_owned()),
    }
}

fn major_minor(version: &str) -> Option<(&str, &str)> {
    let mut parts = version.split('.');
    Some((parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files, and `name` to tell the tests apart.
    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("kiwi-libtorch-check-{}-{name}", std::process::id()));
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const HEADERS: (&str, &str) = ("include/ATen/core/Tensor.h", "");

    #[test]
    fn the_release_we_bind_is_accepted_however_it_is_stated() {
        let header = "#pragma once\n/// The major\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n\
                      #define TORCH_VERSION_PATCH 7\n";
        let python = "from typing import Optional\n__version__ = '2.11.0+cu130'\n";
        let files = [VERSION_FILES[0].0, VERSION_FILES[1].0, "version.py", "build-version"];
        for (i, (file, text)) in files.into_iter().zip([header, header, python, "2.11.0+cpu\n"]).enumerate() {
            let root = folder(&format!("right-{i}"), &[HEADERS, (file, text)]);
            assert_eq!(check(&root), Ok(root.join(file)));
            fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn another_release_is_told_in_one_sentence() {
        let root = folder("other", &[HEADERS, ("version.py", "__version__ = '2.1.1+cpu'\n")]);
        let place = root.display();
        let advice = "set LIBTORCH to one of that release, or run `cargo xtask setup`";
        let expected =
            format!("the libtorch at {place} is release 2.1.1+cpu, expected {TORCH_VERSION}: {advice}");
        assert_eq!(check(&root), Err(expected));
        fs::remove_file(root.join("version.py")).unwrap();
        let expected =
            format!("the libtorch at {place} does not say its release, expected {TORCH_VERSION}: {advice}");
        assert_eq!(check(&root), Err(expected));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_folder_without_libtorch_is_told() {
        let root = folder("none", &[("README", "")]);
        let message = check(&root).unwrap_err();
        assert!(message.contains("(a folder without libtorch's headers): set LIBTORCH to"), "{message}");
        fs::remove_dir_all(&root).unwrap();
        let message = check(&root).unwrap_err();
        assert!(message.contains("(no such folder)"), "{message}");
    }
}
