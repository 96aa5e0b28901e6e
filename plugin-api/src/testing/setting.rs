//! The run that components under test are part of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tch::Device;

use super::{RandomBatches, batches, config, seeded};
use crate::{
    Batch, Encoder, EncoderContext, Error, Head, HeadContext, Metric, NeededField, Optimizer, ParameterGroup,
    Result, SpecialIds,
};

/// What a run tells its components: sizes of vocabularies, special ids, which features are read; and the seed that initial values
/// are drawn by. Computes on the CPU.
#[derive(Debug, Clone)]
pub struct Setting {
    vocabulary_sizes: BTreeMap<String, i64>,
    special: SpecialIds,
    features: Option<BTreeSet<String>>,
    seed: u64,
}

impl Default for Setting {
    fn default() -> Self {
        let sizes = [("source", 23), ("target", 19)];
        Self {
            vocabulary_sizes: sizes.map(|(field, size)| (field.to_owned(), size)).into(),
            special: SpecialIds::default(),
            features: None,
            seed: 1,
        }
    }
}

impl Setting {
    /// A run on `source` and `target`, with vocabularies of 23 and 19 entries, in which every feature is read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a vocabulary of this size, special tokens included, for the field `field`, which the run then has.
    #[must_use]
    pub fn vocabulary(mut self, field: impl Into<String>, size: i64) -> Self {
        self.vocabulary_sizes.insert(field.into(), size);
        self
    }

    /// With these ids of the special tokens.
    #[must_use]
    pub fn special_ids(mut self, special: SpecialIds) -> Self {
        self.special = special;
        self
    }

    /// With no feature read but these.
    #[must_use]
    pub fn features<T: Into<String>>(mut self, features: impl IntoIterator<Item = T>) -> Self {
        self.features = Some(features.into_iter().map(Into::into).collect());
        self
    }

    /// With initial values drawn by this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What an encoder is told.
    #[must_use]
    pub fn encoder_context(&self) -> EncoderContext {
        EncoderContext::new(self.vocabulary_sizes.clone(), Device::Cpu)
            .with_special(self.special)
            .with_features(self.features.clone())
    }

    /// What a head over `encoder` is told.
    #[must_use]
    pub fn head_context(&self, encoder: &impl Encoder) -> HeadContext {
        let (sizes, hidden_size) = (encoder.feature_sizes(), encoder.hidden_size());
        HeadContext::new(sizes, hidden_size, self.vocabulary_sizes.clone(), Device::Cpu)
            .with_special(self.special)
    }

    /// An encoder with these options.
    ///
    /// # Errors
    /// When the host would refuse the options, the run lacks a field that the encoder needs, or it cannot be created.
    pub fn encoder<E: Encoder>(&self, options: Value) -> Result<E> {
        let config = config::<E>(&options)?;
        self.refuse_missing(E::CLASS_NAME, &E::needs(&config).fields)?;
        seeded(self.seed, || E::create(config, &self.encoder_context()))
    }

    /// A head with these options over `encoder`.
    ///
    /// # Errors
    /// As [`Setting::encoder`]; also when the encoder gives no feature of a name that the head needs.
    pub fn head<H: Head, E: Encoder>(&self, options: Value, encoder: &E) -> Result<H> {
        let config = config::<H>(&options)?;
        let needs = H::needs(&config);
        self.refuse_missing(H::CLASS_NAME, &needs.fields)?;
        let given = encoder.feature_sizes();
        for feature in needs.features.iter().flatten() {
            if !given.contains_key(feature) {
                let given: Vec<_> = given.keys().map(String::as_str).collect();
                return Err(Error::new(format!(
                    "`{}` reads the feature `{feature}`, and `{}` gives only {}",
                    H::CLASS_NAME,
                    E::CLASS_NAME,
                    given.join(", ")
                )));
            }
        }
        // Another seed than the encoder's, so that no two tables are alike by chance.
        seeded(self.seed.wrapping_add(1), || H::create(config, &self.head_context(encoder)))
    }

    /// An optimizer with these options over `groups`: see [`super::groups`].
    ///
    /// # Errors
    /// When the host would refuse the options, or it cannot be created.
    pub fn optimizer<O: Optimizer>(&self, options: Value, groups: Vec<ParameterGroup>) -> Result<O> {
        O::create(config::<O>(&options)?, groups)
    }

    /// A metric with these options.
    ///
    /// # Errors
    /// When the host would refuse the options, or it cannot be created.
    pub fn metric<M: Metric>(&self, options: Value) -> Result<M> {
        M::create(config::<M>(&options)?)
    }

    /// A batch of these fields, each with its sentences as word ids without `<bos>` and `<eos>`.
    ///
    /// # Errors
    /// As [`super::batch`]; also when a word's id is outside of its vocabulary.
    pub fn batch(&self, fields: &[(&str, &[Vec<i64>])]) -> Result<Batch> {
        for (name, sentences) in fields {
            let Some(size) = self.vocabulary_sizes.get(*name) else {
                return Err(self.has_no(name));
            };
            if let Some(id) = sentences.iter().flatten().find(|id| !(0..*size).contains(*id)) {
                return Err(Error::new(format!(
                    "field `{name}` has the word {id}: expected ids of 0 to {}, its vocabulary having {size} entries",
                    size - 1
                )));
            }
        }
        batches::of_sentences(fields, self.special)
    }

    /// Random batches of all fields that the run has, drawn under this seed, without end.
    #[must_use]
    pub fn batches(&self, seed: u64) -> RandomBatches {
        RandomBatches::new(self.vocabulary_sizes.clone(), self.special, seed)
    }

    fn refuse_missing(&self, class: &str, needed: &[NeededField]) -> Result<()> {
        match needed.iter().find(|needed| !self.vocabulary_sizes.contains_key(&needed.field)) {
            Some(needed) => Err(self.has_no(&needed.field).context(format!("`{class}` cannot be created"))),
            None => Ok(()),
        }
    }

    fn has_no(&self, field: &str) -> Error {
        let known: Vec<_> = self.vocabulary_sizes.keys().map(String::as_str).collect();
        Error::new(format!(
            "the setting has no field `{field}`, only {}: add it by `.vocabulary(\"{field}\", SIZE)`",
            known.join(", ")
        ))
    }
}
