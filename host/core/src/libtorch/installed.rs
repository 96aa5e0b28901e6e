//! Where pip puts the package `torch`, seen from the prefix of an environment: the same under which it puts programs in `bin`.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the folders of Pythons lie below a prefix; the second where a distribution keeps 64 bits apart, the third in Debian's own.
const LIBRARIES: [&str; 3] = ["lib", "lib64", "local/lib"];
/// What a Python's folder has its packages in; the second is Debian's.
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];

/// The torch packages below a prefix that are there, the latest Python's first; last that of `pip install --target`.
pub(super) fn torch_packages(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in LIBRARIES {
        let Ok(entries) = fs::read_dir(prefix.join(folder)) else { continue };
        let mut pythons: Vec<(u32, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| Some((minor_version(entry.file_name().to_str()?)?, entry.path())))
            .collect();
        pythons.sort_by(|one, other| other.cmp(one));
        for (_, python) in pythons {
            found.extend(PACKAGES.iter().map(|packages| python.join(packages).join("torch")));
        }
    }
    found.push(prefix.join("torch"));
    found.retain(|package| package.is_dir());
    found
}

/// The number after the point of `python3.12`; 0 of `python3`, as Debian has it.
fn minor_version(folder: &str) -> Option<u32> {
    match folder.strip_prefix("python3")? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_python_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let made = [
            "lib/python3.12/site-packages/torch",
            "lib/python3.9/site-packages/torch",
            "lib/python3/dist-packages/torch",
            "local/lib/python3.11/dist-packages/torch",
            "torch",
        ];
        for path in made {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in [
            "lib/python3.13/site-packages",
            "lib/python2.7/site-packages/torch",
            "lib/python3.x/site-packages/torch",
        ] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let expected: Vec<PathBuf> = made.iter().map(|path| folder.path().join(path)).collect();
        assert_eq!(torch_packages(folder.path()), expected);
        assert_eq!(torch_packages(&folder.path().join("nowhere")), Vec::<PathBuf>::new());
    }
}
