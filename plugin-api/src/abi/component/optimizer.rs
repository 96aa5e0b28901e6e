//! The table of an optimizer.

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RStr, RVec};
use kiwi_plugin_metadata::kind;

use super::{ComponentTable, ComponentTableRef, checked_config};
use crate::abi::guard::{AbiResult, Instance, call, destroy, enter};
use crate::abi::tensor::{BorrowedGroup, NamedBorrowed, NamedOwned, clone_all, hand_over};
use crate::{Optimizer, ParameterGroup};

/// Functions of an optimizer. Fields are only ever appended.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = OptimizerTableRef)))]
#[sabi(missing_field(option))]
pub struct OptimizerTable {
    /// Builds an instance from a config (JSON) over groups of parameters.
    pub create: extern "C" fn(RStr<'_>, RSlice<'_, BorrowedGroup<'_>>) -> AbiResult<Instance>,
    /// Frees an instance.
    pub destroy: extern "C" fn(Instance) -> AbiResult<()>,
    /// One step, with one learning rate a group.
    pub step: extern "C" fn(&mut Instance, RSlice<'_, f64>) -> AbiResult<()>,
    /// Its state.
    pub state: extern "C" fn(&mut Instance) -> AbiResult<RVec<NamedOwned>>,
    /// Takes a state over.
    #[sabi(last_prefix_field)]
    pub load_state: extern "C" fn(&mut Instance, RSlice<'_, NamedBorrowed<'_>>) -> AbiResult<()>,
}

pub(crate) fn table<T: Optimizer>() -> ComponentTableRef {
    let functions: &'static WithMetadata<OptimizerTable> =
        Box::leak(Box::new(WithMetadata::new(OptimizerTable {
            create: create::<T>,
            destroy: free::<T>,
            step: step::<T>,
            state: state::<T>,
            load_state: load_state::<T>,
        })));
    let mut table = ComponentTable::new::<T>(kind::OPTIMIZER);
    table.optimizer = ROption::RSome(OptimizerTableRef(functions.static_as_prefix()));
    table.leak()
}

extern "C" fn create<T: Optimizer>(
    config: RStr<'_>,
    groups: RSlice<'_, BorrowedGroup<'_>>,
) -> AbiResult<Instance> {
    enter(T::CLASS_NAME, || {
        let groups = groups
            .iter()
            .map(|group| ParameterGroup {
                name: group.name.as_str().to_owned(),
                parameters: clone_all(group.tensors),
            })
            .collect();
        Ok(Instance::new(T::create(checked_config::<T>(config)?, groups)?))
    })
}

extern "C" fn free<T: Optimizer>(instance: Instance) -> AbiResult<()> {
    destroy::<T>(T::CLASS_NAME, instance)
}

extern "C" fn step<T: Optimizer>(instance: &mut Instance, learning_rates: RSlice<'_, f64>) -> AbiResult<()> {
    call(T::CLASS_NAME, instance, |optimizer: &mut T| {
        tch::no_grad(|| optimizer.step(learning_rates.as_slice()))
    })
}

extern "C" fn state<T: Optimizer>(instance: &mut Instance) -> AbiResult<RVec<NamedOwned>> {
    call(T::CLASS_NAME, instance, |optimizer: &mut T| Ok(hand_over(optimizer.state()?)))
}

extern "C" fn load_state<T: Optimizer>(
    instance: &mut Instance,
    state: RSlice<'_, NamedBorrowed<'_>>,
) -> AbiResult<()> {
    call(T::CLASS_NAME, instance, |optimizer: &mut T| tch::no_grad(|| optimizer.load_state(clone_all(state))))
}
