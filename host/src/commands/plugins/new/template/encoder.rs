//! `template_class`: predicts each word of the target from the words on either side of it and from the mean of the source.
//!
//! In shapes, B is the number of sentences, T the width of the target, h the hidden size, V the size of the target's vocabulary.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;

/// The feature that quality estimation reads.
const STATES: &str = "target";
/// The feature that the head of a translation language model reads.
const LOGITS: &str = "target_logits";

/// Options under `system.model.encoder`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Size of an embedding and of a state; at least 1.
    pub hidden_size: i64,
    /// Share of each state that is dropped in training; in [0, 1).
    pub dropout: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            dropout: 0.0,
        }
    }
}

/// The encoder.
pub struct TemplateStruct {
    config: Config,
    special: SpecialIds,
    vocabulary_size: i64,
    wants_logits: bool,
    parameters: Parameters,
    /// `[source vocabulary, h]` and `[V, h]`.
    source: Tensor,
    target: Tensor,
    /// `[h, 3h]` and `[h]`.
    mix: Tensor,
    mix_bias: Tensor,
    /// `[V, h]` and `[V]`.
    output: Tensor,
    output_bias: Tensor,
}

impl Component for TemplateStruct {
    type Config = Config;
    const CLASS_NAME: &'static str = "template_class";
    const SUMMARY: &'static str = "template summary";

    fn check(config: &Config, report: &mut ConfigReport) {
        let (size, dropout) = (config.hidden_size, config.dropout);
        report.require(size >= 1, "hidden_size", size, "an integer of at least 1");
        let valid = (0.0..1.0).contains(&dropout);
        report.require(valid, "dropout", dropout, "a number in [0, 1)");
    }
}

impl Encoder for TemplateStruct {
    fn create(config: Config, context: &EncoderContext) -> Result<Self> {
        let device = context.device()?;
        let (h, pad) = (config.hidden_size, context.special.pad);
        let source_size = context.vocabulary_size("source")?;
        let vocabulary_size = context.vocabulary_size("target")?;
        let table = |rows: i64| -> Result<Tensor> {
            let values = init::normal(&[rows, h], device)?;
            // Padding is nothing, so that a sentence's features do not depend on the others of its batch.
            let _ = values.f_select(0, pad)?.f_zero_()?;
            Ok(values)
        };
        let mut p = Parameters::new();
        Ok(Self {
            source: p.trainable("source.weight", table(source_size)?)?,
            target: p.trainable("target.weight", table(vocabulary_size)?)?,
            mix: p.trainable("mix.weight", init::xavier_uniform([h, 3 * h], device)?)?,
            mix_bias: p.trainable("mix.bias", init::zeros(&[h], device)?)?,
            output: p.trainable(
                "output.weight",
                init::xavier_uniform([vocabulary_size, h], device)?,
            )?,
            output_bias: p.trainable("output.bias", init::zeros(&[vocabulary_size], device)?)?,
            parameters: p,
            special: context.special,
            vocabulary_size,
            wants_logits: context.wants(LOGITS),
            config,
        })
    }

    fn hidden_size(&self) -> i64 {
        self.config.hidden_size
    }

    fn feature_sizes(&self) -> BTreeMap<String, i64> {
        BTreeMap::from([
            (STATES.to_owned(), self.config.hidden_size),
            (LOGITS.to_owned(), self.vocabulary_size),
        ])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn forward(&mut self, batch: &Batch, pass: &mut Pass) -> Result<Features> {
        let target = self.lookup(&self.target, batch.field("target")?)?;
        let (rows, width, h) = target.size3()?;
        let nothing = target.f_new_zeros([rows, 1, h], (target.kind(), target.device()))?;
        let before = Tensor::f_cat(&[&nothing, &target.f_narrow(1, 0, width - 1)?], 1)?;
        let after = Tensor::f_cat(&[&target.f_narrow(1, 1, width - 1)?, &nothing], 1)?;
        let source = self
            .mean_of_source(batch)?
            .f_expand([rows, width, h], false)?;
        let states = Tensor::f_cat(&[&source, &before, &after], -1)?
            .f_linear(&self.mix, Some(&self.mix_bias))?
            .f_tanh()?
            .f_dropout(self.config.dropout, pass.training())?;
        pass.trace("states", &states);

        let mut features = Features::new().with(STATES, Feature::Tensor(states.shallow_clone()));
        if self.wants_logits {
            // Not computed here: the head projects the positions that it needs, and no others.
            let (weight, bias) = (&self.output, &self.output_bias);
            let logits =
                Projection::new(states, weight.shallow_clone(), Some(bias.shallow_clone()));
            features.push(LOGITS, Feature::Projection(logits));
        }
        Ok(features)
    }
}

impl TemplateStruct {
    /// The embeddings of a field, `[B, its width, h]`.
    fn lookup(&self, table: &Tensor, field: &Field) -> Result<Tensor> {
        let pad = self.special.pad;
        Ok(Tensor::f_embedding(table, field.ids()?, pad, false, false)?)
    }

