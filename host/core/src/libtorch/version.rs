//! Which version of torch a directory holds, as the files of a wheel or of an unpacked libtorch say it.

use std::fs;
use std::path::Path;

/// What the first of the files that tell it says; `None` if none of them is there, or none tells.
pub(super) fn of(directory: &Path) -> Option<String> {
    let read = |file: &str| fs::read_to_string(directory.join(file)).ok();
    // A wheel has the first, a libtorch archive the second, and both have one of the headers.
    read("version.py")
        .and_then(|text| of_python(&text))
        .or_else(|| read("build-version").and_then(|text| of_line(&text)))
        .or_else(|| {
            let headers = [
                "include/torch/headeronly/version.h",
                "include/torch/version.h",
                "include/torch/csrc/api/include/torch/version.h",
            ];
            headers.into_iter().filter_map(read).find_map(|text| of_header(&text))
        })
}

/// `__version__ = '2.11.0+cpu'`.
fn of_python(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.strip_prefix("__version__")?.trim_start().strip_prefix('=')?;
        of_line(value.trim().trim_matches(['\'', '"']))
    })
}

fn of_line(text: &str) -> Option<String> {
    let text = text.trim();
    text.starts_with(|first: char| first.is_ascii_digit()).then(|| text.to_owned())
}

/// `#define TORCH_VERSION_MAJOR 2` and so on.
fn of_header(text: &str) -> Option<String> {
    let define = |name: &str| {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(name)).then_some(())?;
            words.next()?.parse::<u32>().ok()
        })
    };
    let [major, minor, patch] =
        ["TORCH_VERSION_MAJOR", "TORCH_VERSION_MINOR", "TORCH_VERSION_PATCH"].map(define);
    Some(format!("{}.{}.{}", major?, minor?, patch?))
}

/// Whether two versions have the same major and minor number, which is what torch keeps its ABI for.
pub(super) fn same_line(a: &str, b: &str) -> bool {
    fn line(version: &str) -> Option<(&str, &str)> {
        let mut parts = version.split(['.', '+']);
        Some((parts.next()?, parts.next()?))
    }
    line(a).is_some() && line(a) == line(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_tells_it() {
        let wheel =
            "from typing import Optional\n\n__all__ = ['__version__']\n__version__ = '2.11.0+cu130'\n";
        assert_eq!(of_python(wheel).as_deref(), Some("2.11.0+cu130"));
        assert_eq!(of_line("2.11.0+cpu\n").as_deref(), Some("2.11.0+cpu"));
        let header = "#pragma once\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n\
                      #define TORCH_VERSION_PATCH 0\n#define TORCH_VERSION_ABI_TAG 0\n";
        assert_eq!(of_header(header).as_deref(), Some("2.11.0"));
        assert_eq!(of_header("#include <torch/headeronly/version.h>\n"), None);
        assert_eq!(of_python("debug = False\n"), None);
        assert_eq!(of_line("unknown"), None);
    }

    #[test]
    fn only_major_and_minor_are_compared() {
        for same in ["2.11.0", "2.11.1", "2.11.0+cpu", "2.11"] {
            assert!(same_line(same, "2.11.0"), "{same}");
        }
        for other in ["2.1.1", "2.12.0", "1.11.0", "2.110.0", "2", ""] {
            assert!(!same_line(other, "2.11.0"), "{other}");
        }
    }
}
