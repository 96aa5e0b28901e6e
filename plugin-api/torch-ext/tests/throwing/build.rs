//! Compiles the functions that throw.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    let Some(library_dir) = env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        println!("cargo::error=torch-sys did not say where libtorch is");
        return;
    };
    let include = Path::new(&library_dir).with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .pic(true)
        .debug(false)
        .flag("-isystem")
        .flag(include)
        .file("cpp/throwing.cpp")
        .compile("kiwi_torch_ext_throwing");
}
