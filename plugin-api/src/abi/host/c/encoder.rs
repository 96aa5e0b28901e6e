//! An encoder in plain C, as the host calls it.

use std::mem::size_of;

use serde_json::Value;

use super::call::{Held, call, present};
use super::lend;
use super::open::{Component, Table};
use super::options::Checked;
use crate::abi::c::{KiwiEncoderContext, KiwiEncoderTable, KiwiText};
use crate::abi::component::encoder::EncoderDescription;
use crate::abi::host::call::{CallError, Origin, Phase};
use crate::abi::host::instances::EncoderCalls;
use crate::{Batch, EncoderContext, EncoderNeeds, Features, NamedTensors, Parameter};

impl Component {
    fn encoder(&self, origin: &Origin) -> Result<KiwiEncoderTable, CallError> {
        match &self.table {
            Table::Encoder(table) => Ok(*table),
            _ => Err(CallError::another_kind(origin, self.kind, "encoder")),
        }
    }

    /// What an encoder of this config needs.
    pub(in crate::abi::host) fn encoder_needs(
        &self,
        origin: &Origin,
        config: &Value,
    ) -> Result<EncoderNeeds, CallError> {
        let Some(needs) = self.encoder(origin)?.needs else { return Ok(EncoderNeeds::default()) };
        let config = Checked::new(config);
        // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
        Ok(call(origin, Phase::Needs, |call| unsafe { needs(call, config.pointer()) })?.needs)
    }
}

/// The instance.
pub(in crate::abi::host) struct Encoder {
    held: Held,
    table: KiwiEncoderTable,
}

impl Encoder {
    /// Creates it.
    pub(in crate::abi::host) fn create(
        component: &Component,
        origin: &Origin,
        config: &Value,
        context: &EncoderContext,
    ) -> Result<Self, CallError> {
        let table = component.encoder(origin)?;
        let create = present(table.create, "create", origin, Phase::Create)?;
        let config = Checked::new(config);
        let vocabularies = lend::sizes(&context.vocabulary_sizes);
        let features: Vec<KiwiText> =
            context.features.iter().flatten().map(|feature| lend::text(feature)).collect();
        let context = KiwiEncoderContext {
            size: size_of::<KiwiEncoderContext>(),
            vocabulary_sizes: vocabularies.as_ptr(),
            vocabulary_count: vocabularies.len(),
            special: lend::special(context.special),
            device: lend::text(&context.device),
            wants_all_features: context.features.is_none(),
            features: features.as_ptr(),
            feature_count: features.len(),
        };
        let (held, _) = Held::create(origin, Phase::Create, table.destroy, |call, instance| {
            // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
            unsafe { create(call, config.pointer(), &raw const context, instance) }
        })?;
        Ok(Self { held, table })
    }
}

impl EncoderCalls for Encoder {
    fn describe(&mut self) -> Result<EncoderDescription, CallError> {
        let describe = present(self.table.describe, "describe", &self.held.origin, Phase::Describe)?;
        // SAFETY: the instance is one that the same table made.
        let results =
            self.held.call(Phase::Describe, |call, instance| unsafe { describe(call, instance) })?;
        let hidden_size = results.hidden_size.ok_or_else(|| {
            let message = "it gave no size of its hidden state: expected one by `put_hidden_size`";
            CallError::new(&self.held.origin, Phase::Describe, message)
        })?;
        Ok(EncoderDescription { hidden_size, feature_sizes: results.feature_sizes })
    }

    fn parameters(&mut self) -> Result<Vec<Parameter>, CallError> {
        let parameters = present(self.table.parameters, "parameters", &self.held.origin, Phase::Parameters)?;
        // SAFETY: the instance is one that the same table made.
        let results =
            self.held.call(Phase::Parameters, |call, instance| unsafe { parameters(call, instance) })?;
        Ok(results.parameters)
    }

    fn forward(
        &mut self,
        batch: &Batch,
        training: bool,
        traced: bool,
    ) -> Result<(Features, NamedTensors), CallError> {
        let forward = present(self.table.forward, "forward", &self.held.origin, Phase::Forward)?;
        let fields = lend::Groups::of(batch);
        let (batch, pass) = (fields.batch(), lend::pass(training, traced));
        let results = self.held.call(Phase::Forward, |call, instance| {
            // SAFETY: the instance is one that the same table made, and what goes in lives until it returns.
            unsafe { forward(call, instance, &raw const batch, &raw const pass) }
        })?;
        Ok((results.features, results.trace))
    }

    fn extra(&mut self) -> Result<Option<Value>, CallError> {
        let Some(extra) = self.table.extra else { return Ok(None) };
        // SAFETY: the instance is one that the same table made.
        let results = self.held.call(Phase::SaveState, |call, instance| unsafe { extra(call, instance) })?;
        super::call::saved(&self.held.origin, results.text)
    }

    fn load_extra(&mut self, extra: &Value) -> Result<(), CallError> {
        let Some(load_extra) = self.table.load_extra else {
            return Err(super::call::keeps_no_more(&self.held.origin));
        };
        let text = extra.to_string();
        let phase = Phase::LoadState;
        // SAFETY: the instance is one that the same table made, and the text lives until it returns.
        self.held.call(phase, |call, instance| unsafe { load_extra(call, instance, lend::text(&text)) })?;
        Ok(())
    }

    fn carried_state(&mut self) -> Result<Option<NamedTensors>, CallError> {
        let Some(carried_state) = self.table.carried_state else { return Ok(None) };
        let phase = Phase::SaveState;
        // SAFETY: the instance is one that the same table made.
        Ok(self.held.call(phase, |call, instance| unsafe { carried_state(call, instance) })?.tensors)
    }

    fn load_carried_state(&mut self, state: &NamedTensors) -> Result<(), CallError> {
        let Some(load_carried_state) = self.table.load_carried_state else {
            let message =
                "it was saved with carried state, and this version of the plugin cannot take it over";
            return Err(CallError::new(&self.held.origin, Phase::LoadState, message));
        };
        let tensors = lend::tensors(state);
        self.held.call(Phase::LoadState, |call, instance| {
            // SAFETY: the instance is one that the same table made, and what goes in lives until it returns.
            unsafe { load_carried_state(call, instance, tensors.as_ptr(), tensors.len()) }
        })?;
        Ok(())
    }

    fn reset_state(&mut self, training: bool) -> Result<(), CallError> {
        let Some(reset_state) = self.table.reset_state else { return Ok(()) };
        // SAFETY: the instance is one that the same table made.
        self.held.call(Phase::Forward, |call, instance| unsafe { reset_state(call, instance, training) })?;
        Ok(())
    }

    fn detach_state(&mut self) -> Result<(), CallError> {
        let Some(detach_state) = self.table.detach_state else { return Ok(()) };
        // SAFETY: the instance is one that the same table made.
        self.held.call(Phase::Forward, |call, instance| unsafe { detach_state(call, instance) })?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), CallError> {
        self.held.free()
    }
}
