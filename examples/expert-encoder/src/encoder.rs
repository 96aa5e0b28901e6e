//! The component: from the ids of a batch to features.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;

use crate::affine::{Affine, Place, normalised};
use crate::config::Config;
use crate::embedding::{Embedding, look_up, table};
use crate::packing::Packing;
use crate::stack::{Memory, Stack};

/// Names of the features.
const QUALITY: &str = "target";
const TARGET_LOGITS: &str = "target_logits";
const PE_LOGITS: &str = "pe_logits";

/// Stacks over the target: from the left, from the right.
const WAYS: i64 = 2;

/// The encoder.
pub(crate) struct ExpertEncoder {
    wanted: Wanted,
    size: i64,
    vocabulary_size: i64,
    max_positions: i64,
    device: Device,
    parameters: Parameters,
    source: Embedding,
    target: Embedding,
    source_stack: Stack,
    target_stack: Stack,
    /// From both ways' rows to what the output table is multiplied with.
    merge: Affine,
    /// `[V, H]` and `[V]`.
    output_table: Tensor,
    output_bias: Tensor,
    /// Features of `<bos>` and `<eos>`, `[1, 3 H]` each.
    start: Tensor,
    end: Tensor,
}

/// Which features somebody reads.
struct Wanted {
    quality: bool,
    target_logits: bool,
    pe_logits: bool,
}

/// The words of a field as the encoder has predicted them; N words, each once.
struct Predicted {
    /// `[N]`: their flat positions `b * T + t`.
    positions: Tensor,
    /// `[N, H]`: what the output table is multiplied with.
    merged: Tensor,
    /// `[N, H]` each: what is known of the words to the left, and to the right.
    ways: [Tensor; 2],
}

impl Component for ExpertEncoder {
    type Config = Config;
    const CLASS_NAME: &'static str = "ExpertEncoder";
    const SUMMARY: &'static str =
        "Bidirectional Transformer that predicts each target word from the source and the words around it";

    fn check(config: &Config, report: &mut ConfigReport) {
        config.check(report);
    }
}

impl Encoder for ExpertEncoder {
    fn needs(config: &Config) -> EncoderNeeds {
        config.needs()
    }

    fn create(config: Config, context: &EncoderContext) -> Result<Self> {
        let device = context.device()?;
        let size = config.hidden_size;
        let vocabulary_size = context.vocabulary_size("target")?;
        let mut parameters = Parameters::new();
        let mut all = Place::of_all(&mut parameters, device);

        let source = Embedding::new(&config, context.vocabulary_size("source")?, all.part("source"))?;
        let target = Embedding::new(&config, vocabulary_size, all.part("target"))?;
        let source_stack = Stack::of_source(&config, all.part("source"))?;
        let target_stack = Stack::of_target(&config, all.part("target"))?;
        let merge = Affine::new(1, WAYS * size, 1, size, all.part("output.merge"))?;
        let output_table = if config.share_embeddings {
            parameters.alias("output.table.weight", "target.embedding.weight")?
        } else {
            parameters.trainable("output.table.weight", table(vocabulary_size, size, device)?)?
        };
        let output_bias =
            parameters.trainable("output.table.bias", init::zeros(&[vocabulary_size], device)?)?;
        let start = parameters.trainable("quality.start", init::zeros(&[1, 3 * size], device)?)?;
        let end = parameters.trainable("quality.end", init::zeros(&[1, 3 * size], device)?)?;
        Ok(Self {
            wanted: Wanted {
                quality: context.wants(QUALITY),
                target_logits: context.wants(TARGET_LOGITS),
                pe_logits: context.wants(PE_LOGITS),
            },
            size,
            vocabulary_size,
            max_positions: config.max_positions,
            device,
            parameters,
            source,
            target,
            source_stack,
            target_stack,
            merge,
            output_table,
            output_bias,
            start,
            end,
        })
    }

    fn hidden_size(&self) -> i64 {
        self.size
    }

