//! An optimizer in plain C, and its schedule, as the host calls them.

use std::mem::size_of;

use serde_json::Value;
use tch::{Tensor, no_grad};

use super::call::{Held, call, present};
use super::lend;
use super::open::{Component, Table};
use super::options::Checked;
use crate::abi::c::values::{KIWI_WARMUP_NONE, KIWI_WARMUP_SHARE, KIWI_WARMUP_STEPS};
use crate::abi::c::{KiwiOptimizerTable, KiwiScheduleContext, KiwiScheduleKeys};
use crate::abi::host::call::{CallError, Origin, Phase};
use crate::abi::host::instances::OptimizerCalls;
use crate::abi::host::schedule::ScheduleCalls;
use crate::{ConfigReport, NamedTensors, ParameterGroup, ScheduleContext, ScheduleKeys, Warmup};

impl Component {
    fn optimizer(&self, origin: &Origin) -> Result<KiwiOptimizerTable, CallError> {
        match &self.table {
            Table::Optimizer(table) => Ok(*table),
            _ => Err(CallError::another_kind(origin, self.kind, "optimizer")),
        }
    }

    /// Whether this is a class of optimizer that has a learning-rate schedule of its own.
    pub(in crate::abi::host) fn has_schedule(&self) -> bool {
        matches!(&self.table, Table::Optimizer(table) if table.has_schedule)
    }

    /// Whether this is a class of optimizer that can use sparse gradients only.
    pub(in crate::abi::host) fn sparse_only(&self) -> bool {
        matches!(&self.table, Table::Optimizer(table) if table.sparse_only)
    }

    /// Checks the keys of its schedule.
    pub(in crate::abi::host) fn check_schedule(
        &self,
        origin: &Origin,
        config: &Value,
        keys: &ScheduleKeys,
    ) -> Result<ConfigReport, CallError> {
        let Some(check) = self.optimizer(origin)?.check_schedule else { return Ok(ConfigReport::default()) };
        let config = Checked::new(config);
        let (warmup, warmup_steps, warmup_share) = match keys.warmup_steps {
            None => (KIWI_WARMUP_NONE, 0, 0.0),
            Some(Warmup::Steps(steps)) => (KIWI_WARMUP_STEPS, steps, 0.0),
            Some(Warmup::Share(share)) => (KIWI_WARMUP_SHARE, 0, share),
        };
        let keys = KiwiScheduleKeys {
            size: size_of::<KiwiScheduleKeys>(),
            warmup,
            warmup_steps,
            warmup_share,
            has_training_steps: keys.training_steps.is_some(),
            training_steps: keys.training_steps.unwrap_or_default(),
        };
        let results = call(origin, Phase::Schedule, |call| {
            // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
            unsafe { check(call, config.pointer(), &raw const keys) }
        })?;
        Ok(results.report)
    }
}

/// The instance.
pub(in crate::abi::host) struct Optimizer {
    held: Held,
    table: KiwiOptimizerTable,
}

impl Optimizer {
    /// Creates it over these groups of parameters.
    pub(in crate::abi::host) fn create(
        component: &Component,
        origin: &Origin,
        config: &Value,
        groups: &[ParameterGroup],
    ) -> Result<Self, CallError> {
        let table = component.optimizer(origin)?;
        let create = present(table.create, "create", origin, Phase::Create)?;
        let config = Checked::new(config);
        let lent =
            lend::Groups::new(groups.iter().map(|group| (group.name.as_str(), group.parameters.as_slice())));
        let groups = lent.as_slice();
        let (held, _) = Held::create(origin, Phase::Create, table.destroy, |call, instance| {
            // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
            unsafe { create(call, config.pointer(), groups.as_ptr(), groups.len(), instance) }
        })?;
        Ok(Self { held, table })
    }
}

impl OptimizerCalls for Optimizer {
    fn step(&mut self, learning_rates: &[f64]) -> Result<(), CallError> {
        let step = present(self.table.step, "step", &self.held.origin, Phase::Step)?;
        self.held.call(Phase::Step, |call, instance| {
            // SAFETY: the instance is one that the same table made, and what goes in lives until it returns.
            no_grad(|| unsafe { step(call, instance, learning_rates.as_ptr(), learning_rates.len()) })
        })?;
        Ok(())
    }

    fn state(&mut self) -> Result<NamedTensors, CallError> {
        let state = present(self.table.state, "state", &self.held.origin, Phase::SaveState)?;
        // SAFETY: the instance is one that the same table made.
        let results = self.held.call(Phase::SaveState, |call, instance| unsafe { state(call, instance) })?;
        Ok(results.tensors.unwrap_or_default())
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), CallError> {
        let load_state = present(self.table.load_state, "load_state", &self.held.origin, Phase::LoadState)?;
        let tensors = lend::tensors(state);
        self.held.call(Phase::LoadState, |call, instance| {
            // SAFETY: the instance is one that the same table made, and what goes in lives until it returns.
            no_grad(|| unsafe { load_state(call, instance, tensors.as_ptr(), tensors.len()) })
        })?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), CallError> {
        self.held.free()
    }
}

/// A schedule.
pub(in crate::abi::host) struct Schedule {
    held: Held,
    table: KiwiOptimizerTable,
}

impl Schedule {
    /// Makes it, with its description.
    pub(in crate::abi::host) fn create(
        component: &Component,
        origin: &Origin,
        config: &Value,
        context: &ScheduleContext,
    ) -> Result<(Self, String), CallError> {
        let table = component.optimizer(origin)?;
        let Some(schedule) = table.schedule else {
            let message = "this class has no learning-rate schedule of its own";
            return Err(CallError::new(origin, Phase::Schedule, message));
        };
        let config = Checked::new(config);
        let context = KiwiScheduleContext {
            size: size_of::<KiwiScheduleContext>(),
            has_warmup: context.warmup_steps.is_some(),
            warmup_steps: context.warmup_steps.unwrap_or_default(),
            training_steps: context.training_steps,
            hidden_size: context.hidden_size,
        };
        let (held, results) =
            Held::create(origin, Phase::Schedule, table.destroy_schedule, |call, instance| {
                // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
                unsafe { schedule(call, config.pointer(), &raw const context, instance) }
            })?;
        Ok((Self { held, table }, results.text.unwrap_or_default()))
    }
}

impl ScheduleCalls for Schedule {
    fn factor(&mut self, step: u64) -> Result<f64, CallError> {
        let factor =
            present(self.table.schedule_factor, "schedule_factor", &self.held.origin, Phase::Schedule)?;
        let results = self.held.call(Phase::Schedule, |call, instance| {
            // SAFETY: the instance is one that the same table made.
            unsafe { factor(call, instance, step) }
        })?;
        results.number.ok_or_else(|| {
            let message = "it gave no factor: expected one by `put_number`";
            CallError::new(&self.held.origin, Phase::Schedule, message)
        })
    }
}
