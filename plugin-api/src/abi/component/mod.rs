//! The tables of functions that a plugin hands out, one a component, and the plugin's side of each call.

pub mod encoder;
pub mod head;
pub mod metric;
pub mod optimizer;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
use serde::{Serialize, de::DeserializeOwned};

use super::guard::{AbiResult, enter};
use super::tensor::{BorrowedGroup, BorrowedTensor, OwnedTensor, Seen};
use crate::{
    Batch, Component, Error, Feature, Features, Field, Parameter, Parameters, Projection, Result, config,
};
use encoder::EncoderTableRef;
use head::HeadTableRef;
use metric::MetricTableRef;
use optimizer::OptimizerTableRef;

/// One component. Exactly one of the tables at the end is there, that of its kind.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ComponentTableRef)))]
#[sabi(missing_field(option))]
#[non_exhaustive]
pub struct ComponentTable {
    /// One of [`kiwi_plugin_metadata::kind`].
    pub kind: RStr<'static>,
    /// The name in a config.
    pub class_name: RStr<'static>,
    /// JSON Schema of its config.
    pub schema: extern "C" fn() -> AbiResult<RString>,
    /// Checks a config (JSON) and returns a [`crate::ConfigReport`] (JSON).
    pub check: extern "C" fn(RStr<'_>) -> AbiResult<RString>,
    /// Functions of an encoder.
    pub encoder: ROption<EncoderTableRef>,
    /// Functions of a head.
    pub head: ROption<HeadTableRef>,
    /// Functions of an optimizer.
    pub optimizer: ROption<OptimizerTableRef>,
    /// Functions of a metric.
    #[sabi(last_prefix_field)]
    pub metric: ROption<MetricTableRef>,
}

impl ComponentTable {
    /// The table of `T`, with no functions of its kind yet.
    pub(crate) fn new<T: Component>(kind: &'static str) -> Self {
        Self {
            kind: RStr::from_str(kind),
            class_name: RStr::from_str(T::CLASS_NAME),
            schema: schema::<T>,
            check: check::<T>,
            encoder: ROption::RNone,
            head: ROption::RNone,
            optimizer: ROption::RNone,
            metric: ROption::RNone,
        }
    }

    /// The table as it crosses; it lives as long as the library, which is never unloaded.
    pub(crate) fn leak(self) -> ComponentTableRef {
        let table: &'static WithMetadata<Self> = Box::leak(Box::new(WithMetadata::new(self)));
        ComponentTableRef(table.static_as_prefix())
    }
}

extern "C" fn schema<T: Component>() -> AbiResult<RString> {
    enter(T::CLASS_NAME, || Ok(config::schema::<T::Config>().into()))
}

extern "C" fn check<T: Component>(json: RStr<'_>) -> AbiResult<RString> {
    enter(T::CLASS_NAME, || to_json(&config::check::<T>(json.as_str()).1))
}

/// How a pass crosses: bit 0 says training, bit 1 that somebody wants to see the tensors on the way.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiPass {
    /// See the type.
    pub flags: u64,
    /// Zero; for later versions.
    pub reserved: [u64; 7],
}

impl AbiPass {
    const TRAINING: u64 = 1;
    const TRACED: u64 = 2;

    pub(crate) fn new(training: bool, traced: bool) -> Self {
        let flags = u64::from(training) * Self::TRAINING + u64::from(traced) * Self::TRACED;
        Self { flags, reserved: [0; 7] }
    }

    pub(crate) fn pass(self) -> crate::Pass {
        crate::Pass::new(self.flags & Self::TRAINING != 0, self.flags & Self::TRACED != 0)
    }
}

/// A batch as it crosses: its fields, in order.
pub type AbiBatch<'a> = RSlice<'a, BorrowedGroup<'a>>;

pub(crate) fn batch(fields: AbiBatch<'_>) -> Seen<'_, Batch> {
    Seen::new(fields.as_slice(), |fields| {
        Batch::new(fields.into_iter().map(|(name, tensors)| Field::new(name, tensors)).collect())
    })
}

/// A feature going in: one tensor, or the input, weight and (where there is one) bias of a projection.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct BorrowedFeature<'a> {
    /// The name.
    pub name: RStr<'a>,
    /// 0 for a tensor, 1 for a projection.
    pub kind: u32,
    /// As `kind` says.
    pub tensors: RSlice<'a, BorrowedTensor<'a>>,
}

