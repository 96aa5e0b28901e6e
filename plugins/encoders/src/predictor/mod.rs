//! `PredictorEncoder`: predicts each target word from the source sentence and its target neighbours, never from the
//! word itself (Kim et al. 2017, "Predictor-Estimator using Multilevel Task Learning with Stack Propagation").
//!
//! h is the hidden size, o the output size, E the size of an embedding, V the target vocabulary, S and T the widths of
//! source and target in a batch of B pairs.

mod attention;
mod config;
mod embedding;
mod lstm;
mod packed;
mod padded;
mod places;

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::plain_operations;

use attention::Attention;
use config::Config;
use embedding::Embedding;
use lstm::{Lstm, Sizes};

/// Encodes a target, or a post-edit by the same parameters.
type EncodeTarget<'a> = Box<dyn Fn(&Field, &mut Pass) -> Result<EncodedTarget> + 'a>;

/// Names of the features.
const QUALITY: &str = "target";
const TARGET_LOGITS: &str = "target_logits";
const PE_LOGITS: &str = "pe_logits";

/// The encoder.
pub(crate) struct PredictorEncoder {
    wanted: Wanted,
    hidden_size: i64,
    output_size: i64,
    vocabulary_size: i64,
    special: SpecialIds,
    parameters: Parameters,
    source: Embedding,
    target: Embedding,
    output_table: Tensor,
    source_lstm: Lstm,
    forward_lstm: Lstm,
    backward_lstm: Lstm,
    attention: Attention,
    device: Device,
    /// S, V and C of the deep output, `[2h, 2o]`, `[2E, 2o]`, `[2h, 2o]`.
    mix_states: Tensor,
    mix_neighbours: Tensor,
    mix_context: Tensor,
    /// W2, `[o, o]`.
    mix_output: Tensor,
    /// `[1, 1, o]` each.
    start: Tensor,
    end: Tensor,
}

/// Which features somebody reads.
struct Wanted {
    quality: bool,
    target_logits: bool,
    pe_logits: bool,
}

impl Component for PredictorEncoder {
    type Config = Config;
    const CLASS_NAME: &'static str = "PredictorEncoder";
    const SUMMARY: &'static str =
        "Recurrent encoder that predicts each target word from the source and its neighbours, with attention";

    fn check(config: &Config, report: &mut ConfigReport) {
        config.check(report);
    }
}

impl Encoder for PredictorEncoder {
    fn needs(config: &Config) -> EncoderNeeds {
        config.needs()
    }

    fn create(config: Config, context: &EncoderContext) -> Result<Self> {
        let device = context.device()?;
        let special = context.special;
        let (h, o) = (config.hidden_size, config.output_size()?);
        let vocabulary_size = context.vocabulary_size("target")?;
        let source_size = context.vocabulary_size("source")?;
        let mut parameters = Parameters::new();
        let p = &mut parameters;

        let fields = &config.embeddings;
        let source = Embedding::new("source", &fields.source, source_size, special.pad, p, device)?;
        let target = Embedding::new("target", &fields.target, vocabulary_size, special.pad, p, device)?;
        let output_name = "output_embeddings.target.weight";
        let output_table = if config.share_embeddings {
            p.alias(output_name, "embeddings.target.embedding.weight")?
        } else {
            let values = init::normal(&[vocabulary_size, o], device)?;
            let _ = values.f_select(0, special.pad)?.f_zero_()?;
            p.trainable(output_name, values)?
        };

        let sizes = |input, bidirectional| Sizes {
            input,
            hidden: h,
            layers: config.rnn_layers,
            dropout: config.layer_dropout(),
            bidirectional,
        };
        let of_source = sizes(fields.source.dim, true);
        let of_target = sizes(fields.target.dim, false);
        let source_lstm = Lstm::new("encode_target.forward_backward_a", &of_source, p, device)?;
        let forward_lstm = Lstm::new("encode_target.forward_b", &of_target, p, device)?;
        let backward_lstm = Lstm::new("encode_target.backward_b", &of_target, p, device)?;
        let attention = Attention::new("encode_target.attention", 2 * h, p, device)?;
        let mut matrix = |name: &str, rows, columns| {
            p.trainable(format!("encode_target.{name}"), init::xavier_uniform([rows, columns], device)?)
        };
        let mix_states = matrix("S", 2 * h, 2 * o)?;
        let mix_neighbours = matrix("V", 2 * fields.target.dim, 2 * o)?;
        let mix_context = matrix("C", 2 * h, 2 * o)?;
        let mix_output = matrix("W2", o, o)?;
        let start = p.trainable("start_PreQEFV", init::zeros(&[1, 1, o], device)?)?;
        let end = p.trainable("end_PreQEFV", init::zeros(&[1, 1, o], device)?)?;

        Ok(Self {
            wanted: Wanted {
                quality: context.wants(QUALITY),
                target_logits: context.wants(TARGET_LOGITS),
                pe_logits: context.wants(PE_LOGITS),
            },
            hidden_size: h,
            output_size: o,
            vocabulary_size,
            special,
            parameters,
            source,
            target,
            output_table,
            source_lstm,
            forward_lstm,
            backward_lstm,
            attention,
            device,
            mix_states,
            mix_neighbours,
            mix_context,
            mix_output,
            start,
            end,
        })
    }

