//! The table of an optimizer.

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
use kiwi_plugin_metadata::kind;

use super::{ComponentTable, ComponentTableRef, checked_config, from_json, to_json};
use crate::abi::guard::{AbiResult, Instance, call, destroy, enter};
use crate::abi::tensor::{BorrowedGroup, NamedBorrowed, NamedOwned, clone_all, hand_over};
use crate::{ConfigReport, Optimizer, ParameterGroup, Schedule};

/// Functions of an optimizer. Fields are only ever appended.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = OptimizerTableRef)))]
#[sabi(missing_field(option))]
#[non_exhaustive]
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
    pub load_state: extern "C" fn(&mut Instance, RSlice<'_, NamedBorrowed<'_>>) -> AbiResult<()>,
    /// Whether the class has a learning-rate schedule of its own.
    pub has_schedule: bool,
    /// Checks, for this config (JSON), the keys of its schedule (JSON of [`crate::ScheduleKeys`]) and returns a
    /// [`crate::ConfigReport`] (JSON).
    pub check_schedule: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<RString>,
    /// Builds the schedule for a config (JSON) and a [`crate::ScheduleContext`] (JSON).
    pub schedule: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<AbiSchedule>,
    /// What a schedule multiplies the learning rates by in a step, counted from 0.
    pub schedule_factor: extern "C" fn(&mut Instance, u64) -> AbiResult<f64>,
    /// Frees a schedule.
    pub destroy_schedule: extern "C" fn(Instance) -> AbiResult<()>,
    /// Whether the class can use sparse gradients only.
    #[sabi(last_prefix_field)]
    pub sparse_only: bool,
}

/// A schedule as it crosses.
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiSchedule {
    /// The schedule.
    pub instance: Instance,
    /// What happens when, in steps.
    pub description: RString,
}

pub(crate) fn table<T: Optimizer>() -> ComponentTableRef {
    let functions: &'static WithMetadata<OptimizerTable> =
        Box::leak(Box::new(WithMetadata::new(OptimizerTable {
            create: create::<T>,
            destroy: free::<T>,
            step: step::<T>,
            state: state::<T>,
            load_state: load_state::<T>,
            has_schedule: T::HAS_SCHEDULE,
            check_schedule: check_schedule::<T>,
            schedule: schedule::<T>,
            schedule_factor: schedule_factor::<T>,
            destroy_schedule: destroy_schedule::<T>,
            sparse_only: T::SPARSE_ONLY,
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

extern "C" fn check_schedule<T: Optimizer>(config: RStr<'_>, keys: RStr<'_>) -> AbiResult<RString> {
    enter(T::CLASS_NAME, || {
        let mut report = ConfigReport::default();
        T::check_schedule(
            &checked_config::<T>(config)?,
            &from_json("the keys of a schedule", keys)?,
            &mut report,
        );
        to_json(&report)
    })
}

extern "C" fn schedule<T: Optimizer>(config: RStr<'_>, context: RStr<'_>) -> AbiResult<AbiSchedule> {
    enter(T::CLASS_NAME, || {
        let context = from_json("what a schedule is made of", context)?;
        let schedule = T::schedule(&checked_config::<T>(config)?, &context)?;
        let description = schedule.description().into();
        Ok(AbiSchedule { instance: Instance::new(schedule), description })
    })
}

extern "C" fn schedule_factor<T: Optimizer>(instance: &mut Instance, step: u64) -> AbiResult<f64> {
    call(T::CLASS_NAME, instance, |schedule: &mut Schedule| Ok(schedule.factor(step)))
}

extern "C" fn destroy_schedule<T: Optimizer>(instance: Instance) -> AbiResult<()> {
    destroy::<Schedule>(T::CLASS_NAME, instance)
}
