//! The file of an optimizer's state: one safetensors file with the tensors that its class keeps, as
//! `{parameter}.{entry}`, and in its `__metadata__` which class of which plugin wrote them.
//!
//! | key | content |
//! |---|---|
//! | `format` | `pt`, as PyTorch's own files have it |
//! | `kiwi.format_version` | the version of this table, 1 |
//! | `kiwi.optimizer` | JSON: the class and its plugin, the steps taken, what lowering the rate on a plateau has come to, and in 16-bit precision the factor on the loss |

use std::collections::BTreeMap;
use std::path::Path;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_core::plan::ResolvedComponent;
use kiwi_core::saved_system::PluginIdentity;
use kiwi_core::saved_system::archive::Archive;
use kiwi_plugin_api::NamedTensors;
use serde::{Deserialize, Serialize};

use super::gradient_scaler::ScalerState;
use super::rates::Progress;
use crate::checkpoint::{CopiedTensors, Snapshot};
use crate::torch::tensor_from;

const FORMAT_VERSION: u32 = 1;
const VERSION_KEY: &str = "kiwi.format_version";
const OPTIMIZER_KEY: &str = "kiwi.optimizer";

/// Who wrote a state, and when.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    class_name: String,
    plugin: PluginIdentity,
    progress: Progress,
    /// Of a run in 16-bit precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gradient_scaler: Option<ScalerState>,
}

/// A state to go on from.
pub(super) struct Saved {
    pub(super) tensors: NamedTensors,
    pub(super) progress: Progress,
    pub(super) gradient_scaler: Option<ScalerState>,
}

/// The file of a state.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn snapshot(
    component: &ResolvedComponent,
    tensors: CopiedTensors,
    progress: Progress,
    gradient_scaler: Option<ScalerState>,
) -> serde_json::Result<Snapshot> {
    let ResolvedComponent { class, plugin, version, sha256, .. } = component;
    let header = Header {
        class_name: class.clone(),
        plugin: PluginIdentity { name: plugin.clone(), version: version.clone(), sha256: sha256.clone() },
        progress,
        gradient_scaler,
    };
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (VERSION_KEY.to_owned(), FORMAT_VERSION.to_string()),
        (OPTIMIZER_KEY.to_owned(), serde_json::to_string(&header)?),
    ]);
    Ok(Snapshot::new(metadata, tensors))
}

/// Reads the state that an optimizer of this class wrote.
///
/// # Errors
/// When the file is none, or of another class, or of a newer format.
pub(super) fn read(path: &Path, class: &str) -> Result<Saved, Box<Diagnostic>> {
    let file = path.display().to_string();
    let refuse = |message: String| Diagnostic::error(Code::OptimizerState, message).found(file.clone());
    let no_state = "is not the saved state of an optimizer";
    let help = "name the optimizer.safetensors of a run's directory, or remove the key";
    let archive = Archive::open(path)
        .map_err(|error| refuse(format!("{file} {no_state}")).note(error.to_string()).help(help))?;
    let metadata = archive.metadata();
    let header = metadata.get(OPTIMIZER_KEY).ok_or_else(|| {
        refuse(format!("{file} {no_state}: its metadata lack `{OPTIMIZER_KEY}`")).help(help)
    })?;
    let version = metadata.get(VERSION_KEY).and_then(|version| version.parse::<u32>().ok());
    if version != Some(FORMAT_VERSION) {
        let found = metadata.get(VERSION_KEY).map_or("none", String::as_str);
        return Err(Box::new(
            refuse(format!(
                "{file} has the format version {found}, and this kiwi-host reads {FORMAT_VERSION}"
            ))
            .help("use the version that saved it"),
        ));
    }
    let header: Header = serde_json::from_str(header)
        .map_err(|error| refuse(format!("{file} is damaged or was edited: {error}")).help(help))?;
    if header.class_name != class {
        return Err(Box::new(
            refuse(format!("{file} is the state of `{}`, and the optimizer is `{class}`", header.class_name))
                .expected(format!("a state that `{class}` saved"))
                .help(format!("set class_name to {}, or remove the key", header.class_name)),
        ));
    }
    let tensors = archive.tensors().map(|data| Ok((data.name.clone(), tensor_from(&data)?)));
    tensors
        .collect::<kiwi_plugin_api::Result<_>>()
        .map(|tensors| Saved { tensors, progress: header.progress, gradient_scaler: header.gradient_scaler })
        .map_err(|error| Box::new(refuse(format!("{file} cannot be read: {error}")).help(help)))
}