    fn hidden_size(&self) -> i64 {
        self.hidden_size
    }

    fn feature_sizes(&self) -> BTreeMap<String, i64> {
        BTreeMap::from([
            (QUALITY.to_owned(), self.output_size + 2 * self.hidden_size),
            (TARGET_LOGITS.to_owned(), self.vocabulary_size),
            (PE_LOGITS.to_owned(), self.vocabulary_size),
        ])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn forward(&mut self, batch: &Batch, pass: &mut Pass) -> Result<Features> {
        let encode = self.way(batch, pass)?;
        let mut features = Features::new();
        if self.wanted.quality || self.wanted.target_logits {
            let field = batch.field("target")?;
            let target = encode(field, pass)?;
            if self.wanted.quality {
                features.push(QUALITY, Feature::Tensor(self.quality_features(field, &target)?));
            }
            features.push(TARGET_LOGITS, self.logits(target.predicted));
        }
        if self.wanted.pe_logits
            && let Some(field) = batch.find("pe")
        {
            let post_edit = encode(field, pass)?;
            features.push(PE_LOGITS, self.logits(post_edit.predicted));
        }
        Ok(features)
    }
}

/// The encoded target: f `[B, T, o]` and the states F and R `[B, T, h]`.
struct EncodedTarget {
    predicted: Tensor,
    forward: Tensor,
    backward: Tensor,
}

impl PredictorEncoder {
    /// Encodes the source; what encodes a target by it.
    fn way<'a>(&'a self, batch: &Batch, pass: &mut Pass) -> Result<EncodeTarget<'a>> {
        let source = batch.field("source")?;
        if self.can_pack(batch, pass)? {
            let source = self.pack_source(source, pass.training())?;
            Ok(Box::new(move |field, pass| self.pack_target(field, &source, pass.training())))
        } else {
            let source = self.encode_source(source, pass)?;
            Ok(Box::new(move |field, pass| self.encode_target(field, &source, pass)))
        }
    }

    /// Whether this pass can do without padding. The fused operations are of the CPU, and trace nothing; and the quality features of a sentence's `<eos>` depend on the padding that follows, unless none does.
    fn can_pack(&self, batch: &Batch, pass: &Pass) -> Result<bool> {
        if self.device != Device::Cpu || plain_operations() || pass.traced() {
            return Ok(false);
        }
        let even = |field: &Field| -> Result<bool> {
            let width = field.ids()?.size()[1];
            Ok(Vec::<i64>::try_from(field.lengths()?)?.iter().all(|length| *length == width))
        };
        Ok(!self.wanted.quality || even(batch.field("target")?)?)
    }

    /// f `[.., o]` of queries `[.., 2h]`, their words' neighbours `[.., 2E]` and contexts `[.., 2h]`: the largest of each two of
    /// `S q + V x + C a`, times W2.
    fn predict(&self, query: &Tensor, around: &Tensor, context: &Tensor) -> Result<Tensor> {
        let mixed = query
            .f_matmul(&self.mix_states)?
            .f_add(&around.f_matmul(&self.mix_neighbours)?)?
            .f_add(&context.f_matmul(&self.mix_context)?)?;
        let pairs = mixed.f_unflatten(-1, [self.output_size, 2])?.f_unbind(-1)?;
        let largest = pairs[0].f_maximum(&pairs[1])?;
        Ok(largest.f_matmul(&self.mix_output)?)
    }

    /// O f, left for the head to compute where it is needed.
    fn logits(&self, predicted: Tensor) -> Feature {
        Feature::Projection(Projection::new(predicted, self.output_table.shallow_clone(), None))
    }

    /// `[B, T, o + 2h]`: O[y] * f, its first and last position replaced by learned vectors, beside the states.
    fn quality_features(&self, field: &Field, target: &EncodedTarget) -> Result<Tensor> {
        let ids = field.ids()?;
        let (rows, width) = (ids.size()[0], ids.size()[1]);
        let inner = |x: &Tensor| x.f_narrow(1, 1, width - 2);
        let gold = Tensor::f_embedding(&self.output_table, &inner(ids)?, self.special.pad, false, false)?;
        let product = gold.f_mul(&inner(&target.predicted)?)?;
        let ends = |vector: &Tensor| vector.f_expand([rows, 1, self.output_size], false);
        let product = Tensor::f_cat(&[ends(&self.start)?, product, ends(&self.end)?], 1)?;
        Ok(Tensor::f_cat(&[&product, &target.forward, &target.backward], -1)?)
    }
}
