//! The table of an encoder.

use std::collections::BTreeMap;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
use kiwi_plugin_metadata::kind;
use serde::{Deserialize, Serialize};

use super::{
    AbiBatch, AbiParameter, AbiPass, ComponentTable, ComponentTableRef, OwnedFeature, batch, checked_config,
    from_json, hand_over_features, hand_over_parameters, to_json,
};
use crate::Encoder;
use crate::abi::guard::{AbiResult, Instance, call, destroy, enter};
use crate::abi::tensor::{NamedBorrowed, NamedOwned, OwnedGroup, hand_over};

/// Functions of an encoder. Fields are only ever appended.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = EncoderTableRef)))]
#[sabi(missing_field(option))]
#[non_exhaustive]
pub struct EncoderTable {
    /// Builds an instance from a config and an [`crate::EncoderContext`] (JSON both).
    pub create: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<Instance>,
    /// Frees an instance.
    pub destroy: extern "C" fn(Instance) -> AbiResult<()>,
    /// An [`EncoderDescription`] (JSON).
    pub describe: extern "C" fn(&mut Instance) -> AbiResult<RString>,
    /// Its parameters and buffers.
    pub parameters: extern "C" fn(&mut Instance) -> AbiResult<RVec<AbiParameter>>,
    /// The features of a batch.
    pub forward: extern "C" fn(&mut Instance, AbiBatch<'_>, AbiPass) -> AbiResult<EncoderOutput>,
    /// The [`crate::EncoderNeeds`] (JSON) of a config (JSON).
    pub needs: extern "C" fn(RStr<'_>) -> AbiResult<RString>,
    /// What a saved system holds besides parameters and buffers (JSON; null for nothing).
    pub extra: extern "C" fn(&mut Instance) -> AbiResult<RString>,
    /// Takes over what `extra` gave.
    pub load_extra: extern "C" fn(&mut Instance, RStr<'_>) -> AbiResult<()>,
    /// Forgets the state carried in training (true) or in evaluation.
    pub reset_state: extern "C" fn(&mut Instance, bool) -> AbiResult<()>,
    /// Cuts the state carried in training from how it came about.
    #[sabi(last_prefix_field)]
    pub detach_state: extern "C" fn(&mut Instance) -> AbiResult<()>,
    /// Since 1.1: the state carried in training, where it can be saved.
    pub carried_state: extern "C" fn(&mut Instance) -> AbiResult<ROption<RVec<NamedOwned>>>,
    /// Since 1.1: takes over what `carried_state` gave.
    pub load_carried_state: extern "C" fn(&mut Instance, RSlice<'_, NamedBorrowed<'_>>) -> AbiResult<()>,
}

/// What an encoder says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EncoderDescription {
    /// Size of its hidden state.
    pub hidden_size: i64,
    /// Last dimension of each feature.
    pub feature_sizes: BTreeMap<String, i64>,
}

/// What `forward` gives.
#[repr(C)]
#[derive(StableAbi)]
pub struct EncoderOutput {
    /// The features, in order.
    pub features: RVec<OwnedFeature>,
    /// Tensors on the way, where they were asked for.
    pub trace: RVec<NamedOwned>,
    /// None in this version. A group whose name a host does not know is passed over.
    pub more: RVec<OwnedGroup>,
}

pub(crate) fn table<T: Encoder>() -> ComponentTableRef {
    let functions: &'static WithMetadata<EncoderTable> =
        Box::leak(Box::new(WithMetadata::new(EncoderTable {
            create: create::<T>,
            destroy: free::<T>,
            describe: describe::<T>,
            parameters: parameters::<T>,
            forward: forward::<T>,
            needs: needs::<T>,
            extra: extra::<T>,
            load_extra: load_extra::<T>,
            reset_state: reset_state::<T>,
            detach_state: detach_state::<T>,
            carried_state: carried_state::<T>,
            load_carried_state: load_carried_state::<T>,
        })));
    let mut table = ComponentTable::new::<T>(kind::ENCODER);
    table.encoder = ROption::RSome(EncoderTableRef(functions.static_as_prefix()));
    table.leak()
}

extern "C" fn needs<T: Encoder>(config: RStr<'_>) -> AbiResult<RString> {
    enter(T::CLASS_NAME, || to_json(&T::needs(&checked_config::<T>(config)?)))
}

extern "C" fn create<T: Encoder>(config: RStr<'_>, context: RStr<'_>) -> AbiResult<Instance> {
    enter(T::CLASS_NAME, || {
        let context = from_json("the encoder's context", context)?;
        Ok(Instance::new(T::create(checked_config::<T>(config)?, &context)?))
    })
}

extern "C" fn free<T: Encoder>(instance: Instance) -> AbiResult<()> {
    destroy::<T>(T::CLASS_NAME, instance)
}

extern "C" fn describe<T: Encoder>(instance: &mut Instance) -> AbiResult<RString> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| {
        to_json(&EncoderDescription {
            hidden_size: encoder.hidden_size(),
            feature_sizes: encoder.feature_sizes(),
        })
    })
}

extern "C" fn parameters<T: Encoder>(instance: &mut Instance) -> AbiResult<RVec<AbiParameter>> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| Ok(hand_over_parameters(encoder.parameters())))
}

extern "C" fn forward<T: Encoder>(
    instance: &mut Instance,
    fields: AbiBatch<'_>,
    pass: AbiPass,
) -> AbiResult<EncoderOutput> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| {
        let mut pass = pass.pass();
        let features = encoder.forward(&batch(fields), &mut pass)?;
        Ok(EncoderOutput {
            features: hand_over_features(features),
            trace: hand_over(pass.into_trace()),
            more: RVec::new(),
        })
    })
}

extern "C" fn extra<T: Encoder>(instance: &mut Instance) -> AbiResult<RString> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| to_json(&encoder.extra()?))
}

extern "C" fn load_extra<T: Encoder>(instance: &mut Instance, extra: RStr<'_>) -> AbiResult<()> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| encoder.load_extra(from_json("what was saved", extra)?))
}

extern "C" fn reset_state<T: Encoder>(instance: &mut Instance, training: bool) -> AbiResult<()> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| encoder.reset_state(training))
}

extern "C" fn detach_state<T: Encoder>(instance: &mut Instance) -> AbiResult<()> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| encoder.detach_state())
}

#[cfg(feature = "v1_1")]
extern "C" fn carried_state<T: Encoder>(instance: &mut Instance) -> AbiResult<ROption<RVec<NamedOwned>>> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| Ok(encoder.carried_state()?.map(hand_over).into()))
}

#[cfg(not(feature = "v1_1"))]
extern "C" fn carried_state<T: Encoder>(_instance: &mut Instance) -> AbiResult<ROption<RVec<NamedOwned>>> {
    enter(T::CLASS_NAME, || Ok(ROption::RNone))
}

#[cfg(feature = "v1_1")]
extern "C" fn load_carried_state<T: Encoder>(
    instance: &mut Instance,
    state: RSlice<'_, NamedBorrowed<'_>>,
) -> AbiResult<()> {
    call(T::CLASS_NAME, instance, |encoder: &mut T| {
        encoder.load_carried_state(crate::abi::tensor::clone_all(state))
    })
}

#[cfg(not(feature = "v1_1"))]
extern "C" fn load_carried_state<T: Encoder>(
    _instance: &mut Instance,
    _state: RSlice<'_, NamedBorrowed<'_>>,
) -> AbiResult<()> {
    enter(T::CLASS_NAME, || Err(crate::Error::new("the plugin was built without the feature `v1_1`")))
}
