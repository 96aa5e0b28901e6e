//! A head, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;

use super::{Owned, fields, json};
use crate::abi::component::head::HeadTableRef;
use crate::abi::component::{
    AbiPass, BorrowedFeature, ComponentTableRef, feature_parts, take_over_parameters,
};
use crate::abi::host::c;
use crate::abi::host::call::{CallError, Origin, Phase, guarded};
use crate::abi::host::plugin::{ComponentHandle, Sort};
use crate::{Batch, Features, HeadContext, HeadOutput, MetricRequest, Parameter};

/// What a head is asked, whatever it is written in.
pub(in crate::abi::host) trait HeadCalls: Send {
    fn parameters(&mut self) -> Result<Vec<Parameter>, CallError>;
    fn metrics(&mut self) -> Result<Vec<MetricRequest>, CallError>;
    fn forward(
        &mut self,
        features: &Features,
        batch: &Batch,
        training: bool,
    ) -> Result<HeadOutput, CallError>;
    fn extra(&mut self) -> Result<Option<Value>, CallError>;
    fn load_extra(&mut self, extra: &Value) -> Result<(), CallError>;
    fn close(&mut self) -> Result<(), CallError>;
}

/// A head.
pub struct HeadInstance {
    origin: Origin,
    calls: Box<dyn HeadCalls>,
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
        let origin = handle.origin.clone();
        let calls: Box<dyn HeadCalls> = match &handle.sort {
            Sort::Rust(table) => Box::new(RustHead::create(*table, &origin, config, context)?),
            Sort::C(component) => Box::new(c::Head::create(component, &origin, config, context)?),
        };
        Ok(Self { origin, calls })
    }

    /// Its parameters and buffers: handles to its own tensors.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn parameters(&mut self) -> Result<Vec<Parameter>, CallError> {
        self.calls.parameters()
    }

    /// The metrics it wants.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn metrics(&mut self) -> Result<Vec<MetricRequest>, CallError> {
        self.calls.metrics()
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
        let output = self.calls.forward(features, batch, training)?;
        if let Some((name, scalar)) = output.scalars.iter().find(|(_, scalar)| scalar.numel() != 1) {
            let message =
                format!("its scalar `{name}` must be a single number, not of shape {:?}", scalar.size());
            return Err(CallError::new(&self.origin, Phase::Forward, message));
        }
        if output.loss.numel() != 1 {
            let message = format!("its loss must be a scalar, not of shape {:?}", output.loss.size());
            return Err(CallError::new(&self.origin, Phase::Forward, message));
        }
        if let Some(count) = output.averaged_over.as_ref().filter(|count| count.numel() != 1) {
            let message =
                format!("what its loss is averaged over must be a scalar, not of shape {:?}", count.size());
            return Err(CallError::new(&self.origin, Phase::Forward, message));
        }
        Ok(output)
    }

    /// What a saved system holds of it besides parameters and buffers; `None` for nothing.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn extra(&mut self) -> Result<Option<Value>, CallError> {
        self.calls.extra()
    }

    /// Hands it what [`Self::extra`] gave.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn load_extra(&mut self, extra: &Value) -> Result<(), CallError> {
        self.calls.load_extra(extra)
    }

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.calls.close()
    }
}

/// A head in Rust, by its table.
struct RustHead {
    owned: Owned,
    table: HeadTableRef,
}

impl RustHead {
    fn create(
        component: ComponentTableRef,
        origin: &Origin,
        config: &Value,
        context: &HeadContext,
    ) -> Result<Self, CallError> {
        let table = component
            .head()
            .into_option()
            .ok_or_else(|| CallError::another_kind(origin, component.kind().as_str(), "head"))?;
        let (config, context) = (config.to_string(), json(origin, Phase::Create, context)?);
        let instance = guarded(origin, Phase::Create, || {
            (table.create())(RStr::from_str(&config), RStr::from_str(&context))
        })?;
        let owned = Owned { origin: origin.clone(), instance: Some(instance), destroy: table.destroy() };
        Ok(Self { owned, table })
    }
}

impl HeadCalls for RustHead {
    fn parameters(&mut self) -> Result<Vec<Parameter>, CallError> {
        let table = self.table;
        let parameters = self.owned.call(Phase::Parameters, |instance| (table.parameters())(instance))?;
        Ok(take_over_parameters(parameters))
    }

    fn metrics(&mut self) -> Result<Vec<MetricRequest>, CallError> {
        let table = self.table;
        let text = self.owned.call(Phase::Describe, |instance| (table.metrics())(instance))?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.owned.origin, Phase::Describe, error.to_string()))
    }

    fn forward(
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
        let output = self.owned.call(Phase::Forward, |instance| {
            (table.forward())(
                instance,
                RSlice::from_slice(&borrowed),
                RSlice::from_slice(&groups),
                AbiPass::new(training, false),
            )
        })?;
        Ok(output.into_parts().0)
    }

    fn extra(&mut self) -> Result<Option<Value>, CallError> {
        let table = self.table;
        let text = self.owned.call(Phase::SaveState, |instance| (table.extra())(instance))?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.owned.origin, Phase::SaveState, error.to_string()))
    }

    fn load_extra(&mut self, extra: &Value) -> Result<(), CallError> {
        let table = self.table;
        let text = extra.to_string();
        self.owned.call(Phase::LoadState, |instance| (table.load_extra())(instance, RStr::from_str(&text)))
    }

    fn close(&mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}
