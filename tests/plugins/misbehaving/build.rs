//! Compiles the C++ functions that throw.

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .pic(true)
        .file("cpp/throwing.cpp")
        .compile("kiwi_misbehaving_throwing");
}
