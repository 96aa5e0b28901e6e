//! GPUs: whether this machine has one, and libtorch folders that are made up to lack something.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::built;
use crate::workplace::Workplace;

/// Set in the process of a test that runs itself again with the CUDA part of libtorch loaded.
const LOADED: &str = "KIWI_TESTS_CUDA_LOADED";

/// Whether the system shows an NVIDIA GPU: its driver's devices, or those of a Windows host.
#[must_use]
pub fn is_there() -> bool {
    ["/dev/nvidia0", "/dev/dxg"].iter().any(|device| Path::new(device).exists())
}

/// A libtorch with its CUDA part and all that it needs, if this machine has a GPU; else a line that says why the test is left out.
#[must_use]
pub fn libtorch() -> Option<PathBuf> {
    if !is_there() {
        println!("skipped: no CUDA device");
        return None;
    }
    let found = whole_libtorch();
    if found.is_none() {
        println!(
            "skipped: a CUDA device and no CUDA build of libtorch: `cargo xtask setup --cuda` fetches it"
        );
    }
    found
}

/// A libtorch of the CUDA build with all that it needs: what everything was built against, or that of `.python`.
#[must_use]
pub fn whole_libtorch() -> Option<PathBuf> {
    let python = built::root().join(".python/torch");
    [built::libtorch(), python].into_iter().find(|folder| {
        let loads = || {
            let preloaded = folder.join("lib/libtorch_cuda.so");
            // The loader says on standard error what it cannot preload, and goes on without it.
            let run = Command::new("/bin/true")
                .env("LD_PRELOAD", preloaded)
                .env("LD_BIND_NOW", "1")
                .output()
                .ok()?;
            (run.status.success() && run.stderr.is_empty()).then_some(())
        };
        folder.join("lib/libtorch_cuda.so").is_file() && loads().is_some()
    })
}

/// Runs the test of this name again in a process of its own where the CUDA part of libtorch is loaded, and says whether this
/// is that process. Without a GPU the test is left out.
///
/// # Panics
/// When it fails there.
#[must_use]
pub fn in_process_with_cuda(test: &str) -> bool {
    if env::var_os(LOADED).is_some() {
        return true;
    }
    let Some(libtorch) = libtorch() else { return false };
    let mut again = Command::new(env::current_exe().expect("the test knows where it is"));
    again.args(["--exact", test, "--nocapture"]).env(LOADED, "1").env("NVIDIA_TF32_OVERRIDE", "0");
    // The search path goes before the one that was linked in, so that all parts are of one libtorch.
    again
        .env("LD_LIBRARY_PATH", libtorch.join("lib"))
        .env("LD_PRELOAD", libtorch.join("lib/libtorch_cuda.so"));
    assert!(again.status().expect("the test starts").success(), "{test} fails with CUDA");
    false
}

/// Makes `NAME/lib` in the workplace a libtorch like the one that everything was built against, but without its CUDA part.
///
/// # Panics
/// When links cannot be made.
#[must_use]
pub fn libtorch_without_cuda(work: &Workplace, name: &str) -> PathBuf {
    let (real, made) = (built::libtorch(), work.at(name).join("torch"));
    fs::create_dir_all(made.join("lib")).expect("a folder");
    for file in fs::read_dir(real.join("lib")).expect("libraries").flatten() {
        if !file.file_name().to_string_lossy().contains("cuda") {
            symlink(file.path(), made.join("lib").join(file.file_name())).expect("a link");
        }
    }
    // What libtorch needs of NVIDIA lies beside it.
    symlink(real.join("../nvidia"), work.at(name).join("nvidia")).expect("a link");
    made
}

/// Compiles C into a shared library; if there is no compiler, a line that says why the test is left out.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn library(work: &Workplace, path: &Path, code: &str, arguments: &[&str]) -> Option<()> {
    let source = work.write("library.c", code);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(path).arg(source).args(arguments).stderr(Stdio::inherit());
    match compiler.status() {
        Ok(status) => assert!(status.success(), "{} must compile", path.display()),
        Err(_) => {
            println!("skipped: no C compiler");
            return None;
        }
    }
    Some(())
}
