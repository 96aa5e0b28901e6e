//! Opening a plugin's file, whatever for: the very bytes that were hashed, and nothing that brings a libtorch of its own.

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::plugins::companions::Ready;
use kiwi_plugin_api::abi::host::Plugin;

/// Opens the file, of this SHA-256, as the plugin `name`.
///
/// # Errors
/// Why the plugin cannot be used: a fragment that goes on after its name.
pub(crate) fn open(file: &Path, sha256: &str, name: &str) -> Result<Plugin, String> {
    let ready = Ready::of(file, sha256).map_err(|error| error.to_string())?;
    let folder = file.parent().unwrap_or(Path::new("."));
    if let Some(library) = ready.linkage().foreign_library(folder, &opened_libraries()) {
        return Err(format!(
            "it would open {}, a library of another libtorch than the host's: link it against libtorch_cpu.so and \
             libc10.so alone, or against the libtorch that kiwi-host uses",
            library.display()
        ));
    }
    let plugin = Plugin::open_copy(ready.path(), file, name).map_err(|error| error.to_string())?;
    ready.keep();
    Ok(plugin)
}

/// The files that this process has mapped, libraries among them.
fn opened_libraries() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut files: Vec<_> =
        maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..]))).collect();
    files.dedup();
    files
}
