//! Lays out what goes into a plugin in plain C. Everything made here borrows what it points to and must not outlive it.

use std::marker::PhantomData;

use tch::Tensor;

use crate::abi::c::{
    KiwiBatch, KiwiFeature, KiwiGroup, KiwiNamedInteger, KiwiNamedTensor, KiwiPass, KiwiSpecialIds,
    KiwiTensor, KiwiText,
};
use crate::{Batch, Feature, Features, SpecialIds};

/// The bytes of a text.
pub(super) fn text(text: &str) -> KiwiText {
    KiwiText { pointer: text.as_ptr().cast(), length: text.len() }
}

/// The address of a tensor.
pub(super) fn tensor(tensor: &Tensor) -> *const KiwiTensor {
    tensor.as_ptr().cast()
}

/// Named tensors.
pub(super) fn tensors(tensors: &[(String, Tensor)]) -> Vec<KiwiNamedTensor> {
    tensors.iter().map(|(name, value)| KiwiNamedTensor { name: text(name), tensor: tensor(value) }).collect()
}

/// A group of these tensors.
pub(super) fn group(name: &str, tensors: &[KiwiNamedTensor]) -> KiwiGroup {
    KiwiGroup { name: text(name), tensors: tensors.as_ptr(), tensor_count: tensors.len() }
}

/// Groups of tensors, with what they point to.
pub(super) struct Groups<'a> {
    groups: Vec<KiwiGroup>,
    _tensors: Vec<Vec<KiwiNamedTensor>>,
    lent: PhantomData<&'a Tensor>,
}

impl<'a> Groups<'a> {
    /// These groups.
    pub(super) fn new(groups: impl IntoIterator<Item = (&'a str, &'a [(String, Tensor)])>) -> Self {
        let parts: Vec<_> = groups.into_iter().map(|(name, parts)| (name, tensors(parts))).collect();
        // The elements of a vector stay where they are when the vector is moved.
        let groups = parts.iter().map(|(name, tensors)| group(name, tensors)).collect();
        Self { groups, _tensors: parts.into_iter().map(|(_, tensors)| tensors).collect(), lent: PhantomData }
    }

    /// The fields of a batch.
    pub(super) fn of(batch: &'a Batch) -> Self {
        Self::new(batch.fields.iter().map(|field| (field.name.as_str(), field.tensors())))
    }

    /// As they cross.
    pub(super) fn as_slice(&self) -> &[KiwiGroup] {
        &self.groups
    }

    /// As a batch.
    pub(super) fn batch(&self) -> KiwiBatch {
        KiwiBatch {
            size: size_of::<KiwiBatch>(),
            fields: self.groups.as_ptr(),
            field_count: self.groups.len(),
        }
    }
}

/// Features.
pub(super) fn features(features: &Features) -> Vec<KiwiFeature> {
    let none = std::ptr::null();
    features
        .iter()
        .map(|(name, feature)| {
            let empty = KiwiFeature { name: text(name), tensor: none, input: none, weight: none, bias: none };
            match feature {
                Feature::Tensor(value) => KiwiFeature { tensor: tensor(value), ..empty },
                Feature::Projection(parts) => KiwiFeature {
                    input: tensor(&parts.input),
                    weight: tensor(&parts.weight),
                    bias: parts.bias.as_ref().map_or(none, tensor),
                    ..empty
                },
            }
        })
        .collect()
}

/// A pass.
pub(super) fn pass(training: bool, traced: bool) -> KiwiPass {
    KiwiPass { size: size_of::<KiwiPass>(), training, traced }
}

/// Named sizes.
pub(super) fn sizes<'a>(sizes: impl IntoIterator<Item = (&'a String, &'a i64)>) -> Vec<KiwiNamedInteger> {
    sizes.into_iter().map(|(name, value)| KiwiNamedInteger { name: text(name), value: *value }).collect()
}

/// Ids of the special tokens.
pub(super) fn special(ids: SpecialIds) -> KiwiSpecialIds {
    KiwiSpecialIds { unk: ids.unk, pad: ids.pad, bos: ids.bos, eos: ids.eos }
}
