//! What a class of optimizer says of itself, and its learning-rate schedule, as the host calls it.

use abi_stable::std_types::RStr;
use serde_json::Value;

use super::c;
use super::call::{CallError, Origin, Phase, guarded};
use super::instances::{Owned, json};
use super::plugin::{ComponentHandle, Sort};
use crate::abi::component::ComponentTableRef;
use crate::abi::component::optimizer::OptimizerTableRef;
use crate::{ConfigReport, ScheduleContext, ScheduleKeys};

impl ComponentHandle {
    /// Whether this is a class of optimizer that has a learning-rate schedule of its own.
    #[must_use]
    pub fn has_schedule(&self) -> bool {
        match &self.sort {
            Sort::Rust(table) => table.optimizer().into_option().is_some_and(|table| table.has_schedule()),
            Sort::C(component) => component.has_schedule(),
        }
    }

    /// Whether this is a class of optimizer that can use sparse gradients only.
    #[must_use]
    pub fn sparse_only(&self) -> bool {
        match &self.sort {
            Sort::Rust(table) => table.optimizer().into_option().is_some_and(|table| table.sparse_only()),
            Sort::C(component) => component.sparse_only(),
        }
    }

    /// Checks, for a config that is sound, the keys that the schedule is made of; paths in the report are relative to the
    /// optimizer's section.
    ///
    /// # Errors
    /// When the plugin fails; what is wrong with the keys is in the report.
    pub fn check_schedule(&self, config: &Value, keys: &ScheduleKeys) -> Result<ConfigReport, CallError> {
        let table = match &self.sort {
            Sort::Rust(table) => optimizer_table(*table, &self.origin)?,
            Sort::C(component) => return component.check_schedule(&self.origin, config, keys),
        };
        let (config, keys) = (config.to_string(), json(&self.origin, Phase::Schedule, keys)?);
        let text = guarded(&self.origin, Phase::Schedule, || {
            (table.check_schedule())(RStr::from_str(&config), RStr::from_str(&keys))
        })?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.origin, Phase::Schedule, format!("not a report: {error}")))
    }
}

fn optimizer_table(component: ComponentTableRef, origin: &Origin) -> Result<OptimizerTableRef, CallError> {
    component
        .optimizer()
        .into_option()
        .ok_or_else(|| CallError::another_kind(origin, component.kind().as_str(), "optimizer"))
}

/// What a schedule is asked, whatever it is written in.
pub(super) trait ScheduleCalls: Send {
    fn factor(&mut self, step: u64) -> Result<f64, CallError>;
}

/// A schedule.
pub struct ScheduleInstance {
    origin: Origin,
    calls: Box<dyn ScheduleCalls>,
    description: String,
}

impl ScheduleInstance {
    /// Makes the schedule of a class that has one.
    ///
    /// # Errors
    /// When there is none for a run of this length.
    pub fn create(
        handle: &ComponentHandle,
        config: &Value,
        context: &ScheduleContext,
    ) -> Result<Self, CallError> {
        let origin = handle.origin.clone();
        let (calls, description): (Box<dyn ScheduleCalls>, String) = match &handle.sort {
            Sort::Rust(table) => {
                let (schedule, description) = RustSchedule::create(*table, &origin, config, context)?;
                (Box::new(schedule), description)
            }
            Sort::C(component) => {
                let (schedule, description) = c::Schedule::create(component, &origin, config, context)?;
                (Box::new(schedule), description)
            }
        };
        Ok(Self { origin, calls, description })
    }

    /// What happens when, in steps.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What the learning rates are multiplied by in this step, counted from 0.
    ///
    /// # Errors
    /// When the plugin fails, or gives what is no finite number of at least 0.
    pub fn factor(&mut self, step: u64) -> Result<f64, CallError> {
        let factor = self.calls.factor(step)?;
        if factor.is_finite() && factor >= 0.0 {
            return Ok(factor);
        }
        let message =
            format!("its factor of step {step} is {factor}, expected a finite number of at least 0");
        Err(CallError::new(&self.origin, Phase::Schedule, message))
    }
}

/// A schedule in Rust, by the table of its optimizer.
struct RustSchedule {
    owned: Owned,
    table: OptimizerTableRef,
}

impl RustSchedule {
    fn create(
        component: ComponentTableRef,
        origin: &Origin,
        config: &Value,
        context: &ScheduleContext,
    ) -> Result<(Self, String), CallError> {
        let table = optimizer_table(component, origin)?;
        let (config, context) = (config.to_string(), json(origin, Phase::Schedule, context)?);
        let made = guarded(origin, Phase::Schedule, || {
            (table.schedule())(RStr::from_str(&config), RStr::from_str(&context))
        })?;
        let (origin, instance) = (origin.clone(), Some(made.instance));
        let owned = Owned { origin, instance, destroy: table.destroy_schedule() };
        Ok((Self { owned, table }, made.description.into()))
    }
}

impl ScheduleCalls for RustSchedule {
    fn factor(&mut self, step: u64) -> Result<f64, CallError> {
        let table = self.table;
        self.owned.call(Phase::Schedule, |instance| (table.schedule_factor())(instance, step))
    }
}
