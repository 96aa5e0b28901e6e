//! `LabelSmoothing`: the head of a translation language model whose loss is taken against smoothed labels (Szegedy et al. 2016,
//! "Rethinking the Inception Architecture for Computer Vision").
//!
//! The label of a word is not the word alone but `1 - ε` of it and `ε / V` of each of the V entries of the vocabulary. With logits z,
//! negative log-likelihood `nll` of the gold word y and the mean z̄ of the logits over the vocabulary the loss of a word is
//!
//! ```text
//! (1 - ε) nll + ε · mean over v of (logsumexp z - z_v)  =  nll + ε (z_y - z̄)
//! ```
//!
//! and z̄ is the projection by the mean row of the table. So the smoothed loss needs no logits but those that the fused
//! cross-entropy computes, uses and forgets: no second pass over words times vocabulary, only one over the table.

#[cfg(test)]
mod tests;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::projection_cross_entropy;

register!(head LabelSmoothing);
plugin!();

/// Options under `system.model.tlm_outputs`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// ε, the share of each label that is spread evenly over the vocabulary, in [0, 1).
    pub smoothing: f64,
    /// Train on the post-edits (the field `pe`) as well as on the target.
    pub fine_tune: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { smoothing: 0.1, fine_tune: false }
    }
}

/// The head. It has no parameters.
///
/// Its loss is a sum over the counted words of all outputs, like that of `TLMOutputs`, in training and in validation; what metrics
/// read is not smoothed, so that a perplexity is one.
pub struct LabelSmoothing {
    smoothing: f64,
    parameters: Parameters,
    outputs: &'static [&'static str],
}

impl Component for LabelSmoothing {
    type Config = Config;
    const CLASS_NAME: &'static str = "LabelSmoothing";
    const SUMMARY: &'static str =
        "Predicts each target word, with summed cross-entropy against smoothed labels";

    fn check(config: &Config, report: &mut ConfigReport) {
        let smoothing = config.smoothing;
        report.require((0.0..1.0).contains(&smoothing), "smoothing", smoothing, "a number in [0, 1)");
    }
}

impl Head for LabelSmoothing {
    fn needs(config: &Config) -> HeadNeeds {
        let needs = HeadNeeds::default().features(outputs(config).iter().map(|output| logits_of(output)));
        if config.fine_tune { needs.reads("pe", "fine_tune") } else { needs }
    }

    fn create(config: Config, context: &HeadContext) -> Result<Self> {
        let outputs = outputs(&config);
        for output in outputs {
            context.feature_size(&logits_of(output))?;
        }
        Ok(Self { smoothing: config.smoothing, parameters: Parameters::new(), outputs })
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn metrics(&self) -> Vec<MetricRequest> {
        let of =
            |output: &&str| ["PERP", "ExpErr", "CORRECT"].map(|class| MetricRequest::new(*output, class));
        self.outputs.iter().flat_map(of).collect()
    }

    fn forward(&mut self, features: &Features, batch: &Batch, _pass: &mut Pass) -> Result<HeadOutput> {
        let mut losses = Vec::new();
        let mut outputs = Vec::new();
        for name in self.outputs {
            let (loss, output) = self.output(name, features, batch)?;
            losses.push(loss);
            outputs.push(output);
        }
        let loss = Tensor::f_stack(&losses, 0)?.f_sum(losses[0].kind())?;
        Ok(HeadOutput::new(loss, outputs))
    }
}

impl LabelSmoothing {
    /// Loss and figures of one output: the words of field `name` under the logits `{name}_logits`, over its counted positions.
    fn output(&self, name: &str, features: &Features, batch: &Batch) -> Result<(Tensor, Output)> {
        let field = batch.field(name)?;
        let positions = field.counted()?;
        let gold = field.ids()?.f_reshape([-1])?.f_index_select(0, positions)?;
        let logits = features.projection(&logits_of(name))?;
        let size = logits.input.size().last().copied().unwrap_or_default();
        let input = logits.input.f_reshape([-1, size])?.f_index_select(0, positions)?;
        let figures = projection_cross_entropy(&input, &logits.weight, logits.bias.as_ref(), &gold)?;
        let mut loss = figures.nll.f_sum(figures.nll.kind())?;
        if self.smoothing > 0.0 {
            let excess = excess_of_gold(&input, &logits.weight, logits.bias.as_ref(), &gold)?;
            loss = loss.f_add(&excess.f_mul_scalar(self.smoothing)?)?;
        }
        let output = Output::new(
            name,
            vec![
                (Output::POSITIONS.to_owned(), positions.shallow_clone()),
                (Output::NLL.to_owned(), figures.nll.f_detach()?),
                (Output::PROBABILITY.to_owned(), figures.probability),
                (Output::CORRECT.to_owned(), figures.correct),
            ],
        );
        Ok((loss, output))
    }
}

/// The sum over the rows of `input` `[N, o]` of `z_gold - z̄`: of the logit of `gold` `[N]` less the mean logit.
fn excess_of_gold(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>, gold: &Tensor) -> Result<Tensor> {
    let kind = if weight.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    let rows = weight.f_index_select(0, gold)?.f_sub(&weight.f_mean_dim(0, true, kind)?)?;
    let mut excess = input.f_mul(&rows)?.f_sum(kind)?;
    if let Some(bias) = bias {
        let mean = bias.f_mean(kind)?;
        excess = excess.f_add(&bias.f_index_select(0, gold)?.f_sub(&mean)?.f_sum(kind)?)?;
    }
    Ok(excess)
}

/// The outputs: the fields whose words are predicted.
fn outputs(config: &Config) -> &'static [&'static str] {
    if config.fine_tune { &["target", "pe"] } else { &["target"] }
}

/// The feature that an output reads.
fn logits_of(output: &str) -> String {
    format!("{output}_logits")
}
