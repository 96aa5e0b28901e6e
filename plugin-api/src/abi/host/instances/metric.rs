//! A metric, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;
use tch::Tensor;

use super::Owned;
use crate::abi::component::metric::MetricTableRef;
use crate::abi::host::call::{CallError, Phase, guarded};
use crate::abi::host::plugin::ComponentHandle;
use crate::abi::tensor::{BorrowedGroup, lend};
use crate::{Ordering, Output};

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
