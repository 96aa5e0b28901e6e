//! Where training is, as a resume point keeps it: all that the rest of a run depends on. Random states are not among it: each batch
//! seeds the generator anew ([`crate::torch::seed_for`]).

use std::collections::BTreeMap;
use std::time::Duration;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::archive::Archive;
use kiwi_plugin_api::torch_ext::gradients;
use kiwi_plugin_api::{NamedTensors, Parameter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, Tensor};

use super::early_stopping::Seen;
use super::items::SavedItems;
use super::pass::failed;
use super::skips::Skips;
use super::window::{Clock, SavedWindow};
use crate::checkpoint::{CopiedTensors, Decided};
use crate::optimizers::{OPTIMIZER, SavedProgress};
use crate::torch::tensor_from;

/// What the names of gradients begin with in a resume point.
const GRADIENT: &str = "gradient.";
/// The same for the parts of a sparse one.
const INDICES: &str = "gradient_indices.";
const VALUES: &str = "gradient_values.";
/// The same for the state that an encoder carries from batch to batch.
pub(super) const CARRIED: &str = "carried.";

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Counted from 0.
    pub(crate) epoch: u64,
    /// Batches of the epoch that are done.
    pub(crate) batch: usize,
    /// Batches of the run that are done.
    pub(crate) batches: u64,
    /// Optimizer steps of the run that are done.
    pub(crate) step: u64,
    /// A validation is due before the next batch.
    pub(crate) validation_due: bool,
    /// The end of the epoch was told.
    pub(crate) epoch_ended: bool,
}

/// What a resume point keeps beside tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TrainingState {
    pub(super) position: Position,
    pub(super) stopping: Seen,
    pub(super) decided: Decided,
    pub(super) optimizers: SavedProgress,
    #[serde(default)]
    pub(super) items: SavedItems,
    pub(super) window: SavedWindow,
    pub(super) whole: SavedWindow,
    pub(super) clock: Clock,
    pub(super) skips: Skips,
    pub(super) told_skipped: u64,
    /// Time of training before.
    pub(super) elapsed: Duration,
    pub(super) encoder_extra: Option<Value>,
    pub(super) head_extra: Option<Value>,
    /// Whether the next batch goes on with carried state.
    #[serde(default)]
    pub(super) carries: bool,
    /// The parameters that have a sparse gradient, and whether it is coalesced.
    pub(super) sparse_gradients: BTreeMap<String, bool>,
}

impl TrainingState {
    /// How far the run had come.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// How many optimizers there were.
    pub(crate) fn optimizers(&self) -> usize {
        self.optimizers.optimizers()
    }
}

/// Adds the gradients that batches of an unfinished optimizer step have left, dense or sparse; which are sparse.
///
/// # Errors
/// When one cannot be copied.
pub(super) fn copy_gradients(
    parameters: &[Parameter],
    tensors: &mut CopiedTensors,
) -> kiwi_plugin_api::Result<BTreeMap<String, bool>> {
    let mut sparse = BTreeMap::new();
    for parameter in parameters.iter().filter(|parameter| parameter.trainable) {
        let Some(gradient) = gradients::gradient(&parameter.tensor)? else { continue };
        let name = parameter.name.as_str();
        let mut copy = |prefix: &str, tensor: &Tensor| -> kiwi_plugin_api::Result<()> {
            tensors.extend(prefix, &CopiedTensors::of([(name, tensor)])?);
            Ok(())
        };
        if gradient.is_sparse() {
            copy(INDICES, &gradient.f_internal_indices()?)?;
            copy(VALUES, &gradient.f_internal_values()?)?;
            sparse.insert(name.to_owned(), gradient.f_is_coalesced()?);
        } else {
            copy(GRADIENT, &gradient)?;
        }
    }
    Ok(sparse)
}

/// Puts gradients back.
///
/// # Errors
/// When one does not fit.
pub(super) fn restore_gradients(
    parameters: &[Parameter],
    archive: &Archive,
    sparse: &BTreeMap<String, bool>,
    device: Device,
) -> Result<(), Failure> {
    for parameter in parameters.iter().filter(|parameter| parameter.trainable) {
        let name = &parameter.name;
        let found = |prefix: &str| tensor(archive, &format!("{prefix}{name}"), device);
        let gradient = match sparse.get(name) {
            Some(coalesced) => {
                let (Some(indices), Some(values)) = (found(INDICES)?, found(VALUES)?) else { continue };
                let (size, options) = (parameter.tensor.size(), (values.kind(), device));
                let made =
                    Tensor::f_sparse_coo_tensor_indices_size(&indices, &values, size, options, *coalesced);
                Some(made.map_err(|error| failed(error.into()))?)
            }
            None => found(GRADIENT)?,
        };
        if let Some(gradient) = gradient {
            gradients::set_gradient(&parameter.tensor, Some(&gradient))
                .map_err(|error| failed(error.into()))?;
        }
    }
    Ok(())
}

/// The tensors of each optimizer's state.
///
/// # Errors
/// When one cannot be read.
pub(super) fn optimizer_states(archive: &Archive, count: usize) -> Result<Vec<NamedTensors>, Failure> {
    (0..count).map(|index| tensors_below(archive, &format!("{OPTIMIZER}{index}."), Device::Cpu)).collect()
}

/// The tensors whose names begin with `prefix`, without it, on a device.
///
/// # Errors
/// When one cannot be read.
pub(super) fn tensors_below(
    archive: &Archive,
    prefix: &str,
    device: Device,
) -> Result<NamedTensors, Failure> {
    let tensors = archive.tensors().filter_map(|data| {
        let name = data.name.strip_prefix(prefix)?.to_owned();
        Some(tensor_from(&data).and_then(|tensor| Ok((name, tensor.f_to(device)?))))
    });
    tensors.collect::<kiwi_plugin_api::Result<_>>().map_err(|error| unreadable(archive, &error))
}

/// A tensor of a resume point on a device, if it is there.
///
/// # Errors
/// When it cannot be read.
pub(super) fn tensor(archive: &Archive, name: &str, device: Device) -> Result<Option<Tensor>, Failure> {
    let Some(data) = archive.tensor(name) else { return Ok(None) };
    let tensor = tensor_from(&data).and_then(|tensor| Ok(tensor.f_to(device)?));
    tensor.map(Some).map_err(|error| unreadable(archive, &error))
}

fn unreadable(archive: &Archive, error: &kiwi_plugin_api::Error) -> Failure {
    let message = format!("the resume point {} cannot be read: {error}", archive.path().display());
    Failure::new(ExitCode::Invalid, Diagnostic::error(Code::OptimizerState, message))
}
