//! Lets this crate's unit tests find the libtorch they were built against. The engine itself needs no search path: the
//! program opens libtorch before it opens the engine. So a release build, which is given away, has none.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        return;
    }
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
