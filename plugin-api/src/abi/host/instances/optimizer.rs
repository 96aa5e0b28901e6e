//! An optimizer, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;
use tch::Tensor;

use super::Owned;
use crate::abi::component::optimizer::OptimizerTableRef;
use crate::abi::host::call::{CallError, Phase, guarded};
use crate::abi::host::plugin::ComponentHandle;
use crate::abi::tensor::{BorrowedGroup, Lent, lend, take_over};
use crate::{NamedTensors, ParameterGroup};

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
