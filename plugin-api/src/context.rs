//! What a component is told when it is created. Hosts may add to it; a plugin reads what it knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::{Error, Result};

/// Ids of the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpecialIds {
    /// `<unk>`: a word that is not in the vocabulary.
    pub unk: i64,
    /// `<pad>`: fills a row up to the batch's width.
    pub pad: i64,
    /// `<bos>`: before the first word.
    pub bos: i64,
    /// `<eos>`: after the last word.
    pub eos: i64,
}

impl Default for SpecialIds {
    fn default() -> Self {
        Self { unk: 0, pad: 1, bos: 2, eos: 3 }
    }
}

impl SpecialIds {
    /// These ids.
    #[must_use]
    pub fn new(unk: i64, pad: i64, bos: i64, eos: i64) -> Self {
        Self { unk, pad, bos, eos }
    }

    /// Whether a loss over words counts a gold token of this id: neither `<pad>`, `<bos>` nor `<eos>`.
    #[must_use]
    pub fn counts(self, id: i64) -> bool {
        id != self.pad && id != self.bos && id != self.eos
    }
}

/// What an encoder is told when it is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EncoderContext {
    /// Size of each field's vocabulary, special tokens included.
    pub vocabulary_sizes: BTreeMap<String, i64>,
    /// Ids of the special tokens, the same in every vocabulary.
    pub special: SpecialIds,
    /// Where parameters are to live: `cpu` or `cuda:N`.
    pub device: String,
    /// The features that somebody reads; `None` for all.
    #[serde(default)]
    pub features: Option<BTreeSet<String>>,
}

impl EncoderContext {
    /// A context with vocabularies of these sizes on this device: the usual special ids, every feature wanted.
    #[must_use]
    pub fn new(vocabulary_sizes: BTreeMap<String, i64>, device: Device) -> Self {
        Self { vocabulary_sizes, special: SpecialIds::default(), device: device_name(device), features: None }
    }

    /// The same with these special ids.
    #[must_use]
    pub fn with_special(mut self, special: SpecialIds) -> Self {
        self.special = special;
        self
    }

    /// The same, of which these features are read; `None` for all.
    #[must_use]
    pub fn with_features(mut self, features: Option<BTreeSet<String>>) -> Self {
        self.features = features;
        self
    }

    /// Whether somebody reads this feature. One that nobody reads need not be computed.
    #[must_use]
    pub fn wants(&self, feature: &str) -> bool {
        self.features.as_ref().is_none_or(|features| features.contains(feature))
    }

    /// Size of the vocabulary of this field.
    ///
    /// # Errors
    /// When the run has no such field, naming those it has.
    pub fn vocabulary_size(&self, field: &str) -> Result<i64> {
        self.vocabulary_sizes.get(field).copied().ok_or_else(|| {
            let known: Vec<_> = self.vocabulary_sizes.keys().map(String::as_str).collect();
            Error::new(format!("the run has no vocabulary for `{field}`, only for {}", known.join(", ")))
        })
    }

    /// Where parameters are to live.
    ///
    /// # Errors
    /// When the device is none that this version knows.
    pub fn device(&self) -> Result<Device> {
        parse_device(&self.device)
    }
}

/// What a head is told when it is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeadContext {
    /// Last dimension of each feature that the encoder gives.
    pub feature_sizes: BTreeMap<String, i64>,
    /// The encoder's hidden size.
    pub hidden_size: i64,
    /// Size of each field's vocabulary, special tokens included.
    pub vocabulary_sizes: BTreeMap<String, i64>,
    /// Ids of the special tokens.
    pub special: SpecialIds,
    /// Where parameters are to live: `cpu` or `cuda:N`.
    pub device: String,
}

impl HeadContext {
    /// A context over an encoder of these features and this hidden size, with the usual special ids.
    #[must_use]
    pub fn new(
        feature_sizes: BTreeMap<String, i64>,
        hidden_size: i64,
        vocabulary_sizes: BTreeMap<String, i64>,
        device: Device,
    ) -> Self {
        let (special, device) = (SpecialIds::default(), device_name(device));
        Self { feature_sizes, hidden_size, vocabulary_sizes, special, device }
    }

    /// The same with these special ids.
    #[must_use]
    pub fn with_special(mut self, special: SpecialIds) -> Self {
        self.special = special;
        self
    }

    /// Last dimension of this feature.
    ///
    /// # Errors
    /// When the encoder gives none of this name, naming those it gives.
    pub fn feature_size(&self, name: &str) -> Result<i64> {
        self.feature_sizes.get(name).copied().ok_or_else(|| {
            let known: Vec<_> = self.feature_sizes.keys().map(String::as_str).collect();
            Error::new(format!("the encoder gives no feature `{name}`, only {}", known.join(", ")))
        })
    }

    /// Where parameters are to live.
    ///
    /// # Errors
    /// When the device is none that this version knows.
    pub fn device(&self) -> Result<Device> {
        parse_device(&self.device)
    }
}

/// The device as contexts name it: `cpu` or `cuda:N`, else as libtorch does.
fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn parse_device(text: &str) -> Result<Device> {
    match text.split_once(':') {
        None if text == "cpu" => Ok(Device::Cpu),
        Some(("cuda", index)) => index
            .parse()
            .map(Device::Cuda)
            .map_err(|_| Error::new(format!("no device is named `{text}`: expected `cpu` or `cuda:N`"))),
        _ => Err(Error::new(format!("no device is named `{text}`: expected `cpu` or `cuda:N`"))),
    }
}
