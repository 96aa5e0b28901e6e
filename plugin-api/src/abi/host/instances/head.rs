//! A head, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;

use super::{Owned, fields, json};
use crate::abi::component::head::HeadTableRef;
use crate::abi::component::{AbiPass, BorrowedFeature, feature_parts, take_over_parameters};
use crate::abi::host::call::{CallError, Phase, guarded};
use crate::abi::host::plugin::ComponentHandle;
use crate::{Batch, Features, HeadContext, HeadOutput, MetricRequest, Parameter};

/// A head.
pub struct HeadInstance {
    owned: Owned,
    table: HeadTableRef,
}

impl HeadInstance {
    /// Creates it.
    ///
    /// # Errors
    /// When the component cannot be built.
    pub fn create(
        handle: &ComponentHandle,
        config: &Value,
        context: &HeadContext,
    ) -> Result<Self, CallError> {
        let table = handle.table.head().into_option().ok_or_else(|| handle.missing_table("head"))?;
        let origin = handle.origin.clone();
        let (config, context) = (config.to_string(), json(&origin, Phase::Create, context)?);
        let instance = guarded(&origin, Phase::Create, || {
            (table.create())(RStr::from_str(&config), RStr::from_str(&context))
        })?;
        Ok(Self { owned: Owned { origin, instance: Some(instance), destroy: table.destroy() }, table })
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

    /// The metrics it wants.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn metrics(&mut self) -> Result<Vec<MetricRequest>, CallError> {
        let table = self.table;
        let text = self.owned.call(Phase::Describe, |instance| (table.metrics())(instance))?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.owned.origin, Phase::Describe, error.to_string()))
    }

    /// Loss and figures of a batch.
    ///
    /// # Errors
    /// When the plugin fails, or its loss is no scalar.
    pub fn forward(
        &mut self,
        features: &Features,
        batch: &Batch,
        training: bool,
    ) -> Result<HeadOutput, CallError> {
        let lent = fields(batch);
        let groups = lent.groups();
        let parts: Vec<_> = features
            .iter()
            .map(|(name, feature)| {
                let (kind, tensors) = feature_parts(feature);
                (name, kind, tensors)
            })
            .collect();
        let borrowed: Vec<_> = parts
            .iter()
            .map(|(name, kind, tensors)| BorrowedFeature {
                name: RStr::from_str(name),
                kind: *kind,
                tensors: RSlice::from_slice(tensors),
            })
            .collect();
        let table = self.table;
        let (output, _) = self
            .owned
            .call(Phase::Forward, |instance| {
                (table.forward())(
                    instance,
                    RSlice::from_slice(&borrowed),
                    RSlice::from_slice(&groups),
                    AbiPass::new(training, false),
                )
            })?
            .into_parts();
        if let Some((name, scalar)) = output.scalars.iter().find(|(_, scalar)| scalar.numel() != 1) {
            let message =
                format!("its scalar `{name}` must be a single number, not of shape {:?}", scalar.size());
            return Err(CallError::new(&self.owned.origin, Phase::Forward, message));
        }
        if output.loss.numel() != 1 {
            let message = format!("its loss must be a scalar, not of shape {:?}", output.loss.size());
            return Err(CallError::new(&self.owned.origin, Phase::Forward, message));
        }
        Ok(output)
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

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}
