//! A metric, as the host calls it.

use abi_stable::std_types::{RSlice, RStr};
use serde_json::Value;
use tch::Tensor;

use super::{Owned, wrong};
use crate::abi::component::ComponentTableRef;
use crate::abi::component::metric::MetricTableRef;
use crate::abi::host::c;
use crate::abi::host::call::{CallError, Origin, Phase, guarded};
use crate::abi::host::ownership::LentHandles;
use crate::abi::host::plugin::{ComponentHandle, Sort};
use crate::abi::host::validate;
use crate::abi::tensor::{BorrowedGroup, lend};
use crate::{Ordering, Output};

/// What a metric is asked, whatever it is written in.
pub(in crate::abi::host) trait MetricCalls: Send {
    fn ordering(&self) -> Ordering;
    fn contribution(&mut self, output: &Output) -> Result<Tensor, CallError>;
    fn value(&mut self, total: &[f64]) -> Result<Option<f64>, CallError>;
    fn close(&mut self) -> Result<(), CallError>;
}

/// A metric.
pub struct MetricInstance {
    origin: Origin,
    calls: Box<dyn MetricCalls>,
    /// How many numbers it added for the batch before.
    length: Option<i64>,
}

impl MetricInstance {
    /// Creates it.
    ///
    /// # Errors
    /// When the component cannot be built.
    pub fn create(handle: &ComponentHandle, config: &Value) -> Result<Self, CallError> {
        let origin = handle.origin.clone();
        let calls: Box<dyn MetricCalls> = match &handle.sort {
            Sort::Rust(table) => Box::new(RustMetric::create(*table, &origin, config)?),
            Sort::C(component) => Box::new(c::Metric::create(component, &origin, config)?),
        };
        Ok(Self { origin, calls, length: None })
    }

    /// Which values are better.
    #[must_use]
    pub fn ordering(&self) -> Ordering {
        self.calls.ordering()
    }

    /// The error that what it contributed could not be used.
    #[must_use]
    pub fn failed(&self, message: &str) -> CallError {
        CallError::new(&self.origin, Phase::Forward, crate::error::without_stack(message))
    }

    /// What one batch adds, `[K]` float64.
    ///
    /// # Errors
    /// When the plugin fails, or gives what cannot be added.
    pub fn contribution(&mut self, output: &Output) -> Result<Tensor, CallError> {
        let contribution = self.calls.contribution(output)?;
        let length = validate::contribution(&contribution, self.length, output);
        self.length = Some(length.map_err(wrong(&self.origin, Phase::Forward))?);
        Ok(contribution)
    }

    /// The figure, from the sum of all contributions.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn value(&mut self, total: &[f64]) -> Result<Option<f64>, CallError> {
        self.calls.value(total)
    }

    /// Frees it and says whether that went well.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn close(mut self) -> Result<(), CallError> {
        self.calls.close()
    }
}

/// A metric in Rust, by its table.
struct RustMetric {
    owned: Owned,
    table: MetricTableRef,
}

impl RustMetric {
    fn create(component: ComponentTableRef, origin: &Origin, config: &Value) -> Result<Self, CallError> {
        let table = component
            .metric()
            .into_option()
            .ok_or_else(|| CallError::another_kind(origin, component.kind().as_str(), "metric"))?;
        let config = config.to_string();
        let instance = guarded(origin, Phase::Create, || (table.create())(RStr::from_str(&config)))?;
        let owned = Owned { origin: origin.clone(), instance: Some(instance), destroy: table.destroy() };
        Ok(Self { owned, table })
    }
}

impl MetricCalls for RustMetric {
    fn ordering(&self) -> Ordering {
        if self.table.ordering() == 0 { Ordering::Min } else { Ordering::Max }
    }

    fn contribution(&mut self, output: &Output) -> Result<Tensor, CallError> {
        let lent = lend(output.tensors());
        let group = BorrowedGroup { name: RStr::from_str(&output.name), tensors: RSlice::from_slice(&lent) };
        let table = self.table;
        let contribution =
            self.owned.call(Phase::Forward, |instance| (table.contribution())(instance, group))?;
        let lent = LentHandles::of(&[group]);
        Ok(lent.own(&self.owned.origin, Phase::Forward, contribution)?.into_tensor())
    }

    fn value(&mut self, total: &[f64]) -> Result<Option<f64>, CallError> {
        let table = self.table;
        let value =
            self.owned.call(Phase::Value, |instance| (table.value())(instance, RSlice::from_slice(total)))?;
        Ok(value.into())
    }

    fn close(&mut self) -> Result<(), CallError> {
        self.owned.free()
    }
}
