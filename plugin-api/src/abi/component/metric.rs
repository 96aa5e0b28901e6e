//! The table of a metric.

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RStr};
use kiwi_plugin_metadata::kind;

use super::{ComponentTable, ComponentTableRef, checked_config};
use crate::abi::guard::{AbiResult, Instance, call, destroy, enter};
use crate::abi::tensor::{BorrowedGroup, OwnedTensor, Seen};
use crate::batch::SUMS;
use crate::{Error, Metric, Ordering, Output};

/// Functions of a metric. Fields are only ever appended.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = MetricTableRef)))]
#[sabi(missing_field(option))]
#[non_exhaustive]
pub struct MetricTable {
    /// 0 where smaller values are better, 1 where larger ones are.
    pub ordering: u32,
    /// Builds an instance from a config (JSON).
    pub create: extern "C" fn(RStr<'_>) -> AbiResult<Instance>,
    /// Frees an instance.
    pub destroy: extern "C" fn(Instance) -> AbiResult<()>,
    /// What one batch adds, `[K]` float64.
    pub contribution: extern "C" fn(&mut Instance, BorrowedGroup<'_>) -> AbiResult<OwnedTensor>,
    /// The figure, from the sum of all contributions.
    #[sabi(last_prefix_field)]
    pub value: extern "C" fn(&mut Instance, RSlice<'_, f64>) -> AbiResult<ROption<f64>>,
}

pub(crate) fn table<T: Metric>() -> ComponentTableRef {
    let functions: &'static WithMetadata<MetricTable> = Box::leak(Box::new(WithMetadata::new(MetricTable {
        ordering: match T::ORDERING {
            Ordering::Min => 0,
            Ordering::Max => 1,
        },
        create: create::<T>,
        destroy: free::<T>,
        contribution: contribution::<T>,
        value: value::<T>,
    })));
    let mut table = ComponentTable::new::<T>(kind::METRIC);
    table.metric = ROption::RSome(MetricTableRef(functions.static_as_prefix()));
    table.leak()
}

extern "C" fn create<T: Metric>(config: RStr<'_>) -> AbiResult<Instance> {
    enter(T::CLASS_NAME, || Ok(Instance::new(T::create(checked_config::<T>(config)?)?)))
}

extern "C" fn free<T: Metric>(instance: Instance) -> AbiResult<()> {
    destroy::<T>(T::CLASS_NAME, instance)
}

extern "C" fn contribution<T: Metric>(
    instance: &mut Instance,
    output: BorrowedGroup<'_>,
) -> AbiResult<OwnedTensor> {
    call(T::CLASS_NAME, instance, |metric: &mut T| {
        let output = Seen::new(&[output], |outputs| {
            let (name, tensors) = outputs.into_iter().next().unwrap_or_default();
            Output::new(name, tensors)
        });
        let contribution = tch::no_grad(|| metric.contribution(&output))?;
        if contribution.dim() != 1 || contribution.kind() != SUMS {
            return Err(Error::new(format!(
                "a contribution must be a float64 tensor of one dimension, not {:?} of shape {:?}",
                contribution.kind(),
                contribution.size()
            )));
        }
        Ok(OwnedTensor::new(contribution))
    })
}

extern "C" fn value<T: Metric>(instance: &mut Instance, total: RSlice<'_, f64>) -> AbiResult<ROption<f64>> {
    call(T::CLASS_NAME, instance, |metric: &mut T| Ok(metric.value(total.as_slice()).into()))
}
