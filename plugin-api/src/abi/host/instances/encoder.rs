//! An encoder, as the host calls it.

use std::collections::BTreeSet;

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;
use tch::Device;

use super::{Owned, fields, json, known_device, wrong};
use crate::abi::component::encoder::{EncoderDescription, EncoderTableRef};
use crate::abi::component::{AbiPass, ComponentTableRef, feature};
use crate::abi::host::c;
use crate::abi::host::call::{CallError, Origin, Phase, guarded};
use crate::abi::host::ownership::LentHandles;
use crate::abi::host::plugin::{ComponentHandle, Sort};
use crate::abi::host::validate;
use crate::abi::tensor::{lend, take_over};
use crate::{Batch, EncoderContext, Features, NamedTensors, Parameter};

/// What an encoder is asked, whatever it is written in.
pub(in crate::abi::host) trait EncoderCalls: Send {
    fn describe(&mut self) -> Result<EncoderDescription, CallError>;
    fn parameters(&mut self) -> Result<Vec<Parameter>, CallError>;
    fn forward(
        &mut self,
        batch: &Batch,
        training: bool,
        traced: bool,
    ) -> Result<(Features, NamedTensors), CallError>;
    fn extra(&mut self) -> Result<Option<Value>, CallError>;
    fn load_extra(&mut self, extra: &Value) -> Result<(), CallError>;
    fn carried_state(&mut self) -> Result<Option<NamedTensors>, CallError>;
    fn load_carried_state(&mut self, state: &NamedTensors) -> Result<(), CallError>;
    fn reset_state(&mut self, training: bool) -> Result<(), CallError>;
    fn detach_state(&mut self) -> Result<(), CallError>;
    fn close(&mut self) -> Result<(), CallError>;
}

/// An encoder.
pub struct EncoderInstance {
    origin: Origin,
    calls: Box<dyn EncoderCalls>,
    description: EncoderDescription,
    /// The features that somebody reads, where that is known.
    wanted: Option<BTreeSet<String>>,
    device: Device,
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
        let origin = &handle.origin;
        let device = known_device(origin, context.device())?;
        let mut calls: Box<dyn EncoderCalls> = match &handle.sort {
            Sort::Rust(table) => Box::new(RustEncoder::create(*table, origin, config, context)?),
            Sort::C(component) => Box::new(c::Encoder::create(component, origin, config, context)?),
        };
        let description = calls.describe()?;
        let (origin, wanted) = (origin.clone(), context.features.clone());
        Ok(Self { origin, calls, description, wanted, device })
    }

    /// Its hidden size and the sizes of its features.
    #[must_use]
    pub fn description(&self) -> &EncoderDescription {
        &self.description
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

    /// The features of a batch.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn forward(&mut self, batch: &Batch, training: bool) -> Result<Features, CallError> {
        Ok(self.run(batch, training, false)?.0)
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
        self.run(batch, training, true)
    }

    fn run(
        &mut self,
        batch: &Batch,
        training: bool,
        traced: bool,
    ) -> Result<(Features, NamedTensors), CallError> {
        let lent = validate::Lent::of(batch);
        let (features, trace) = self.calls.forward(batch, training, traced)?;
        lent.is_as_it_was(batch)
            .and_then(|()| {
                validate::features(&features, &self.description, self.wanted.as_ref(), batch, self.device)
            })
            .map_err(wrong(&self.origin, Phase::Forward))?;
        Ok((features, trace))
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

    /// The state that it carries in training; `None` where it cannot be saved.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn carried_state(&mut self) -> Result<Option<NamedTensors>, CallError> {
        let state = self.calls.carried_state()?;
        if let Some(state) = &state {
            validate::state(state).map_err(wrong(&self.origin, Phase::SaveState))?;
        }
        Ok(state)
    }

    /// Hands it what [`Self::carried_state`] gave.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn load_carried_state(&mut self, state: &NamedTensors) -> Result<(), CallError> {
        self.calls.load_carried_state(state)
    }

    /// Has it forget the state that it carries in training, or in evaluation.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn reset_state(&mut self, training: bool) -> Result<(), CallError> {
        self.calls.reset_state(training)
    }

    /// Has it cut the state that it carries in training from how it came about.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn detach_state(&mut self) -> Result<(), CallError> {
        self.calls.detach_state()
    }

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.calls.close()
    }
}

