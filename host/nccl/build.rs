//! Compiles the C++ shim over c10d and NCCL against the libtorch that torch-sys found and the headers of CUDA. Nothing is linked: what
//! the shim calls is found in libtorch when the library is opened.

#[cfg(feature = "nccl")]
use std::env;
#[cfg(feature = "nccl")]
use std::path::{Path, PathBuf};

/// Folders of headers, separated by colons: that of `nccl.h` and that of CUDA's runtime.
#[cfg(feature = "nccl")]
const FOLDERS: &str = "KIWI_CUDA_INCLUDE";

#[cfg(not(feature = "nccl"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "nccl")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cpp");
    for name in [FOLDERS, "LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    match (libtorch(), cuda()) {
        (Ok(libtorch), Ok(cuda)) => compile(&libtorch, &cuda),
        (libtorch, cuda) => [libtorch.err(), cuda.err()].into_iter().flatten().for_each(|error| {
            println!("cargo::error={error}");
        }),
    }
}

#[cfg(feature = "nccl")]
fn compile(libtorch: &Path, cuda: &[PathBuf]) {
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut shim = cc::Build::new();
    shim.cpp(true).std("c++17").pic(true).warnings(true).extra_warnings(true).debug(false).opt_level(2);
    shim.flag("-fvisibility=hidden")
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .define("USE_CUDA", None)
        .define("USE_C10D_NCCL", None);
    // As system headers, so that our warnings are about our code only.
    let folders = [libtorch.to_owned(), libtorch.join("torch/csrc/api/include")];
    for folder in folders.iter().chain(cuda) {
        shim.flag("-isystem").flag(folder);
    }
    // What nobody else has: the headers of cuBLAS and its like lie in packages of hundreds of megabytes.
    shim.flag("-idirafter").flag("cpp/cuda_names");
    shim.file("cpp/nccl.cpp").compile("kiwi_nccl_shim");
}

/// The headers of libtorch.
#[cfg(feature = "nccl")]
fn libtorch() -> Result<PathBuf, String> {
    if let Some(root) = env::var_os("LIBTORCH_INCLUDE") {
        return Ok(Path::new(&root).join("include"));
    }
    let library = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from);
    let root = library.as_deref().and_then(Path::parent);
    root.map(|root| root.join("include")).ok_or_else(|| {
        "torch-sys did not say where libtorch is: set LIBTORCH to the folder of a libtorch".to_owned()
    })
}

/// The headers of NCCL and CUDA: where the variable says, else where `cargo xtask setup --cuda` puts them.
#[cfg(feature = "nccl")]
fn cuda() -> Result<Vec<PathBuf>, String> {
    let named = env::var_os(FOLDERS).filter(|folders| !folders.is_empty());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    let own = root.join(".libtorch/cuda-include");
    let folders: Vec<_> = match &named {
        Some(folders) => env::split_paths(folders).collect(),
        None => vec![own.join("nccl"), own.join("cuda")],
    };
    for folder in &folders {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let lacks = |header: &&str| !folders.iter().any(|folder| folder.join(header).is_file());
    let missing: Vec<_> =
        ["nccl.h", "cuda_runtime.h", "crt/host_defines.h"].into_iter().filter(lacks).collect();
    if missing.is_empty() {
        return Ok(folders);
    }
    let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(format!(
        "the feature `nccl` needs {}, looked for in {}: `cargo xtask setup --cuda` installs them, or set {FOLDERS} to the folders of \
         NCCL's and CUDA's headers, separated by colons",
        missing.join(" and "),
        looked.join(" and ")
    ))
}