    fn feature_sizes(&self) -> BTreeMap<String, i64> {
        BTreeMap::from([
            (QUALITY.to_owned(), 3 * self.size),
            (TARGET_LOGITS.to_owned(), self.vocabulary_size),
            (PE_LOGITS.to_owned(), self.vocabulary_size),
        ])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn forward(&mut self, batch: &Batch, pass: &mut Pass) -> Result<Features> {
        let memory = self.encode_source(batch.field("source")?, pass)?;
        let mut features = Features::new();
        if self.wanted.quality || self.wanted.target_logits {
            let field = batch.field("target")?;
            let predicted = self.predict(field, &memory, pass)?;
            if self.wanted.quality {
                features.push(QUALITY, Feature::Tensor(self.quality_features(field, &predicted)?));
            }
            features.push(TARGET_LOGITS, self.logits(field, &predicted)?);
        }
        if self.wanted.pe_logits
            && let Some(field) = batch.find("pe")
        {
            let predicted = self.predict(field, &memory, pass)?;
            features.push(PE_LOGITS, self.logits(field, &predicted)?);
        }
        Ok(features)
    }
}

impl ExpertEncoder {
    /// The source, `<bos>` and `<eos>` among its rows, so that there is something to attend to in an empty one.
    fn encode_source(&self, field: &Field, pass: &Pass) -> Result<Memory> {
        let lengths = self.lengths(field)?;
        let width = field.ids()?.size()[1];
        let rows = || (0..).zip(&lengths).flat_map(|(row, length)| (0..*length).map(move |i| (row, i)));
        let ids = self.ids(field, rows().map(|(row, i)| row * width + i))?;
        let positions = self.indices(rows().map(|(_, i)| i))?;
        let packing = Packing::new(&lengths, 1, self.device)?;
        let embedded = self.source.embed(&ids, &positions, pass)?.f_unsqueeze(0)?;
        let rows = self.source_stack.run(embedded, &packing, None, pass)?;
        Ok(Memory { rows, packing: Packing::new(&lengths, WAYS, self.device)? })
    }

    /// The words of `field`, each predicted from the source and from the other words.
    fn predict(&self, field: &Field, memory: &Memory, pass: &mut Pass) -> Result<Predicted> {
        let words: Vec<i64> = self.lengths(field)?.iter().map(|length| length - 2).collect();
        let width = field.ids()?.size()[1];
        let packing = Packing::new(&words, WAYS, self.device)?;
        // Row i of a sentence of n words predicts word i + 1 from the left, and word n - i from the right.
        let rows = || (0..).zip(&words).flat_map(|(row, count)| (0..*count).map(move |i| (row, i, *count)));
        let from_left = rows().map(|(row, i, _)| (row, i + 1, i));
        let from_right = rows().map(|(row, i, count)| (row, count - i, count - i + 1));
        let all: Vec<(i64, i64, i64)> = from_left.clone().chain(from_right).collect();
        let seen = self.ids(field, all.iter().map(|(row, _, seen)| row * width + seen))?;
        let predicted = self.indices(all.iter().map(|(_, predicted, _)| *predicted))?;
        let positions = self.indices(from_left.map(|(row, predicted, _)| row * width + predicted))?;
        // Where each word's row is among those from the right: the reverse of its sentence.
        let ends = words.iter().scan(0, |end, count| {
            *end += count;
            Some((*end - count, *end))
        });
        let reversed = self.indices(ends.flat_map(|(start, end)| (start..end).rev()))?;

        let x = self.target.embed(&seen, &predicted, pass)?.f_view([WAYS, packing.rows, self.size])?;
        if packing.rows == 0 {
            let none = || x.f_select(0, 0);
            return Ok(Predicted { positions, merged: none()?, ways: [none()?, none()?] });
        }
        let found = self.target_stack.run(x, &packing, Some(memory), pass)?;
        let ways = [found.f_select(0, 0)?, found.f_select(0, 1)?.f_index_select(0, &reversed)?];
        let merged = self.merge.map(&Tensor::f_cat(&ways, 1)?.f_unsqueeze(0)?)?.f_squeeze_dim(0)?;
        let merged = normalised(&merged.f_gelu("none")?)?;
        pass.trace("merged", &merged);
        Ok(Predicted { positions, merged, ways })
    }

