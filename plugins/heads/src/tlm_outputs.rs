//! `TLMOutputs`: cross-entropy of the logits over the target vocabulary against the words that stand there.
//!
//! The encoder gives the logits as a projection, so only the positions that count are ever projected, in one pass that
//! also yields what the metrics need (Kim et al. 2017, "Predictor-Estimator using Multilevel Task Learning with Stack
//! Propagation").

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::projection_cross_entropy;

/// Options under `system.model.tlm_outputs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Train on the post-edits (the field `pe`) as well as on the target.
    pub(crate) fine_tune: bool,
}

/// The head of a translation language model. It has no parameters.
pub(crate) struct TlmOutputs {
    parameters: Parameters,
    outputs: &'static [&'static str],
}

impl Component for TlmOutputs {
    type Config = Config;
    const CLASS_NAME: &'static str = "TLMOutputs";
    const SUMMARY: &'static str =
        "Predicts each target word: summed cross-entropy, perplexity, expected error, share correct";
}

impl Head for TlmOutputs {
    fn needs(config: &Config) -> HeadNeeds {
        let needs = HeadNeeds::default().features(outputs(config).iter().map(|output| logits_of(output)));
        if config.fine_tune { needs.reads("pe", "fine_tune") } else { needs }
    }

    fn create(config: Config, context: &HeadContext) -> Result<Self> {
        let outputs = outputs(&config);
        for output in outputs {
            context.feature_size(&logits_of(output))?;
        }
        Ok(Self { parameters: Parameters::new(), outputs })
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn metrics(&self) -> Vec<MetricRequest> {
        self.outputs
            .iter()
            .flat_map(|output| ["PERP", "ExpErr", "CORRECT"].map(|class| MetricRequest::new(*output, class)))
            .collect()
    }

    fn forward(&mut self, features: &Features, batch: &Batch, _pass: &mut Pass) -> Result<HeadOutput> {
        let outputs =
            self.outputs.iter().map(|name| output(name, features, batch)).collect::<Result<Vec<_>>>()?;
        let mut loss: Option<Tensor> = None;
        for output in &outputs {
            let sum = output.tensor(Output::NLL)?.f_sum(Kind::Float)?;
            loss = Some(match loss {
                Some(loss) => loss.f_add(&sum)?,
                None => sum,
            });
        }
        let loss = loss.ok_or_else(|| Error::new("a head needs at least one output"))?;
        let outputs = outputs.into_iter().map(detached).collect::<Result<_>>()?;
        Ok(HeadOutput::new(loss, outputs))
    }
}

/// The outputs: the fields whose words are predicted.
fn outputs(config: &Config) -> &'static [&'static str] {
    if config.fine_tune { &["target", "pe"] } else { &["target"] }
}

/// The feature that an output reads.
fn logits_of(output: &str) -> String {
    format!("{output}_logits")
}

/// The figures of one output: the words of field `name` under the logits `{name}_logits`, over the N counted positions.
fn output(name: &str, features: &Features, batch: &Batch) -> Result<Output> {
    let field = batch.field(name)?;
    let positions = field.counted()?;
    let gold = field.ids()?.f_reshape([-1])?.f_index_select(0, positions)?;
    let logits = features.projection(&logits_of(name))?;
    let size = *logits.input.size().last().unwrap_or(&0);
    let input = logits.input.f_reshape([-1, size])?.f_index_select(0, positions)?;
    let figures = projection_cross_entropy(&input, &logits.weight, logits.bias.as_ref(), &gold)?;
    Ok(Output::new(
        name,
        vec![
            (Output::POSITIONS.to_owned(), positions.shallow_clone()),
            (Output::NLL.to_owned(), figures.nll),
            (Output::PROBABILITY.to_owned(), figures.probability),
            (Output::CORRECT.to_owned(), figures.correct),
        ],
    ))
}

/// The same figures without their history: metrics never differentiate.
fn detached(output: Output) -> Result<Output> {
    let tensors = output
        .tensors()
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), tensor.f_detach()?)))
        .collect::<Result<_>>()?;
    Ok(Output::new(output.name, tensors))
}
