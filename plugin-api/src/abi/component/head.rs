//! The table of a head.

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
use kiwi_plugin_metadata::kind;

use super::{
    AbiBatch, AbiParameter, AbiPass, BorrowedFeature, ComponentTable, ComponentTableRef, batch,
    checked_config, feature, from_json, hand_over_parameters, to_json,
};
use crate::abi::guard::{AbiResult, Instance, call, destroy, enter};
use crate::abi::tensor::{NamedOwned, OwnedGroup, OwnedTensor, hand_over};
use crate::{Features, Head, HeadOutput, Output, Result};

/// Functions of a head. Fields are only ever appended.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HeadTableRef)))]
#[sabi(missing_field(option))]
#[non_exhaustive]
pub struct HeadTable {
    /// Builds an instance from a config and a [`crate::HeadContext`] (JSON both).
    pub create: extern "C" fn(RStr<'_>, RStr<'_>) -> AbiResult<Instance>,
    /// Frees an instance.
    pub destroy: extern "C" fn(Instance) -> AbiResult<()>,
    /// Its parameters and buffers.
    pub parameters: extern "C" fn(&mut Instance) -> AbiResult<RVec<AbiParameter>>,
    /// A list of [`crate::MetricRequest`] (JSON).
    pub metrics: extern "C" fn(&mut Instance) -> AbiResult<RString>,
    /// Loss and figures of a batch.
    pub forward: extern "C" fn(
        &mut Instance,
        RSlice<'_, BorrowedFeature<'_>>,
        AbiBatch<'_>,
        AbiPass,
    ) -> AbiResult<AbiHeadOutput>,
    /// The [`crate::HeadNeeds`] (JSON) of a config (JSON).
    pub needs: extern "C" fn(RStr<'_>) -> AbiResult<RString>,
    /// What a saved system holds besides parameters and buffers (JSON; null for nothing).
    pub extra: extern "C" fn(&mut Instance) -> AbiResult<RString>,
    /// Takes over what `extra` gave.
    #[sabi(last_prefix_field)]
    pub load_extra: extern "C" fn(&mut Instance, RStr<'_>) -> AbiResult<()>,
}

/// What `forward` gives.
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiHeadOutput {
    /// Scalar, differentiable.
    pub loss: OwnedTensor,
    /// How many items the loss is the mean over.
    pub averaged_over: ROption<OwnedTensor>,
    /// The outputs, in order.
    pub outputs: RVec<OwnedGroup>,
    /// Further scalars for the log.
    pub scalars: RVec<NamedOwned>,
    /// Tensors on the way, where they were asked for.
    pub trace: RVec<NamedOwned>,
    /// None in this version. A group whose name a host does not know is passed over.
    pub more: RVec<OwnedGroup>,
}

impl AbiHeadOutput {
    fn new(output: HeadOutput, trace: Vec<(String, tch::Tensor)>) -> Self {
        let outputs = output
            .outputs
            .into_iter()
            .map(|output| {
                let (name, tensors) = output.into_parts();
                OwnedGroup { name: name.into(), tensors: hand_over(tensors) }
            })
            .collect();
        Self {
            loss: OwnedTensor::new(output.loss),
            averaged_over: output.averaged_over.map(OwnedTensor::new).into(),
            outputs,
            scalars: hand_over(output.scalars),
            trace: hand_over(trace),
            more: RVec::new(),
        }
    }

    /// The output as the host's side sees it, and the trace.
    pub(crate) fn into_parts(self) -> (HeadOutput, Vec<(String, tch::Tensor)>) {
        let outputs = self
            .outputs
            .into_iter()
            .map(|group| Output::new(group.name.into_string(), crate::abi::tensor::take_over(group.tensors)))
            .collect();
        let output = HeadOutput {
            loss: self.loss.into_tensor(),
            averaged_over: self.averaged_over.into_option().map(OwnedTensor::into_tensor),
            outputs,
            scalars: crate::abi::tensor::take_over(self.scalars),
        };
        (output, crate::abi::tensor::take_over(self.trace))
    }
}

pub(crate) fn table<T: Head>() -> ComponentTableRef {
    let functions: &'static WithMetadata<HeadTable> = Box::leak(Box::new(WithMetadata::new(HeadTable {
        create: create::<T>,
        destroy: free::<T>,
        parameters: parameters::<T>,
        metrics: metrics::<T>,
        forward: forward::<T>,
        needs: needs::<T>,
        extra: extra::<T>,
        load_extra: load_extra::<T>,
    })));
    let mut table = ComponentTable::new::<T>(kind::HEAD);
    table.head = ROption::RSome(HeadTableRef(functions.static_as_prefix()));
    table.leak()
}

extern "C" fn needs<T: Head>(config: RStr<'_>) -> AbiResult<RString> {
    enter(T::CLASS_NAME, || to_json(&T::needs(&checked_config::<T>(config)?)))
}

extern "C" fn create<T: Head>(config: RStr<'_>, context: RStr<'_>) -> AbiResult<Instance> {
    enter(T::CLASS_NAME, || {
        let context = from_json("the head's context", context)?;
        Ok(Instance::new(T::create(checked_config::<T>(config)?, &context)?))
    })
}

extern "C" fn free<T: Head>(instance: Instance) -> AbiResult<()> {
    destroy::<T>(T::CLASS_NAME, instance)
}

extern "C" fn parameters<T: Head>(instance: &mut Instance) -> AbiResult<RVec<AbiParameter>> {
    call(T::CLASS_NAME, instance, |head: &mut T| Ok(hand_over_parameters(head.parameters())))
}

extern "C" fn metrics<T: Head>(instance: &mut Instance) -> AbiResult<RString> {
    call(T::CLASS_NAME, instance, |head: &mut T| to_json(&head.metrics()))
}

extern "C" fn forward<T: Head>(
    instance: &mut Instance,
    features: RSlice<'_, BorrowedFeature<'_>>,
    fields: AbiBatch<'_>,
    pass: AbiPass,
) -> AbiResult<AbiHeadOutput> {
    call(T::CLASS_NAME, instance, |head: &mut T| {
        let mut pass = pass.pass();
        let output = head.forward(&clone_features(features)?, &batch(fields), &mut pass)?;
        Ok(AbiHeadOutput::new(output, pass.into_trace()))
    })
}

fn clone_features(borrowed: RSlice<'_, BorrowedFeature<'_>>) -> Result<Features> {
    let mut features = Features::new();
    for entry in borrowed.iter() {
        let name = entry.name.as_str();
        let tensors = entry.tensors.iter().map(|tensor| tensor.to_tensor()).collect();
        features.push(name, feature(name, entry.kind, tensors)?);
    }
    Ok(features)
}

extern "C" fn extra<T: Head>(instance: &mut Instance) -> AbiResult<RString> {
    call(T::CLASS_NAME, instance, |head: &mut T| to_json(&head.extra()?))
}

extern "C" fn load_extra<T: Head>(instance: &mut Instance, extra: RStr<'_>) -> AbiResult<()> {
    call(T::CLASS_NAME, instance, |head: &mut T| head.load_extra(from_json("what was saved", extra)?))
}
