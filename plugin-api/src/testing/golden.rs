//! Recorded cases: named tensors in a safetensors file, that a later version must still give.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tch::{Device, Tensor};

use super::{Tolerance, compare_all};
use crate::{Error, NamedTensors, Result};

/// Compares tensors with those of a file that [`write_golden`] wrote, or a reference in another language.
///
/// # Errors
/// When the file cannot be read, or anything differs: see [`compare_all`].
pub fn golden(file: impl AsRef<Path>, found: &[(String, Tensor)], tolerance: Tolerance) -> Result<()> {
    let file = file.as_ref();
    let expected = read_golden(file)?;
    compare_all(found, &expected, tolerance)
        .map_err(|error| error.context(format!("not as recorded in {}", file.display())))
}

/// The tensors of a safetensors file, by name.
///
/// # Errors
/// When it is not there, or is no such file.
pub fn read_golden(file: impl AsRef<Path>) -> Result<NamedTensors> {
    let file = file.as_ref();
    if !file.exists() {
        return Err(Error::new(format!(
            "there is no file {}: record it once with `testing::write_golden`",
            file.display()
        )));
    }
    Tensor::read_safetensors(file).map_err(|error| cannot("read", file, error))
}

/// Records tensors in a safetensors file.
///
/// # Errors
/// When there is a file of this name already, which is never overwritten, or it cannot be written.
pub fn write_golden(file: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<()> {
    let file = file.as_ref();
    if file.exists() {
        return Err(Error::new(format!("{} exists already: remove it to record it anew", file.display())));
    }
    let tensors = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous()?)))
        .collect::<Result<Vec<_>>>()?;
    let beside = PathBuf::from(format!("{}.part", file.display()));
    let written = Tensor::write_safetensors(&tensors, &beside).map_err(|error| cannot("write", file, error));
    let named = written.and_then(|()| {
        let named = File::open(&beside).and_then(|file| file.sync_all());
        named.and_then(|()| fs::rename(&beside, file)).map_err(|error| cannot("write", file, error))
    });
    if named.is_err() {
        // What is left of it helps nobody, and there may be nothing.
        let _ = fs::remove_file(&beside);
    }
    named
}

fn cannot(what: &str, file: &Path, error: impl std::error::Error + 'static) -> Error {
    Error::from(error).context(format!("cannot {what} {}", file.display()))
}
