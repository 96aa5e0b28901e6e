//! Copies of the states of all optimizers: the files that `system.optimizer.load` takes, and their part of a resume point.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kiwi_core::plan::ResolvedComponent;
use serde::{Deserialize, Serialize};

use super::gradient_scaler::SavedScaler;
use super::rates::Progress;
use super::saved;
use crate::checkpoint::{CopiedTensors, Snapshot};

/// What the names of optimizers' tensors begin with in a resume point.
pub(crate) const OPTIMIZER: &str = "optimizer.";

/// States of all optimizers, copied.
pub(crate) struct States {
    states: Vec<(ResolvedComponent, CopiedTensors, Progress)>,
    scaler: Option<SavedScaler>,
    last_rates: Vec<Vec<f64>>,
}

/// What a resume point says of the optimizers beside their tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedProgress {
    rates: Vec<Progress>,
    scaler: Option<SavedScaler>,
    /// The rates of the last step, of each optimizer and its groups.
    last_rates: Vec<Vec<f64>>,
}

impl SavedProgress {
    /// That of the rates of each optimizer, of the gradient scaler, and the rates of the last step.
    pub(super) fn into_parts(self) -> (Vec<Progress>, Option<SavedScaler>, Vec<Vec<f64>>) {
        (self.rates, self.scaler, self.last_rates)
    }

    /// How many optimizers there are.
    pub(crate) fn optimizers(&self) -> usize {
        self.rates.len()
    }
}

impl States {
    /// The tensors of each optimizer with how far its rates have come, the gradient scaler, and the rates of the last step.
    pub(super) fn new(
        states: Vec<(ResolvedComponent, CopiedTensors, Progress)>,
        scaler: Option<SavedScaler>,
        last_rates: Vec<Vec<f64>>,
    ) -> Self {
        Self { states, scaler, last_rates }
    }

    /// The file of each state in `directory`: `optimizer.safetensors`, or `optimizer-0.safetensors` and so on for a list.
    ///
    /// # Errors
    /// When one cannot be written as JSON.
    pub(crate) fn files(&self, directory: &Path) -> serde_json::Result<BTreeMap<PathBuf, Snapshot>> {
        let scaler = self.scaler.as_ref().map(|scaler| scaler.state);
        let file = |(index, (component, tensors, progress)): (usize, &(_, CopiedTensors, Progress))| {
            let name = match self.states.len() {
                1 => "optimizer.safetensors".to_owned(),
                _ => format!("optimizer-{index}.safetensors"),
            };
            let snapshot = saved::snapshot(component, tensors.clone(), progress.clone(), scaler)?;
            Ok((directory.join(name), snapshot))
        };
        self.states.iter().enumerate().map(file).collect()
    }

    /// What a resume point says of them, and adds their tensors to its own, as `optimizer.INDEX.`.
    pub(crate) fn to_resume(&self, tensors: &mut CopiedTensors) -> SavedProgress {
        for (index, (_, state, _)) in self.states.iter().enumerate() {
            tensors.extend(&format!("{OPTIMIZER}{index}."), state);
        }
        let rates = self.states.iter().map(|(_, _, progress)| progress.clone()).collect();
        SavedProgress { rates, scaler: self.scaler, last_rates: self.last_rates.clone() }
    }
}
