//! Lets the tests find the libtorch they were built against.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
        println!("cargo:rustc-env=KIWI_TESTS_LIBTORCH_LIB={folder}");
    }
}
