//! Writing a system, and small texts, so that a file is complete or not there at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::{self, SystemHeader};
use serde_json::Value;

use crate::system::{System, running};
use crate::torch::ToFile;

/// Writes `system` to `path`, with what `training` says of how it was trained.
///
/// # Errors
/// When a component fails, a parameter cannot be copied or the file not written.
pub(super) fn save(system: &mut System, training: &Value, path: &Path) -> Result<(), Failure> {
    let failed = |reason: String| {
        Failure::new(ExitCode::RunFailed, Diagnostic::error(format!("cannot save the system: {reason}")))
    };
    let header = system.header().map_err(|error| running(&error))?;
    let header = SystemHeader { training: Some(training.clone()), ..header };
    let parameters = system.parameters().iter();
    let tensors = ToFile::new(parameters.map(|parameter| (parameter.name.as_str(), &parameter.tensor)));
    let layouts = tensors.layouts().map_err(|error| failed(error.to_string()))?;
    saved_system::write_each(path, &header, layouts, |name| tensors.elements(name))
        .map_err(|error| failed(error.to_string()))
}

/// Writes `text` to `path`: beside it first, then renamed.
///
/// # Errors
/// When the file system refuses.
pub(super) fn write_text(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    match path.parent() {
        Some(parent) => {
            File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all()
        }
        None => Ok(()),
    }
}
