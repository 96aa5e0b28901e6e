//! An optimizer, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;
use tch::Tensor;

use super::{Owned, wrong};
use crate::abi::component::ComponentTableRef;
use crate::abi::component::optimizer::OptimizerTableRef;
use crate::abi::host::c;
use crate::abi::host::call::{CallError, Origin, Phase, guarded};
use crate::abi::host::plugin::{ComponentHandle, Sort};
use crate::abi::host::validate;
use crate::abi::tensor::{BorrowedGroup, Lent, lend};
use crate::{NamedTensors, ParameterGroup};

/// What an optimizer is asked, whatever it is written in.
pub(in crate::abi::host) trait OptimizerCalls: Send {
    fn step(&mut self, learning_rates: &[f64]) -> Result<(), CallError>;
    fn state(&mut self) -> Result<NamedTensors, CallError>;
    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), CallError>;
    fn close(&mut self) -> Result<(), CallError>;
}

/// An optimizer.
pub struct OptimizerInstance {
    origin: Origin,
    calls: Box<dyn OptimizerCalls>,
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
        let origin = &handle.origin;
        Ok(Self {
            origin: origin.clone(),
            calls: match &handle.sort {
                Sort::Rust(table) => Box::new(RustOptimizer::create(*table, origin, config, groups)?),
                Sort::C(component) => Box::new(c::Optimizer::create(component, origin, config, groups)?),
            },
        })
    }

    /// One step, with one learning rate a group.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn step(&mut self, learning_rates: &[f64]) -> Result<(), CallError> {
        self.calls.step(learning_rates)
    }

    /// Everything the next step depends on, besides parameters and gradients.
    ///
    /// # Errors
    /// When the plugin fails, or no file can hold its state.
    pub fn state(&mut self) -> Result<NamedTensors, CallError> {
        let state = self.calls.state()?;
        validate::state(&state).map_err(wrong(&self.origin, Phase::SaveState))?;
        Ok(state)
    }

    /// Takes over what [`OptimizerInstance::state`] gave.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), CallError> {
        self.calls.load_state(state)
    }

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.calls.close()
    }
}

/// An optimizer in Rust, by its table.
struct RustOptimizer {
    owned: Owned,
    table: OptimizerTableRef,
}

impl RustOptimizer {
    fn create(
        component: ComponentTableRef,
        origin: &Origin,
        config: &Value,
        groups: &[ParameterGroup],
    ) -> Result<Self, CallError> {
        let table = component
            .optimizer()
            .into_option()
            .ok_or_else(|| CallError::another_kind(origin, component.kind().as_str(), "optimizer"))?;
        let config = config.to_string();
        let lent = Lent::new(groups.iter().map(|group| (group.name.as_str(), group.parameters.as_slice())));
        let groups: Vec<BorrowedGroup<'_>> = lent.groups();
        let instance = guarded(origin, Phase::Create, || {
            (table.create())(RStr::from_str(&config), RSlice::from_slice(&groups))
        })?;
        let owned = Owned { origin: origin.clone(), instance: Some(instance), destroy: table.destroy() };
        Ok(Self { owned, table })
    }
}

impl OptimizerCalls for RustOptimizer {
    fn step(&mut self, learning_rates: &[f64]) -> Result<(), CallError> {
        let table = self.table;
        self.owned.call(Phase::Step, |instance| (table.step())(instance, RSlice::from_slice(learning_rates)))
    }

    fn state(&mut self) -> Result<NamedTensors, CallError> {
        let table = self.table;
        let state = self.owned.call(Phase::SaveState, |instance| (table.state())(instance))?;
        self.owned.state(state)
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), CallError> {
        let lent = lend(state);
        let table = self.table;
        self.owned
            .call(Phase::LoadState, |instance| (table.load_state())(instance, RSlice::from_slice(&lent)))
    }

    fn close(&mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}