    /// The mean of each source sentence's embeddings, `[B, 1, h]`.
    fn mean_of_source(&self, batch: &Batch) -> Result<Tensor> {
        let field = batch.field("source")?;
        let words = field.strict_mask()?.f_unsqueeze(-1)?;
        let words = words.f_to_kind(self.source.kind())?;
        let sum = self.lookup(&self.source, field)?.f_mul(&words)?;
        let sum = sum.f_sum_dim_intlist(1, true, None::<Kind>)?;
        let count = words
            .f_sum_dim_intlist(1, true, None::<Kind>)?
            .f_clamp_min(1)?;
        Ok(sum.f_div(&count)?)
    }
}

register!(encoder TemplateStruct);
plugin!();

#[cfg(test)]
mod tests {
    use kiwi_plugin_api::serde_json::json;
    use kiwi_plugin_api::testing::{
        self, GradientCheck, Setting, Tolerance, Training, assert_close, stand_ins,
    };

    use super::*;

    fn setting() -> Setting {
        Setting::new()
            .vocabulary("source", 12)
            .vocabulary("target", 15)
    }

    fn encoder() -> Result<TemplateStruct> {
        setting().encoder(json!({"hidden_size": 8}))
    }

    /// The logits of each target position, `[B, T, V]`.
    fn logits(encoder: &mut TemplateStruct, batch: &Batch) -> Result<Tensor> {
        testing::encode(encoder, batch, false)?
            .get(LOGITS)?
            .materialize()
    }

    #[test]
    fn it_gives_what_it_says() -> Result<()> {
        let mut encoder = encoder()?;
        for batch in setting().batches(1).take(5) {
            let batch = batch?;
            let shape = batch.field("target")?.ids()?.size();
            // Sizes are compared with `feature_sizes` by `encode`.
            let features = testing::encode(&mut encoder, &batch, true)?;
            assert_eq!(
                features.get(STATES)?.materialize()?.size(),
                [shape[0], shape[1], 8]
            );
            assert_eq!(features.projection(LOGITS)?.weight.size(), [15, 8]);
        }
        Ok(())
    }

    #[test]
    fn what_nobody_reads_is_not_given() -> Result<()> {
        let setting = setting().features([STATES]);
        let mut encoder: TemplateStruct = setting.encoder(json!({}))?;
        let batch = setting.batch(&[("source", &[vec![5]]), ("target", &[vec![6]])])?;
        let features = testing::encode(&mut encoder, &batch, false)?;
        assert!(features.get(LOGITS).is_err());
        Ok(())
    }

    #[test]
    fn a_word_is_predicted_without_being_seen() -> Result<()> {
        let mut encoder = encoder()?;
        let of =
            |word| setting().batch(&[("source", &[vec![5, 6]]), ("target", &[vec![7, word, 9]])]);
        let (one, other) = (
            logits(&mut encoder, &of(8)?)?,
            logits(&mut encoder, &of(10)?)?,
        );
        // Position 0 is <bos>, so the word is at 2.
        let at = |logits: &Tensor, position| logits.f_select(1, position);
        assert_close("logits", &at(&one, 2)?, &at(&other, 2)?, Tolerance::EXACT);
        assert_ne!(at(&one, 1)?, at(&other, 1)?, "its neighbours see it");
        Ok(())
    }

    #[test]
    fn a_sentence_does_not_depend_on_the_others_of_its_batch() -> Result<()> {
        let mut encoder = encoder()?;
        let (source, target) = (vec![5, 6], vec![7, 8]);
        let alone =
            setting().batch(&[("source", &[source.clone()]), ("target", &[target.clone()])])?;
        let beside = setting().batch(&[
            ("source", &[source, vec![9; 6]]),
            ("target", &[target, vec![10; 9]]),
        ])?;
        let beside = logits(&mut encoder, &beside)?
            .f_narrow(0, 0, 1)?
            .f_narrow(1, 0, 4)?;
        let alone = logits(&mut encoder, &alone)?;
        assert_close("logits", &beside, &alone, Tolerance::of(1e-6));
        Ok(())
    }

    #[test]
    fn it_learns() -> Result<()> {
        let mut encoder: TemplateStruct = setting().encoder(json!({"dropout": 0.1}))?;
        let mut head = setting().head::<stand_ins::Words, _>(json!({}), &encoder)?;
        let groups = testing::groups(&encoder, &head);
        let mut adam = setting().optimizer::<stand_ins::Adam>(json!({}), groups)?;
        let batches = setting().batches(1).take(4).collect::<Result<Vec<_>>>()?;
        let losses = testing::train(
            &mut encoder,
            &mut head,
            &mut adam,
            &batches,
            Training::default(),
        )?;
        assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
        Ok(())
    }

    #[test]
    fn its_gradients_are_those_of_differences() -> Result<()> {
        let mut encoder = encoder()?;
        let mut head = setting().head::<stand_ins::Words, _>(json!({}), &encoder)?;
        let batch = setting().batch(&[("source", &[vec![5, 6]]), ("target", &[vec![7, 8, 9]])])?;
        let parameters = testing::groups(&encoder, &head).remove(0).parameters;
        testing::check_gradients(&parameters, GradientCheck::default(), || {
            let features = testing::encode(&mut encoder, &batch, true)?;
            Ok(testing::predict(&mut head, &features, &batch, true)?.loss)
        })
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let wrong = json!({"hidden_size": 0, "dropout": 1.0});
        let errors = testing::report::<TemplateStruct>(&wrong).errors;
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["hidden_size", "dropout"]);
    }
}
