//! A metric in plain C, as the host calls it.

use serde_json::Value;
use tch::{Tensor, no_grad};

use super::call::{Held, present};
use super::lend;
use super::open::{Component, Table};
use super::options::Checked;
use crate::abi::c::KiwiMetricTable;
use crate::abi::c::tables::KIWI_ORDERING_MIN;
use crate::abi::host::call::{CallError, Origin, Phase};
use crate::abi::host::instances::MetricCalls;
use crate::batch::SUMS;
use crate::{Ordering, Output};

/// The instance.
pub(in crate::abi::host) struct Metric {
    held: Held,
    table: KiwiMetricTable,
}

impl Metric {
    /// Creates it.
    pub(in crate::abi::host) fn create(
        component: &Component,
        origin: &Origin,
        config: &Value,
    ) -> Result<Self, CallError> {
        let Table::Metric(table) = &component.table else {
            return Err(CallError::another_kind(origin, component.kind, "metric"));
        };
        let create = present(table.create, "create", origin, Phase::Create)?;
        let config = Checked::new(config);
        let (held, _) = Held::create(origin, Phase::Create, table.destroy, |call, instance| {
            // SAFETY: the function is one of the component's table, and what it is given lives until it returns.
            unsafe { create(call, config.pointer(), instance) }
        })?;
        Ok(Self { held, table: *table })
    }
}

impl MetricCalls for Metric {
    fn ordering(&self) -> Ordering {
        if self.table.ordering == KIWI_ORDERING_MIN { Ordering::Min } else { Ordering::Max }
    }

    fn contribution(&mut self, output: &Output) -> Result<Tensor, CallError> {
        let contribution =
            present(self.table.contribution, "contribution", &self.held.origin, Phase::Forward)?;
        let tensors = lend::tensors(output.tensors());
        let group = lend::group(&output.name, &tensors);
        let results = self.held.call(Phase::Forward, |call, instance| {
            // SAFETY: the instance is one that the same table made, and what goes in lives until it returns.
            no_grad(|| unsafe { contribution(call, instance, &raw const group) })
        })?;
        let wrong = |message| CallError::new(&self.held.origin, Phase::Forward, message);
        let given = results
            .contribution
            .ok_or_else(|| wrong("it gave no contribution: expected one by `put_contribution`".to_owned()))?;
        if given.dim() != 1 || given.kind() != SUMS {
            return Err(wrong(format!(
                "a contribution must be a float64 tensor of one dimension, not {:?} of shape {:?}",
                given.kind(),
                given.size()
            )));
        }
        Ok(given)
    }

    fn value(&mut self, total: &[f64]) -> Result<Option<f64>, CallError> {
        let value = present(self.table.value, "value", &self.held.origin, Phase::Value)?;
        let results = self.held.call(Phase::Value, |call, instance| {
            // SAFETY: the instance is one that the same table made, and what goes in lives until it returns.
            unsafe { value(call, instance, total.as_ptr(), total.len()) }
        })?;
        Ok(results.number)
    }

    fn close(&mut self) -> Result<(), CallError> {
        self.held.free()
    }
}
