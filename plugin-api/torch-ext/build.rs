//! Compiles the C++ shim against the libtorch that torch-sys found, after checking that it is the release we bind.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpp");
    for name in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(message) = build() {
        println!("cargo::error={message}");
    }
}

fn build() -> Result<(), String> {
    let library_dir = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from).ok_or(
        "torch-sys did not say where libtorch is: set LIBTORCH to the folder of a libtorch, or run `cargo xtask setup`",
    )?;
    let root = match env::var_os("LIBTORCH_INCLUDE") {
        Some(root) => PathBuf::from(root),
        None => library_dir.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    let version_file = kiwi_libtorch_check::check(&root)?;
    println!("cargo::rerun-if-changed={}", version_file.display());

    let include = root.join("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut shim = compiler();
    shim.define("_GLIBCXX_USE_CXX11_ABI", abi.as_str());
    // As system headers, so that our warnings are about our code only.
    for folder in [include.clone(), include.join("torch/csrc/api/include")] {
        shim.flag("-isystem").flag(folder);
    }
    let files = [
        "guard",
        "handles",
        "state",
        "facts",
        "lists",
        "function",
        "projection",
        "side_by_side",
        "product",
        "lstm",
        "attention",
        "dropout",
    ];
    shim.opt_level(2).files(files.map(|name| format!("cpp/{name}.cpp"))).compile("kiwi_torch_ext");

    let mut rows = compiler();
    rows.opt_level(3).flag("-fopenmp-simd").flag("-fno-math-errno").flag("-fno-trapping-math");
    rows.flag_if_supported("-mprefer-vector-width=512").flag("-ffp-contract=fast");
    rows.files(["projection_row", "cells", "dropout_row", "finite"].map(|name| format!("cpp/{name}.cpp")))
        .compile("kiwi_torch_ext_rows");

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