/// A feature coming out, as [`BorrowedFeature`].
#[repr(C)]
#[derive(StableAbi)]
pub struct OwnedFeature {
    /// The name.
    pub name: RString,
    /// 0 for a tensor, 1 for a projection.
    pub kind: u32,
    /// As `kind` says.
    pub tensors: RVec<OwnedTensor>,
}

const TENSOR: u32 = 0;
const PROJECTION: u32 = 1;

pub(crate) fn feature_parts(feature: &Feature) -> (u32, Vec<BorrowedTensor<'_>>) {
    match feature {
        Feature::Tensor(tensor) => (TENSOR, vec![BorrowedTensor::new(tensor)]),
        Feature::Projection(p) => {
            let mut parts = vec![BorrowedTensor::new(&p.input), BorrowedTensor::new(&p.weight)];
            parts.extend(p.bias.as_ref().map(BorrowedTensor::new));
            (PROJECTION, parts)
        }
    }
}

pub(crate) fn hand_over_features(features: Features) -> RVec<OwnedFeature> {
    features
        .into_entries()
        .map(|(name, feature)| {
            let (kind, parts) = match feature {
                Feature::Tensor(tensor) => (TENSOR, [Some(tensor), None, None]),
                Feature::Projection(Projection { input, weight, bias }) => {
                    (PROJECTION, [Some(input), Some(weight), bias])
                }
            };
            let tensors = parts.into_iter().flatten().map(OwnedTensor::new).collect();
            OwnedFeature { name: name.into(), kind, tensors }
        })
        .collect()
}

pub(crate) fn feature(name: &str, kind: u32, tensors: Vec<tch::Tensor>) -> Result<Feature> {
    let count = tensors.len();
    let mut tensors = tensors.into_iter();
    match (kind, tensors.next(), tensors.next(), tensors.next()) {
        (TENSOR, Some(tensor), None, None) => Ok(Feature::Tensor(tensor)),
        (PROJECTION, Some(input), Some(weight), bias) if count <= 3 => {
            Ok(Feature::Projection(Projection { input, weight, bias }))
        }
        _ => Err(Error::new(format!(
            "feature `{name}` is of kind {kind} with {count} tensors: expected kind 0 with one, or kind 1 with two or three"
        ))),
    }
}

/// One named tensor of a component, as it crosses.
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiParameter {
    /// The name.
    pub name: RString,
    /// A handle to the component's own tensor: writing to it changes the component.
    pub tensor: OwnedTensor,
    /// Bit 0: trainable. Bit 1: a buffer.
    pub flags: u32,
    /// The parameter that this is a second name of, else empty.
    pub alias_of: RString,
}

pub(crate) fn hand_over_parameters(parameters: &Parameters) -> RVec<AbiParameter> {
    parameters
        .iter()
        .map(|entry| AbiParameter {
            name: entry.name.as_str().into(),
            tensor: OwnedTensor::new(entry.tensor.shallow_clone()),
            flags: u32::from(entry.trainable) | u32::from(entry.buffer) << 1,
            alias_of: entry.alias_of.clone().unwrap_or_default().into(),
        })
        .collect()
}

pub(crate) fn take_over_parameters(parameters: RVec<AbiParameter>) -> Vec<Parameter> {
    parameters
        .into_iter()
        .map(|entry| Parameter {
            name: entry.name.into(),
            tensor: entry.tensor.into_tensor(),
            trainable: entry.flags & 1 != 0,
            buffer: entry.flags & 2 != 0,
            alias_of: Some(entry.alias_of.into_string()).filter(|name| !name.is_empty()),
        })
        .collect()
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<RString> {
    Ok(serde_json::to_string(value)?.into())
}

pub(crate) fn from_json<T: DeserializeOwned>(what: &str, json: RStr<'_>) -> Result<T> {
    serde_json::from_str(json.as_str())
        .map_err(|error| Error::from(error).context(format!("cannot read {what}")))
}

/// Reads a config that the host has checked before.
pub(crate) fn checked_config<T: Component>(json: RStr<'_>) -> Result<T::Config> {
    let (config, report) = config::check::<T>(json.as_str());
    config.ok_or_else(|| {
        let problems: Vec<_> = report.errors.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        Error::new(format!("invalid config: {}", problems.join("; ")))
    })
}
