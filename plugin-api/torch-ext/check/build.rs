//! Checks the libtorch that LIBTORCH names. It runs beside torch-sys's build, which takes a minute against another release
//! before it ends in the errors of a C++ compiler, if it does.

use std::env;
use std::path::Path;

#[path = "src/folder.rs"]
mod folder;

fn main() {
    for name in ["LIBTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_USE_PYTORCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    // Python's torch is found by torch-sys alone; kiwi-torch-ext checks it afterwards.
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return;
    }
    let Some(root) = env::var_os("LIBTORCH_INCLUDE").or_else(|| env::var_os("LIBTORCH")) else {
        return;
    };
    match folder::check(Path::new(&root)) {
        Ok(file) => println!("cargo::rerun-if-changed={}", file.display()),
        Err(message) => {
            // Not looked at again unless something changes, and what changes is this folder.
            println!("cargo::rerun-if-changed={}", Path::new(&root).display());
            println!("cargo::error={message}");
        }
    }
}
