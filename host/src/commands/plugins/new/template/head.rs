//! `template_class`: cross-entropy of the encoder's `target_logits` against the words that stand there, with label smoothing.
//!
//! In shapes, N is the number of words that count, V the size of the target's vocabulary, K that of the projection's input.

use kiwi_plugin_api::prelude::*;

/// The feature that it reads.
const LOGITS: &str = "target_logits";
/// The output that it gives, and the field whose words it predicts.
const TARGET: &str = "target";

/// Options under `system.model.tlm_outputs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Share of the gold word's probability that is spread over all words in training; in [0, 1).
    pub label_smoothing: f64,
}

/// The head. It has no parameters.
pub struct TemplateStruct {
    config: Config,
    parameters: Parameters,
}

impl Component for TemplateStruct {
    type Config = Config;
    const CLASS_NAME: &'static str = "template_class";
    const SUMMARY: &'static str = "template summary";

    fn check(config: &Config, report: &mut ConfigReport) {
        let smoothing = config.label_smoothing;
        let valid = (0.0..1.0).contains(&smoothing);
        report.require(valid, "label_smoothing", smoothing, "a number in [0, 1)");
    }
}

impl Head for TemplateStruct {
    fn needs(_config: &Config) -> HeadNeeds {
        HeadNeeds::default().features([LOGITS])
    }

    fn create(config: Config, context: &HeadContext) -> Result<Self> {
        context.feature_size(LOGITS)?;
        let parameters = Parameters::new();
        Ok(Self { config, parameters })
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn metrics(&self) -> Vec<MetricRequest> {
        ["PERP", "CORRECT"]
            .map(|class| MetricRequest::new(TARGET, class))
            .into()
    }

    fn forward(
        &mut self,
        features: &Features,
        batch: &Batch,
        pass: &mut Pass,
    ) -> Result<HeadOutput> {
        let field = batch.field(TARGET)?;
        let positions = field.counted()?;
        let gold = field.ids()?.f_reshape([-1])?.f_index_select(0, positions)?;
        // Only positions that count are projected: [N, K] to [N, V].
        let projection = features.projection(LOGITS)?;
        let input = projection
            .input
            .f_flatten(0, 1)?
            .f_index_select(0, positions)?;
        let logits = input.f_linear(&projection.weight, projection.bias.as_ref())?;
        let scores = logits.f_log_softmax(-1, Kind::Float)?;
        let nll = scores
            .f_gather(1, &gold.f_unsqueeze(1)?, false)?
            .f_squeeze_dim(1)?
            .f_neg()?;

        let mut loss = nll.f_sum(Kind::Float)?;
        let smoothing = self.config.label_smoothing;
        if pass.training() && smoothing > 0.0 {
            let of_all = scores
                .f_mean_dim(-1, false, Kind::Float)?
                .f_sum(Kind::Float)?;
            loss = (loss.f_mul_scalar(1.0 - smoothing)?).f_sub(&of_all.f_mul_scalar(smoothing)?)?;
        }

        // What metrics read has no history: they never differentiate.
        let nll = nll.f_detach()?;
        let correct = logits.f_argmax(-1, false)?.f_eq_tensor(&gold)?;
        let output = Output::new(
            TARGET,
            vec![
                (Output::POSITIONS.to_owned(), positions.shallow_clone()),
                (Output::PROBABILITY.to_owned(), nll.f_neg()?.f_exp()?),
                (Output::NLL.to_owned(), nll),
                (Output::CORRECT.to_owned(), correct),
            ],
        );
        Ok(HeadOutput::new(loss, vec![output]))
    }
}

register!(head TemplateStruct);
plugin!();

#[cfg(test)]
mod tests {
    use kiwi_plugin_api::serde_json::json;
    use kiwi_plugin_api::testing::{
        self, GradientCheck, Setting, Tolerance, Training, assert_close, stand_ins,
    };

    use super::*;

    /// An encoder that takes the place of a real one, a head over it, and a batch.
    fn parts(
        options: kiwi_plugin_api::serde_json::Value,
    ) -> Result<(stand_ins::WordSums, TemplateStruct, Batch)> {
        let setting = Setting::new().vocabulary("target", 11);
        let encoder = setting.encoder(json!({}))?;
        let head = setting.head(options, &encoder)?;
        let batch = setting.batch(&[
            ("source", &[vec![5, 6], vec![7]]),
            ("target", &[vec![8, 9, 10], vec![0]]),
        ])?;
        Ok((encoder, head, batch))
    }

    #[test]
    fn each_word_counts_once() -> Result<()> {
        let (mut encoder, mut head, batch) = parts(json!({}))?;
        let features = testing::encode(&mut encoder, &batch, false)?;
        let given = testing::predict(&mut head, &features, &batch, false)?;
        let output = &given.outputs[0];
        // Three words of the first sentence, and the second's, which is <unk>; neither <bos> nor <eos> nor padding.
        let positions = Vec::<i64>::try_from(output.tensor(Output::POSITIONS)?)?;
        assert_eq!(positions, [1, 2, 3, 6]);
        let nll = output.tensor(Output::NLL)?;
        assert_close(
            "loss",
            &given.loss,
            &nll.f_sum(Kind::Float)?,
            Tolerance::of(1e-6),
        );
        let probability = output.tensor(Output::PROBABILITY)?;
        assert_close(
            "probability",
            probability,
            &(-nll).exp(),
            Tolerance::of(1e-6),
        );
        Ok(())
    }

    #[test]
    fn smoothing_is_of_training_only() -> Result<()> {
        let (mut encoder, mut plain, batch) = parts(json!({}))?;
        let (_, mut smooth, _) = parts(json!({"label_smoothing": 0.2}))?;
        let features = testing::encode(&mut encoder, &batch, false)?;
        let loss = |head: &mut TemplateStruct, training| -> Result<f64> {
            let output = testing::predict(head, &features, &batch, training)?;
            Ok(f64::try_from(output.loss)?)
        };
        assert_eq!(loss(&mut plain, false)?, loss(&mut smooth, false)?);
        assert_ne!(loss(&mut plain, true)?, loss(&mut smooth, true)?);
        Ok(())
    }

    #[test]
    fn an_encoder_learns_by_it() -> Result<()> {
        let (mut encoder, mut head, batch) = parts(json!({"label_smoothing": 0.05}))?;
        let groups = testing::groups(&encoder, &head);
        let mut adam = Setting::new().optimizer::<stand_ins::Adam>(json!({}), groups)?;
        let training = Training {
            learning_rate: 0.05,
            ..Training::default()
        };
        let losses = testing::train(&mut encoder, &mut head, &mut adam, &[batch], training)?;
        assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
        Ok(())
    }

    #[test]
    fn its_gradients_are_those_of_differences() -> Result<()> {
        let (mut encoder, mut head, batch) = parts(json!({"label_smoothing": 0.2}))?;
        let parameters = testing::groups(&encoder, &head).remove(0).parameters;
        testing::check_gradients(&parameters, GradientCheck::default(), || {
            let features = testing::encode(&mut encoder, &batch, true)?;
            Ok(testing::predict(&mut head, &features, &batch, true)?.loss)
        })
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let errors = testing::report::<TemplateStruct>(&json!({"label_smoothing": 1.0})).errors;
        assert_eq!(errors[0].path, "label_smoothing");
    }
}
