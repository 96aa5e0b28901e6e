//! The program, the engine and the plugins as they were built: tests drive these, not the crates behind them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use kiwi_plugin_api::abi::host::{ComponentHandle, Plugin};

/// Set by whoever has built the workspace already, so that not every test asks cargo again.
const ALREADY_BUILT: &str = "KIWI_TESTS_BUILT";
/// The folder that holds `tests/golden`, where the tests were taken to another machine.
const ROOT: &str = "KIWI_TESTS_ROOT";
/// The libtorch to use in place of the one that everything was built against, likewise.
const LIBTORCH: &str = "KIWI_TESTS_LIBTORCH";

/// The folder of build outputs that this test lies in, as `target/debug`; everything in it is up to date.
///
/// # Panics
/// When the workspace does not build.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let exe = std::env::current_exe().expect("the test knows where it is");
        let folder = exe.ancestors().nth(2).expect("a test lies in <profile>/deps").to_owned();
        if std::env::var_os(ALREADY_BUILT).is_none() {
            build(&folder, &["--workspace", "--exclude", "xtask"]);
            build(&folder, &["--package", "kiwi-swapped-optimizer", "--examples"]);
        }
        folder
    })
}

fn build(folder: &Path, what: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet"]).args(what).current_dir(root());
    if folder.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    cargo.env("CARGO_TARGET_DIR", folder.parent().expect("a profile lies in a target folder"));
    assert!(cargo.status().expect("cargo runs").success(), "the workspace must build");
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    if let Some(root) = std::env::var_os(ROOT) {
        return root.into();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// The program.
#[must_use]
pub fn program() -> PathBuf {
    folder().join("kiwi-host")
}

/// The file of a plugin, as `encoders` or `misbehaving`.
#[must_use]
pub fn plugin_file(name: &str) -> PathBuf {
    folder().join(format!("libkiwi_{name}.so"))
}

/// The file of the plugin whose `adam` is plain gradient descent.
#[must_use]
pub fn swapped_optimizer() -> PathBuf {
    folder().join("examples/libswapped_optimizer.so")
}

/// The same with an allocator of its own.
#[must_use]
pub fn allocating_optimizer() -> PathBuf {
    folder().join("examples/liballocating_optimizer.so")
}

/// The files of the plugins in `examples/`, built by that workspace's own command as their author builds them, in a target folder
/// beside this one's.
///
/// # Panics
/// When they do not build.
#[must_use]
pub fn example_plugins() -> Vec<PathBuf> {
    let target = folder().parent().expect("a profile lies in a target folder").join("example-plugins");
    let plugins = ["expert_encoder", "label_smoothing", "lion", "word_accuracy"];
    let files = plugins.map(|name| target.join(format!("debug/libkiwi_example_{name}.so")));
    if std::env::var_os(ALREADY_BUILT).is_none() || !files.iter().all(|file| file.exists()) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked"]).current_dir(root().join("examples"));
        cargo.env("CARGO_TARGET_DIR", &target);
        if std::env::var_os("CARGO_BUILD_BUILD_DIR").is_none() {
            // As `cargo xtask test` does.
            cargo.env("CARGO_BUILD_BUILD_DIR", target.parent().expect("it lies in a target folder"));
        }
        assert!(cargo.status().expect("cargo runs").success(), "the example plugins must build");
    }
    files.into()
}

/// The libtorch that everything was built against.
///
/// # Panics
/// When its libraries lie at the root of the file system.
#[must_use]
pub fn libtorch() -> PathBuf {
    if let Some(libtorch) = std::env::var_os(LIBTORCH) {
        return libtorch.into();
    }
    Path::new(env!("KIWI_TESTS_LIBTORCH_LIB")).parent().expect("the libraries lie in lib/").to_owned()
}

/// A component of a plugin, loaded.
///
/// # Panics
/// When the plugin does not open or has no such component.
#[must_use]
pub fn component(plugin: &str, kind: &str, class: &str) -> ComponentHandle {
    Plugin::open(&plugin_file(plugin), &format!("kiwi-{plugin}"))
        .expect("the plugin opens")
        .component(kind, class)
        .unwrap_or_else(|| panic!("{plugin} registers {kind} {class}"))
}