    /// The logits of the words, left for the head to compute where it is needed; of the positions that no loss counts those of a
    /// row of zeros.
    fn logits(&self, field: &Field, predicted: &Predicted) -> Result<Feature> {
        Ok(Feature::Projection(Projection::new(
            self.spread(field, &predicted.positions, &predicted.merged)?,
            self.output_table.shallow_clone(),
            Some(self.output_bias.shallow_clone()),
        )))
    }

    /// `[B, T, 3 H]`: of each word the product of its row of the output table and what that is multiplied with, beside both ways'
    /// rows; of `<bos>` and `<eos>` learned vectors; of padding zeros.
    fn quality_features(&self, field: &Field, predicted: &Predicted) -> Result<Tensor> {
        let (lengths, width) = (self.lengths(field)?, field.ids()?.size()[1]);
        let gold = field.ids()?.f_reshape([-1])?.f_index_select(0, &predicted.positions)?;
        let product = look_up(&self.output_table, &gold)?.f_mul(&predicted.merged)?;
        let [left, right] = &predicted.ways;
        let words = Tensor::f_cat(&[&product, left, right], 1)?;
        let each = |vector: &Tensor| vector.f_expand([lengths.len() as i64, -1], false);
        let rows = Tensor::f_cat(&[words, each(&self.start)?, each(&self.end)?], 0)?;
        let starts = (0..lengths.len() as i64).map(|row| row * width);
        let ends = starts.clone().zip(&lengths).map(|(start, length)| start + length - 1);
        let positions = Tensor::f_cat(&[&predicted.positions, &self.indices(starts.chain(ends))?], 0)?;
        self.spread(field, &positions, &rows)
    }

    /// A tensor `[B, T, C]` with these rows `[K, C]` at the flat positions `[K]`, zero elsewhere.
    fn spread(&self, field: &Field, positions: &Tensor, rows: &Tensor) -> Result<Tensor> {
        let [sentences, width] = field.ids()?.size()[..] else {
            return Err(Error::new(format!("the ids of `{}` are no matrix", field.name)));
        };
        let size = rows.size().last().copied().unwrap_or_default();
        let zeros = Tensor::f_zeros([sentences * width, size], (rows.kind(), rows.device()))?;
        Ok(zeros.f_index_copy(0, positions, rows)?.f_view([sentences, width, size])?)
    }

    /// The sentences' lengths, `<bos>` and `<eos>` counted.
    fn lengths(&self, field: &Field) -> Result<Vec<i64>> {
        let lengths = Vec::<i64>::try_from(field.lengths()?)?;
        let width = field.ids()?.size()[1];
        if let Some(length) = lengths.iter().find(|length| **length < 2 || **length > width) {
            return Err(Error::new(format!(
                "a sentence of `{}` has {length} positions, expected 2 to {width}, the width of the batch",
                field.name
            )));
        }
        if let Some(length) = lengths.iter().find(|length| **length > self.max_positions) {
            return Err(Error::new(format!(
                "a sentence of `{}` has {length} positions with <bos> and <eos>, more than max_positions={}",
                field.name, self.max_positions
            )));
        }
        Ok(lengths)
    }

    /// The ids at these flat positions of a field.
    fn ids(&self, field: &Field, positions: impl Iterator<Item = i64>) -> Result<Tensor> {
        Ok(field.ids()?.f_reshape([-1])?.f_index_select(0, &self.indices(positions)?)?)
    }

    /// These numbers, where the parameters are.
    fn indices(&self, numbers: impl Iterator<Item = i64>) -> Result<Tensor> {
        to_device(&Tensor::from_slice(&numbers.collect::<Vec<_>>()), self.device)
    }
}
