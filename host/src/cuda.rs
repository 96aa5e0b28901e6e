//! The CUDA part of libtorch: opened where a GPU is asked for, after the CPU part and before engine and plugins, so that its
//! operators are there when they are needed. Why it cannot be opened is told apart here; which GPUs there are the engine asks.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::libtorch::Libtorch;
use kiwi_plugin_metadata::TORCH_VERSION;

/// The driver's library. libtorch finds it by this name only when it first computes.
pub(crate) const DRIVER: &str = "libcuda.so.1";

/// Opens a library for ever: so that others find what is in it, or for itself.
pub(crate) type Open = fn(library: &Path, scope: Scope) -> Result<(), String>;

/// Who finds what is in an opened library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All libraries that are opened later.
    All,
    /// Who opened it.
    Own,
}

/// Opens the CUDA part of libtorch, whose CPU part is open, and sees that there is a driver.
///
/// # Errors
/// It is missing, needs a library that is missing, or is of another version than the CPU part; or there is no driver.
pub(crate) fn open(libtorch: &Libtorch, asked: &AskedDevice, open: Open) -> Result<(), Failure> {
    let refuse = |complaint| Failure::new(ExitCode::Invalid, asked.refuse(complaint));
    open_part(libtorch, open).map_err(refuse)?;
    open(Path::new(DRIVER), Scope::Own).map_err(|message| refuse(without_driver(&message)))
}

/// Opens the CUDA part of libtorch, whose CPU part is open.
///
/// # Errors
/// It is missing, needs a library that is missing, or is of another version than the CPU part.
pub(crate) fn open_part(libtorch: &Libtorch, open: Open) -> Result<(), Diagnostic> {
    let library = part_of(libtorch);
    if !library.exists() {
        return Err(without_cuda(libtorch, &library));
    }
    open(&library, Scope::All).map_err(|message| unopened(libtorch, &message))
}

/// Sees that there is a CUDA part of libtorch.
///
/// # Errors
/// It is missing.
pub(crate) fn find(libtorch: &Libtorch, asked: &AskedDevice) -> Result<(), Failure> {
    let library = part_of(libtorch);
    match library.exists() {
        true => Ok(()),
        false => Err(Failure::new(ExitCode::Invalid, asked.refuse(without_cuda(libtorch, &library)))),
    }
}

/// Where the CUDA part of libtorch lies, if it has one.
pub(crate) fn part_of(libtorch: &Libtorch) -> PathBuf {
    libtorch.library(&format!("{DLL_PREFIX}torch_cuda{DLL_SUFFIX}"))
}

fn without_cuda(libtorch: &Libtorch, library: &Path) -> Diagnostic {
    Diagnostic::error(
        Code::NoCuda,
        format!(
            "libtorch in {} has no CUDA part: it is a build for the CPU only",
            libtorch.directory.display()
        ),
    )
    .found(format!("no {}", library.display()))
    .expected(format!("the CUDA build of torch {TORCH_VERSION}"))
    .help(format!("{}, or name it with --libtorch", advice()))
}

/// Why the CUDA part does not open, by what the dynamic loader says.
fn unopened(libtorch: &Libtorch, message: &str) -> Diagnostic {
    let directory = libtorch.directory.display();
    let complaint = match (missing_library(message), is_of_another_version(message)) {
        (Some(missing), _) => Diagnostic::error(
            Code::NoCuda,
            format!("a library that the CUDA part of libtorch in {directory} needs is missing: {missing}"),
        )
        .found(format!("no {missing}"))
        .expected(format!("torch {TORCH_VERSION} with all that its CUDA build depends on"))
        .help(advice()),
        (None, true) => Diagnostic::error(
            Code::NoCuda,
            format!("the CUDA part of libtorch in {directory} is of another version than its CPU part"),
        )
        .expected(format!("both of one build of torch {TORCH_VERSION}"))
        .help(format!(
            "install torch {TORCH_VERSION} anew into an empty directory, with all that it depends on"
        )),
        (None, false) => Diagnostic::error(
            Code::NoCuda,
            format!("the CUDA part of libtorch in {directory} cannot be opened"),
        )
        .expected(format!("the CUDA build of torch {TORCH_VERSION}"))
        .help(advice()),
    };
    complaint.note(message)
}

/// The complaint that the driver's library does not open, by what the dynamic loader says.
pub(crate) fn without_driver(message: &str) -> Diagnostic {
    let complaint = if missing_library(message).is_some() {
        Diagnostic::error(Code::NoDriver, "there is no NVIDIA driver on this machine")
            .found(format!("no {DRIVER}"))
    } else {
        Diagnostic::error(Code::NoDriver, format!("the NVIDIA driver's {DRIVER} cannot be opened"))
    };
    complaint
        .expected(format!("an NVIDIA driver, whose {DRIVER} the dynamic loader finds"))
        .note(message)
        .help("install the driver, or in a container pass the GPU and the driver on to it; `nvidia-smi` shows whether it works")
}

/// The library that the loader did not find.
fn missing_library(message: &str) -> Option<&str> {
    let (name, _) = message.split_once(": cannot open shared object file: No such file or directory")?;
    Some(name.rsplit_once('/').map_or(name, |(_, name)| name))
}

/// Whether the loader lacks not a library but what should be in one.
fn is_of_another_version(message: &str) -> bool {
    message.contains("undefined symbol")
        || message.contains("symbol lookup error")
        || message.contains("' not found (required by")
}

fn advice() -> String {
    format!(
        "install the CUDA build of torch with all that it depends on: `cargo xtask setup --cuda` in a checkout, or `pip install torch=={TORCH_VERSION}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loader_says_is_told_apart() {
        let libtorch = Libtorch {
            directory: "/somewhere".into(),
            version: None,
            origin: kiwi_core::libtorch::Origin::Option,
        };
        for (message, start) in [
            (
                "libcusparse.so.12: cannot open shared object file: No such file or directory",
                "a library that the CUDA part of libtorch in /somewhere needs is missing: libcusparse.so.12",
            ),
            (
                "/a/libtorch_cuda.so: undefined symbol: _ZN2at4someE",
                "the CUDA part of libtorch in /somewhere is of another version than its CPU part",
            ),
            (
                "/a/libc10.so: version `TORCH_2.10' not found (required by /a/libtorch_cuda.so)",
                "the CUDA part of libtorch in /somewhere is of another version than its CPU part",
            ),
            (
                "/a/libtorch_cuda.so: file too short",
                "the CUDA part of libtorch in /somewhere cannot be opened",
            ),
        ] {
            let complaint = unopened(&libtorch, message);
            assert_eq!(complaint.message, start);
            assert_eq!(complaint.notes, [message]);
        }
        let missing = "libcuda.so.1: cannot open shared object file: No such file or directory";
        assert_eq!(without_driver(missing).message, "there is no NVIDIA driver on this machine");
        let broken = "/usr/lib/libcuda.so.1: file too short";
        assert_eq!(without_driver(broken).message, "the NVIDIA driver's libcuda.so.1 cannot be opened");
    }
}
