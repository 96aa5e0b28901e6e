//! Compiles the C++ shim against the libtorch that torch-sys found, after checking that it is the release we bind.

#![expect(clippy::print_stdout, reason = "cargo reads a build script's standard output")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use kiwi_plugin_metadata::TORCH_VERSION;

/// Where torch releases state their version, and how: the first that exists is read.
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

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpp");
    for name in ["LIBTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(message) = build() {
        println!("cargo::error={message}");
    }
}

fn build() -> Result<(), String> {
    let library_dir = library_dir()?;
    let root = match env::var_os("LIBTORCH_INCLUDE") {
        Some(root) => PathBuf::from(root),
        None => library_dir.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    check_folder(&root)?;
    check_version(&root)?;

    let include = root.join("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut shim = compiler();
    shim.define("_GLIBCXX_USE_CXX11_ABI", abi.as_str());
    // As system headers, so that our warnings are about our code only.
    for folder in [include.clone(), include.join("torch/csrc/api/include")] {
        shim.flag("-isystem").flag(folder);
    }
    let files = ["guard", "state", "lists", "function", "projection"];
    shim.opt_level(2).files(files.map(|name| format!("cpp/{name}.cpp"))).compile("kiwi_torch_ext");

    let mut row = compiler();
    row.opt_level(3).flag("-fopenmp-simd").flag("-fno-math-errno").flag("-fno-trapping-math");
    row.file("cpp/projection_row.cpp").compile("kiwi_torch_ext_row");

    // For the tests and examples of this crate alone: other crates say themselves where they find libtorch.
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", library_dir.display());
    Ok(())
}

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").pic(true).warnings(true).extra_warnings(true).debug(false);
    build.flag("-fvisibility=hidden");
    build
}

fn library_dir() -> Result<PathBuf, String> {
    env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from).ok_or_else(|| {
        "torch-sys did not say where libtorch is: set LIBTORCH to the folder of a libtorch, or run \
         `cargo xtask setup`"
            .to_owned()
    })
}

fn check_folder(root: &Path) -> Result<(), String> {
    if root.join("include/ATen/core/Tensor.h").is_file() {
        return Ok(());
    }
    let found = if root.is_dir() { "a folder without libtorch's headers" } else { "no such folder" };
    Err(format!(
        "no libtorch {TORCH_VERSION} at {} ({found}): set LIBTORCH to the folder that holds its include/ and lib/, \
         or run `cargo xtask setup`",
        root.display()
    ))
}

fn check_version(root: &Path) -> Result<(), String> {
    let advice = "set LIBTORCH to one of that release, or run `cargo xtask setup`";
    for (file, style) in VERSION_FILES {
        let path = root.join(file);
        let Some(found) = fs::read_to_string(&path).ok().and_then(|text| version_in(&text, style)) else {
            continue;
        };
        println!("cargo::rerun-if-changed={}", path.display());
        if major_minor(&found) == major_minor(TORCH_VERSION) {
            return Ok(());
        }
        return Err(format!(
            "the libtorch at {} is release {found}, expected {TORCH_VERSION}: {advice}",
            root.display()
        ));
    }
    Err(format!("the libtorch at {} does not say its release, expected {TORCH_VERSION}: {advice}", root.display()))
}

fn version_in(text: &str, style: Style) -> Option<String> {
    match style {
        Style::Header => {
            let part = |name: &str| {
                text.lines().find_map(|line| {
                    let mut words = line.split_whitespace();
                    (words.next() == Some("#define") && words.next() == Some(name)).then(|| words.next()).flatten()
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
