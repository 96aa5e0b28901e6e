//! An encoder in the place of one that is not under test.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{
    Batch, Component, ConfigReport, Encoder, EncoderContext, Feature, Features, Parameters, Pass, Projection,
    Result, SpecialIds, init,
};

const LOGITS: &str = "target_logits";
const STATES: &str = "target";

/// Options of [`WordSums`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WordSumsOptions {
    /// Size of an embedding and of a state; at least 1.
    pub size: i64,
}

impl Default for WordSumsOptions {
    fn default() -> Self {
        Self { size: 8 }
    }
}

/// The state of each target position is tanh of the mean of the source's embeddings plus the embedding of the word before. Gives
/// the states `target` `[B, T, size]` and the projection `target_logits`.
pub struct WordSums {
    parameters: Parameters,
    source: Tensor,
    target: Tensor,
    output: Tensor,
    special: SpecialIds,
    size: i64,
    vocabulary_size: i64,
    wants_logits: bool,
}

impl Component for WordSums {
    type Config = WordSumsOptions;
    const CLASS_NAME: &'static str = "WordSums";
    const SUMMARY: &'static str = "Sums of embeddings, for tests of other components";

    fn check(config: &WordSumsOptions, report: &mut ConfigReport) {
        report.require(config.size >= 1, "size", config.size, "an integer of at least 1");
    }
}

impl Encoder for WordSums {
    fn create(config: WordSumsOptions, context: &EncoderContext) -> Result<Self> {
        let device = context.device()?;
        let (source, target) = (context.vocabulary_size("source")?, context.vocabulary_size("target")?);
        let mut parameters = Parameters::new();
        let mut table =
            |name: &str, rows| parameters.trainable(name, init::normal(&[rows, config.size], device)?);
        Ok(Self {
            source: table("source.weight", source)?,
            target: table("target.weight", target)?,
            output: table("output.weight", target)?,
            parameters,
            special: context.special,
            size: config.size,
            vocabulary_size: target,
            wants_logits: context.wants(LOGITS),
        })
    }

    fn hidden_size(&self) -> i64 {
        self.size
    }

    fn feature_sizes(&self) -> BTreeMap<String, i64> {
        BTreeMap::from([(STATES.to_owned(), self.size), (LOGITS.to_owned(), self.vocabulary_size)])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn forward(&mut self, batch: &Batch, _pass: &mut Pass) -> Result<Features> {
        let (source, target) = (batch.field("source")?, batch.field("target")?);
        let lookup = |table: &Tensor, ids: &Tensor| Tensor::f_embedding(table, ids, -1, false, false);
        let mask = source.strict_mask()?.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?;
        let sum =
            lookup(&self.source, source.ids()?)?.f_mul(&mask)?.f_sum_dim_intlist(1, true, Kind::Float)?;
        let count = mask.f_sum_dim_intlist(1, true, Kind::Float)?.f_clamp_min(1.0)?;
        let ids = target.ids()?;
        let before = ids.f_roll([1], [1])?;
        let _ = before.f_select(1, 0)?.f_fill_(self.special.bos)?;
        let states = lookup(&self.target, &before)?.f_add(&sum.f_div(&count)?)?.f_tanh()?;
        let mut features = Features::new().with(STATES, Feature::Tensor(states.shallow_clone()));
        if self.wants_logits {
            let logits = Projection::new(states, self.output.shallow_clone(), None);
            features.push(LOGITS, Feature::Projection(logits));
        }
        Ok(features)
    }
}
