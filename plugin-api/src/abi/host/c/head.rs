//! A head in plain C, as the host calls it.

use std::mem::size_of;

use serde_json::Value;

use super::call::{Held, call, present};
use super::lend;
use super::open::{Component, Table};
use super::options::Checked;
use crate::abi::c::{KiwiHeadContext, KiwiHeadTable};
use crate::abi::host::call::{CallError, Origin, Phase};
use crate::abi::host::instances::HeadCalls;
use crate::{
    Batch, EncoderNeeds, Features, HeadContext, HeadNeeds, HeadOutput, MetricRequest, Output, Parameter,
};

impl Component {
    fn head(&self, origin: &Origin) -> Result<KiwiHeadTable, CallError> {
        match &self.table {
            Table::Head(table) => Ok(*table),
            _ => Err(CallError::another_kind(origin, self.kind, "head")),
        }
    }

    /// What a head of this config needs.
    pub(in crate::abi::host) fn head_needs(
        &self,
        origin: &Origin,
        config: &Value,
    ) -> Result<HeadNeeds, CallError> {
        let Some(needs) = self.head(origin)?.needs else { return Ok(HeadNeeds::default()) };
        let config = Checked::new(config);
        // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
        let results = call(origin, Phase::Needs, |call| unsafe { needs(call, config.pointer()) })?;
        let EncoderNeeds { fields, sparse_gradients, .. } = results.needs;
        Ok(HeadNeeds { fields, features: results.needed_features, sparse_gradients })
    }
}

/// The instance.
pub(in crate::abi::host) struct Head {
    held: Held,
    table: KiwiHeadTable,
}

impl Head {
    /// Creates it.
    pub(in crate::abi::host) fn create(
        component: &Component,
        origin: &Origin,
        config: &Value,
        context: &HeadContext,
    ) -> Result<Self, CallError> {
        let table = component.head(origin)?;
        let create = present(table.create, "create", origin, Phase::Create)?;
        let config = Checked::new(config);
        let (features, vocabularies) =
            (lend::sizes(&context.feature_sizes), lend::sizes(&context.vocabulary_sizes));
        let context = KiwiHeadContext {
            size: size_of::<KiwiHeadContext>(),
            feature_sizes: features.as_ptr(),
            feature_count: features.len(),
            hidden_size: context.hidden_size,
            vocabulary_sizes: vocabularies.as_ptr(),
            vocabulary_count: vocabularies.len(),
            special: lend::special(context.special),
            device: lend::text(&context.device),
        };
        let (held, _) = Held::create(origin, Phase::Create, table.destroy, |call, instance| {
            // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
            unsafe { create(call, config.pointer(), &raw const context, instance) }
        })?;
        Ok(Self { held, table })
    }
}

impl HeadCalls for Head {
    fn parameters(&mut self) -> Result<Vec<Parameter>, CallError> {
        let parameters = present(self.table.parameters, "parameters", &self.held.origin, Phase::Parameters)?;
        // SAFETY: the instance is one that the same table made.
        let results =
            self.held.call(Phase::Parameters, |call, instance| unsafe { parameters(call, instance) })?;
        Ok(results.parameters)
    }

    fn metrics(&mut self) -> Result<Vec<MetricRequest>, CallError> {
        let metrics = present(self.table.metrics, "metrics", &self.held.origin, Phase::Describe)?;
        // SAFETY: the instance is one that the same table made.
        let results = self.held.call(Phase::Describe, |call, instance| unsafe { metrics(call, instance) })?;
        Ok(results.metrics)
    }

    fn forward(
        &mut self,
        features: &Features,
        batch: &Batch,
        training: bool,
    ) -> Result<HeadOutput, CallError> {
        let forward = present(self.table.forward, "forward", &self.held.origin, Phase::Forward)?;
        let (fields, features) = (lend::Groups::of(batch), lend::features(features));
        let (batch, pass) = (fields.batch(), lend::pass(training, false));
        let results = self.held.call(Phase::Forward, |call, instance| {
            // SAFETY: the instance is one that the same table made, and what goes in lives until it returns.
            unsafe {
                forward(call, instance, features.as_ptr(), features.len(), &raw const batch, &raw const pass)
            }
        })?;
        let loss = results.loss.ok_or_else(|| {
            let message = "it gave no loss: expected one by `put_loss`";
            CallError::new(&self.held.origin, Phase::Forward, message)
        })?;
        let outputs = results.outputs.into_iter().map(|(name, tensors)| Output::new(name, tensors)).collect();
        Ok(HeadOutput { loss, averaged_over: results.loss_count, outputs, scalars: results.scalars })
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

    fn close(&mut self) -> Result<(), CallError> {
        self.held.free()
    }
}
