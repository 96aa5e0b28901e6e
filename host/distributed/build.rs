//! Compiles the C++ shim over c10d against the libtorch that torch-sys found.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpp");
    for name in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let Some(library_dir) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        println!(
            "cargo::error=torch-sys did not say where libtorch is: set LIBTORCH to the folder of a libtorch"
        );
        return;
    };
    let root = match env::var_os("LIBTORCH_INCLUDE") {
        Some(root) => PathBuf::from(root),
        None => library_dir.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    let include = root.join("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut shim = cc::Build::new();
    shim.cpp(true).std("c++17").pic(true).warnings(true).extra_warnings(true).debug(false).opt_level(2);
    shim.flag("-fvisibility=hidden")
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .define("USE_C10D_GLOO", None);
    // As system headers, so that our warnings are about our code only.
    for folder in ["cpp/gloo_names".into(), include.clone(), include.join("torch/csrc/api/include")] {
        shim.flag("-isystem").flag(folder);
    }
    shim.file("cpp/group.cpp").compile("kiwi_distributed");

    // For the tests of this crate alone: other crates say themselves where they find libtorch.
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", library_dir.display());
}
