//! A head, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;
use tch::Device;

use super::{Owned, fields, json, known_device, wrong};
use crate::abi::component::head::HeadTableRef;
use crate::abi::component::{AbiPass, BorrowedFeature, ComponentTableRef, feature_parts};
use crate::abi::host::c;
use crate::abi::host::call::{CallError, Origin, Phase, guarded};
use crate::abi::host::ownership::LentHandles;
use crate::abi::host::plugin::{ComponentHandle, Sort};
use crate::abi::host::validate;
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
    /// The outputs that it asked for metrics of.
    asked: Vec<String>,
    device: Device,
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
        let device = known_device(&origin, context.device())?;
        let calls: Box<dyn HeadCalls> = match &handle.sort {
            Sort::Rust(table) => Box::new(RustHead::create(*table, &origin, config, context)?),
            Sort::C(component) => Box::new(c::Head::create(component, &origin, config, context)?),
        };
        Ok(Self { origin, calls, asked: Vec::new(), device })
    }

    /// Its parameters and buffers: handles to its own tensors.
    ///
    /// # Errors
    /// When the plugin fails, or one of them cannot be used.
    pub fn parameters(&mut self) -> Result<Vec<Parameter>, CallError> {
        let parameters = self.calls.parameters()?;
        validate::parameters(&parameters, self.device).map_err(wrong(&self.origin, Phase::Parameters))?;
        Ok(parameters)
    }

    /// The metrics it wants.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn metrics(&mut self) -> Result<Vec<MetricRequest>, CallError> {
        let requests = self.calls.metrics()?;
        self.asked = requests.iter().map(|request| request.output.clone()).collect();
        self.asked.dedup();
        Ok(requests)
    }

    /// Loss and figures of a batch.
    ///
    /// # Errors
    /// When the plugin fails, or gives what cannot be used.
    pub fn forward(
        &mut self,
        features: &Features,
        batch: &Batch,
        training: bool,
    ) -> Result<HeadOutput, CallError> {
        let lent = validate::Lent::of(batch);
        let output = self.calls.forward(features, batch, training)?;
        lent.is_as_it_was(batch)
            .and_then(|()| validate::head_output(&output, &self.asked, self.device))
            .map_err(wrong(&self.origin, Phase::Forward))?;
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
        self.owned.parameters(parameters)
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
        let lent = LentHandles::of(&groups).and(&borrowed);
        Ok(lent.own(&self.owned.origin, Phase::Forward, output)?.into_parts().0)
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
