//! `PredictorEncoder`: predicts each target word from the source sentence and its target neighbours, never from the
//! word itself (Kim et al. 2017, "Predictor-Estimator using Multilevel Task Learning with Stack Propagation").
//!
//! h is the hidden size, o the output size, E the size of an embedding, V the target vocabulary, S and T the widths of
//! source and target in a batch of B pairs.

mod attention;
mod config;
mod embedding;
mod lstm;

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;

use attention::Attention;
use config::Config;
use embedding::Embedding;
use lstm::{Lstm, Sizes, States};

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
        let source = self.encode_source(batch.field("source")?, pass)?;
        let mut features = Features::new();
        if self.wanted.quality || self.wanted.target_logits {
            let field = batch.field("target")?;
            let target = self.encode_target(field, &source, pass)?;
            if self.wanted.quality {
                features.push(QUALITY, Feature::Tensor(self.quality_features(field, &target)?));
            }
            features.push(TARGET_LOGITS, self.logits(target.predicted));
        }
        if self.wanted.pe_logits
            && let Some(field) = batch.find("pe")
        {
            let post_edit = self.encode_target(field, &source, pass)?;
            features.push(PE_LOGITS, self.logits(post_edit.predicted));
        }
        Ok(features)
    }
}

/// The encoded source: A `[B, S, 2h]`, its final states, and where its words are `[B, S]`.
struct EncodedSource {
    keys: Tensor,
    states: States,
    mask: Tensor,
}

/// The encoded target: f `[B, T, o]` and the states F and R `[B, T, h]`.
struct EncodedTarget {
    predicted: Tensor,
    forward: Tensor,
    backward: Tensor,
}

impl PredictorEncoder {
    fn encode_source(&self, field: &Field, pass: &mut Pass) -> Result<EncodedSource> {
        let x = self.source.forward(field.ids()?, pass.training())?;
        let (keys, states) = self.source_lstm.over_lengths(&x, field.lengths()?, pass.training())?;
        for (name, tensor) in [("x_source", &x), ("A", &keys), ("h_n", &states.h), ("c_n", &states.c)] {
            pass.trace(name, tensor);
        }
        Ok(EncodedSource { keys, states, mask: field.strict_mask()?.shallow_clone() })
    }

    /// A target, or a post-edit by the same parameters; what is traced of a post-edit has `pe_` before its name.
    ///
    /// In training mode the first and the last position of f are zero: no loss counts them and no feature reads them.
    fn encode_target(&self, field: &Field, source: &EncodedSource, pass: &mut Pass) -> Result<EncodedTarget> {
        let training = pass.training();
        let x = self.target.forward(field.ids()?, training)?;
        let reverse = reverse_within(field.lengths()?, &x)?;
        let forward = self.forward_lstm.over_padded(&x, &source.states.of_direction(0)?, training)?;
        let backward = self.backward_lstm.over_padded(
            &gather_rows(&x, &reverse)?,
            &source.states.of_direction(1)?,
            training,
        )?;
        let backward = gather_rows(&backward, &reverse)?;
        let prefix = if field.name == "pe" { "pe_" } else { "" };
        for (name, tensor) in [("x_target", &x), ("F", &forward), ("R", &backward)] {
            pass.trace(&format!("{prefix}{name}"), tensor);
        }

        let only_inner = training;
        let query = neighbours(&forward, &backward, only_inner)?;
        let around = neighbours(&x, &x, only_inner)?;
        let context = self.attention.forward(&query, &source.keys, &source.mask, prefix, pass)?;
        let mixed = query
            .f_matmul(&self.mix_states)?
            .f_add(&around.f_matmul(&self.mix_neighbours)?)?
            .f_add(&context.f_matmul(&self.mix_context)?)?;
        let size = mixed.size();
        let largest = mixed.f_view([size[0], size[1], self.output_size, 2])?.f_amax([-1i64], false)?;
        let predicted = largest.f_matmul(&self.mix_output)?;
        for (name, tensor) in [("q", &query), ("a", &context), ("f", &predicted)] {
            pass.trace(&format!("{prefix}{name}"), tensor);
        }
        let predicted = if only_inner { predicted.f_constant_pad_nd([0i64, 0, 1, 1])? } else { predicted };
        Ok(EncodedTarget { predicted, forward, backward })
    }

    /// O f, left for the head to compute where it is needed.
    fn logits(&self, predicted: Tensor) -> Feature {
        Feature::Projection(Projection {
            input: predicted,
            weight: self.output_table.shallow_clone(),
            bias: None,
        })
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

/// `[B, T]`: for each row the positions in reverse within its length, padding staying in place.
fn reverse_within(lengths: &Tensor, like: &Tensor) -> Result<Tensor> {
    let positions = Tensor::f_arange(like.size()[1], (Kind::Int64, Device::Cpu))?.f_unsqueeze(0)?;
    let lengths = lengths.f_unsqueeze(1)?;
    let reversed = lengths.f_sub(&positions)?.f_sub_scalar(1)?;
    Ok(reversed.f_where_self(&positions.f_lt_tensor(&lengths)?, &positions)?.f_to(like.device())?)
}

/// Row by row, the positions `index` `[B, T]` of `x` `[B, T, D]`.
fn gather_rows(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    Ok(x.f_gather(1, &index.f_unsqueeze(-1)?.f_expand_as(x)?, false)?)
}

/// `[left_{i-1} ; right_{i+1}]` for every position i, zero outside; or for the inner positions 1 .. T-2 only.
fn neighbours(left: &Tensor, right: &Tensor, only_inner: bool) -> Result<Tensor> {
    let width = left.size()[1];
    if only_inner {
        let (left, right) = (left.f_narrow(1, 0, width - 2)?, right.f_narrow(1, 2, width - 2)?);
        return Ok(Tensor::f_cat(&[left, right], -1)?);
    }
    let left = left.f_narrow(1, 0, width - 1)?.f_constant_pad_nd([0i64, 0, 1, 0])?;
    let right = right.f_narrow(1, 1, width - 1)?.f_constant_pad_nd([0i64, 0, 0, 1])?;
    Ok(Tensor::f_cat(&[left, right], -1)?)
}
