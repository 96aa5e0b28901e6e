//! What is checked of the files before they are packed: their sizes, and the systems that they run on.

use anyhow::{Context as _, Result, bail};
use kiwi_wheel::{Tag, symbols};

use super::contents::{Contents, PLUGINS};
use super::megabytes;

/// The most that a built-in plugin may take, in bytes.
const LARGEST_PLUGIN: usize = 3_000_000;
/// The most that the program, its libraries and the built-in plugins may take together, in bytes.
const LARGEST: usize = 25_000_000;

/// An error names every file that is too large or needs what the platform has not.
pub(super) fn check(contents: &Contents) -> Result<()> {
    let mut wrong = Vec::new();
    for (path, bytes) in contents.binaries() {
        if path.starts_with(PLUGINS) && bytes.len() > LARGEST_PLUGIN {
            wrong.push(format!("{path} has {} bytes, at most {LARGEST_PLUGIN} are allowed", bytes.len()));
        }
        let needed = symbols::needed(bytes).with_context(|| path.to_owned())?;
        match Tag::of(&needed) {
            Ok(tag) if tag == Tag::OF_HOST => {}
            Ok(tag) => wrong.push(format!("{path} needs {tag}, and the package is for {}", Tag::OF_HOST)),
            Err(version) => wrong.push(format!("{path} needs {version}, which {} has not", Tag::OF_HOST)),
        }
    }
    let all: usize = contents.binaries().map(|(_, bytes)| bytes.len()).sum();
    if all > LARGEST {
        wrong.push(format!("program and libraries have {all} bytes together, at most {LARGEST} are allowed"));
    }
    match wrong.as_slice() {
        [] => Ok(()),
        wrong => bail!("the package cannot be given away:\n  {}", wrong.join("\n  ")),
    }
}

fn total(contents: &Contents) -> usize {
    contents.files.values().map(Vec::len).sum()
}

/// The sizes of what is large, and of all.
pub(super) fn table(contents: &Contents) -> String {
    let mut table = String::new();
    for (path, bytes) in contents.binaries() {
        table += &format!("{:6.1} MB  {path}\n", megabytes(bytes.len()));
    }
    table + &format!("{:6.1} MB  all {} files\n", megabytes(total(contents)), contents.files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_plugins_are_refused_and_so_is_what_is_no_library() {
        let mut contents = Contents::default();
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        contents.files.insert(format!("{PLUGINS}/libone.so"), program);
        let error = check(&contents).unwrap_err().to_string();
        assert!(error.contains("libone.so has ") && error.contains("at most 3000000"), "{error}");
        contents.files.insert(format!("{PLUGINS}/libone.so"), b"text".to_vec());
        assert!(check(&contents).is_err());
        assert!(table(&contents).contains("0.0 MB  all 1 files"));
    }
}
