//! Instances of components, as the host calls them.

use abi_stable::std_types::{RSlice, RStr};
use serde::Serialize;
use serde_json::Value;
use tch::Tensor;

use super::call::{CallError, Origin, Phase, guarded};
use super::plugin::ComponentHandle;
use crate::abi::component::encoder::{EncoderDescription, EncoderTableRef};
use crate::abi::component::head::HeadTableRef;
use crate::abi::component::metric::MetricTableRef;
use crate::abi::component::optimizer::OptimizerTableRef;
use crate::abi::component::{AbiPass, BorrowedFeature, feature, feature_parts, take_over_parameters};
use crate::abi::guard::{AbiResult, Instance};
use crate::abi::tensor::{BorrowedGroup, Lent, lend, take_over};
use crate::{
    Batch, EncoderContext, Features, HeadContext, HeadOutput, MetricRequest, NamedTensors, Ordering, Output,
    Parameter, ParameterGroup,
};

/// What owns an instance: frees it when dropped.
pub(super) struct Owned {
    pub(super) origin: Origin,
    pub(super) instance: Option<Instance>,
    pub(super) destroy: extern "C" fn(Instance) -> AbiResult<()>,
}

impl Owned {
    pub(super) fn call<T>(
        &mut self,
        phase: Phase,
        f: impl FnOnce(&mut Instance) -> AbiResult<T>,
    ) -> Result<T, CallError> {
        let Self { origin, instance, .. } = self;
        match instance {
            Some(instance) => guarded(origin, phase, || f(instance)),
            None => Err(CallError::new(origin, phase, "it was freed")),
        }
    }

    fn free(&mut self) -> Result<(), CallError> {
        match self.instance.take() {
            Some(instance) => guarded(&self.origin, Phase::Drop, || (self.destroy)(instance)),
            None => Ok(()),
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // A component that fails while it is freed can do no harm any more; `close` tells whoever wants to know.
        let _ = self.free();
    }
}

pub(super) fn json(origin: &Origin, phase: Phase, value: &impl Serialize) -> Result<String, CallError> {
    serde_json::to_string(value).map_err(|error| CallError::new(origin, phase, error.to_string()))
}

fn fields(batch: &Batch) -> Lent<'_> {
    Lent::new(batch.fields.iter().map(|field| (field.name.as_str(), field.tensors())))
}

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

    /// The state that it carries in training; `None` where it cannot be saved.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn carried_state(&mut self) -> Result<Option<NamedTensors>, CallError> {
        let Some(carried_state) = self.table.carried_state() else { return Ok(None) };
        let state = self.owned.call(Phase::SaveState, |instance| carried_state(instance))?;
        Ok(state.into_option().map(take_over))
    }

    /// Hands it what [`Self::carried_state`] gave.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn load_carried_state(&mut self, state: &NamedTensors) -> Result<(), CallError> {
        let Some(load_carried_state) = self.table.load_carried_state() else {
            let message =
                "it was saved with carried state, and this version of the plugin cannot take it over";
            return Err(CallError::new(&self.owned.origin, Phase::LoadState, message));
        };
        let lent = lend(state);
        self.owned.call(Phase::LoadState, |instance| load_carried_state(instance, RSlice::from_slice(&lent)))
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
        if let Some(count) = output.averaged_over.as_ref().filter(|count| count.numel() != 1) {
            let message =
                format!("what its loss is averaged over must be a scalar, not of shape {:?}", count.size());
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

/// An optimizer.
pub struct OptimizerInstance {
    owned: Owned,
    table: OptimizerTableRef,
}

impl OptimizerInstance {
    /// Creates it over these groups of parameters.
    ///
    /// # Errors
    /// When the component cannot be built.
    pub fn create(
        handle: &ComponentHandle,
        config: &Value,
        groups: &[ParameterGroup],
    ) -> Result<Self, CallError> {
        let table =
            handle.table.optimizer().into_option().ok_or_else(|| handle.missing_table("optimizer"))?;
        let origin = handle.origin.clone();
        let config = config.to_string();
        let lent = Lent::new(groups.iter().map(|group| (group.name.as_str(), group.parameters.as_slice())));
        let groups: Vec<BorrowedGroup<'_>> = lent.groups();
        let instance = guarded(&origin, Phase::Create, || {
            (table.create())(RStr::from_str(&config), RSlice::from_slice(&groups))
        })?;
        Ok(Self { owned: Owned { origin, instance: Some(instance), destroy: table.destroy() }, table })
    }

    /// One step, with one learning rate a group.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn step(&mut self, learning_rates: &[f64]) -> Result<(), CallError> {
        let table = self.table;
        self.owned.call(Phase::Step, |instance| (table.step())(instance, RSlice::from_slice(learning_rates)))
    }

    /// Everything the next step depends on, besides parameters and gradients.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn state(&mut self) -> Result<NamedTensors, CallError> {
        let table = self.table;
        Ok(take_over(self.owned.call(Phase::SaveState, |instance| (table.state())(instance))?))
    }

    /// Takes over what [`OptimizerInstance::state`] gave.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), CallError> {
        let lent = lend(state);
        let table = self.table;
        self.owned
            .call(Phase::LoadState, |instance| (table.load_state())(instance, RSlice::from_slice(&lent)))
    }

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}

/// A metric.
pub struct MetricInstance {
    owned: Owned,
    table: MetricTableRef,
}

impl MetricInstance {
    /// Creates it.
    ///
    /// # Errors
    /// When the component cannot be built.
    pub fn create(handle: &ComponentHandle, config: &Value) -> Result<Self, CallError> {
        let table = handle.table.metric().into_option().ok_or_else(|| handle.missing_table("metric"))?;
        let origin = handle.origin.clone();
        let config = config.to_string();
        let instance = guarded(&origin, Phase::Create, || (table.create())(RStr::from_str(&config)))?;
        Ok(Self { owned: Owned { origin, instance: Some(instance), destroy: table.destroy() }, table })
    }

    /// Which values are better.
    #[must_use]
    pub fn ordering(&self) -> Ordering {
        if self.table.ordering() == 0 { Ordering::Min } else { Ordering::Max }
    }

    /// The error that what it contributed could not be used.
    #[must_use]
    pub fn failed(&self, message: &str) -> CallError {
        CallError::new(&self.owned.origin, Phase::Forward, crate::error::without_stack(message))
    }

    /// What one batch adds, `[K]` float64.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn contribution(&mut self, output: &Output) -> Result<Tensor, CallError> {
        let lent = lend(output.tensors());
        let group = BorrowedGroup { name: RStr::from_str(&output.name), tensors: RSlice::from_slice(&lent) };
        let table = self.table;
        let contribution =
            self.owned.call(Phase::Forward, |instance| (table.contribution())(instance, group))?;
        Ok(contribution.into_tensor())
    }

    /// The figure, from the sum of all contributions.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn value(&mut self, total: &[f64]) -> Result<Option<f64>, CallError> {
        let table = self.table;
        let value =
            self.owned.call(Phase::Value, |instance| (table.value())(instance, RSlice::from_slice(total)))?;
        Ok(value.into())
    }

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}