/// An encoder in Rust, by its table.
struct RustEncoder {
    owned: Owned,
    table: EncoderTableRef,
}

impl RustEncoder {
    fn create(
        component: ComponentTableRef,
        origin: &Origin,
        config: &Value,
        context: &EncoderContext,
    ) -> Result<Self, CallError> {
        let table = component
            .encoder()
            .into_option()
            .ok_or_else(|| CallError::another_kind(origin, component.kind().as_str(), "encoder"))?;
        let (config, context) = (config.to_string(), json(origin, Phase::Create, context)?);
        let instance = guarded(origin, Phase::Create, || {
            (table.create())(RStr::from_str(&config), RStr::from_str(&context))
        })?;
        let owned = Owned { origin: origin.clone(), instance: Some(instance), destroy: table.destroy() };
        Ok(Self { owned, table })
    }
}

impl EncoderCalls for RustEncoder {
    fn describe(&mut self) -> Result<EncoderDescription, CallError> {
        let table = self.table;
        let text = self.owned.call(Phase::Describe, |instance| (table.describe())(instance))?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.owned.origin, Phase::Describe, error.to_string()))
    }

    fn parameters(&mut self) -> Result<Vec<Parameter>, CallError> {
        let table = self.table;
        let parameters = self.owned.call(Phase::Parameters, |instance| (table.parameters())(instance))?;
        self.owned.parameters(parameters)
    }

    fn forward(
        &mut self,
        batch: &Batch,
        training: bool,
        traced: bool,
    ) -> Result<(Features, NamedTensors), CallError> {
        let lent = fields(batch);
        let groups = lent.groups();
        let pass = AbiPass::new(training, traced);
        let table = self.table;
        let output = self.owned.call(Phase::Forward, |instance| {
            (table.forward())(instance, RSlice::from_slice(&groups), pass)
        })?;
        let output = LentHandles::of(&groups).own(&self.owned.origin, Phase::Forward, output)?;
        let mut features = Features::new();
        for entry in output.features {
            let tensors = entry.tensors.into_iter().map(|tensor| tensor.into_tensor()).collect();
            let feature = feature(entry.name.as_str(), entry.kind, tensors)
                .map_err(|error| CallError::new(&self.owned.origin, Phase::Forward, error.to_string()))?;
            features.push(entry.name.as_str(), feature);
        }
        Ok((features, take_over(output.trace)))
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

    fn carried_state(&mut self) -> Result<Option<NamedTensors>, CallError> {
        let Some(carried_state) = self.table.carried_state() else { return Ok(None) };
        let state = self.owned.call(Phase::SaveState, |instance| carried_state(instance))?;
        state.into_option().map(|state| self.owned.state(state)).transpose()
    }

    fn load_carried_state(&mut self, state: &NamedTensors) -> Result<(), CallError> {
        let Some(load_carried_state) = self.table.load_carried_state() else {
            let message =
                "it was saved with carried state, and this version of the plugin cannot take it over";
            return Err(CallError::new(&self.owned.origin, Phase::LoadState, message));
        };
        let lent = lend(state);
        self.owned.call(Phase::LoadState, |instance| load_carried_state(instance, RSlice::from_slice(&lent)))
    }

    fn reset_state(&mut self, training: bool) -> Result<(), CallError> {
        let table = self.table;
        self.owned.call(Phase::Forward, |instance| (table.reset_state())(instance, training))
    }

    fn detach_state(&mut self) -> Result<(), CallError> {
        let table = self.table;
        self.owned.call(Phase::Forward, |instance| (table.detach_state())(instance))
    }

    fn close(&mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}
