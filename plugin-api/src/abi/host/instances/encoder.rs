//! An encoder, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;

use super::{Owned, fields, json};
use crate::abi::component::encoder::{EncoderDescription, EncoderTableRef};
use crate::abi::component::{AbiPass, feature, take_over_parameters};
use crate::abi::host::call::{CallError, Phase, guarded};
use crate::abi::host::plugin::ComponentHandle;
use crate::abi::tensor::take_over;
use crate::{Batch, EncoderContext, Features, NamedTensors, Parameter};

/// An encoder.
pub struct EncoderInstance {
    owned: Owned,
    table: EncoderTableRef,
    description: EncoderDescription,
}

impl EncoderInstance {
    /// Creates it.
    ///
    /// # Errors
    /// When the component cannot be built.
    pub fn create(
        handle: &ComponentHandle,
        config: &Value,
        context: &EncoderContext,
    ) -> Result<Self, CallError> {
        let table = handle.table.encoder().into_option().ok_or_else(|| handle.missing_table("encoder"))?;
        let origin = handle.origin.clone();
        let (config, context) = (config.to_string(), json(&origin, Phase::Create, context)?);
        let instance = guarded(&origin, Phase::Create, || {
            (table.create())(RStr::from_str(&config), RStr::from_str(&context))
        })?;
        let mut owned = Owned { origin, instance: Some(instance), destroy: table.destroy() };
        let text = owned.call(Phase::Describe, |instance| (table.describe())(instance))?;
        let description = serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&owned.origin, Phase::Describe, error.to_string()))?;
        Ok(Self { owned, table, description })
    }

    /// Its hidden size and the sizes of its features.
    #[must_use]
    pub fn description(&self) -> &EncoderDescription {
        &self.description
    }

    /// Its parameters and buffers: handles to its own tensors.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn parameters(&mut self) -> Result<Vec<Parameter>, CallError> {
        let table = self.table;
        let parameters = self.owned.call(Phase::Parameters, |instance| (table.parameters())(instance))?;
        Ok(take_over_parameters(parameters))
    }

    /// The features of a batch.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn forward(&mut self, batch: &Batch, training: bool) -> Result<Features, CallError> {
        Ok(self.run(batch, AbiPass::new(training, false))?.0)
    }

    /// The features of a batch, and the tensors on the way.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn forward_traced(
        &mut self,
        batch: &Batch,
        training: bool,
    ) -> Result<(Features, NamedTensors), CallError> {
        self.run(batch, AbiPass::new(training, true))
    }

    fn run(&mut self, batch: &Batch, pass: AbiPass) -> Result<(Features, NamedTensors), CallError> {
        let lent = fields(batch);
        let groups = lent.groups();
        let table = self.table;
        let output = self.owned.call(Phase::Forward, |instance| {
            (table.forward())(instance, RSlice::from_slice(&groups), pass)
        })?;
        let mut features = Features::new();
        for entry in output.features {
            let tensors = entry.tensors.into_iter().map(|tensor| tensor.into_tensor()).collect();
            let feature = feature(entry.name.as_str(), entry.kind, tensors)
                .map_err(|error| CallError::new(&self.owned.origin, Phase::Forward, error.to_string()))?;
            features.push(entry.name.as_str(), feature);
        }
        Ok((features, take_over(output.trace)))
    }

    /// What a saved system holds of it besides parameters and buffers; `None` for nothing.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn extra(&mut self) -> Result<Option<Value>, CallError> {
        let table = self.table;
        let text = self.owned.call(Phase::SaveState, |instance| (table.extra())(instance))?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.owned.origin, Phase::SaveState, error.to_string()))
    }

    /// Hands it what [`Self::extra`] gave.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn load_extra(&mut self, extra: &Value) -> Result<(), CallError> {
        let table = self.table;
        let text = extra.to_string();
        self.owned.call(Phase::LoadState, |instance| (table.load_extra())(instance, RStr::from_str(&text)))
    }

    /// Has it forget the state that it carries in training, or in evaluation.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn reset_state(&mut self, training: bool) -> Result<(), CallError> {
        let table = self.table;
        self.owned.call(Phase::Forward, |instance| (table.reset_state())(instance, training))
    }

    /// Has it cut the state that it carries in training from how it came about.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn detach_state(&mut self) -> Result<(), CallError> {
        let table = self.table;
        self.owned.call(Phase::Forward, |instance| (table.detach_state())(instance))
    }

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}
