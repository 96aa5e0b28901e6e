//! The build script of each crate here: lets its tests find the libtorch that they are linked with. The plugin itself needs none of
//! this, since the host has opened libtorch before it opens a plugin.

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
