//! The built-in metrics over the tokens that a head's loss counts: `PERP`, `ExpErr`, `CORRECT` and `NLL`.
//!
//! All of them add up a sum and a number of tokens over batches and divide at the end, so that a value over many batches
//! never depends on how the pairs were batched. Sums within a batch of the negative log-likelihood are float32, everything
//! else float64.

use kiwi_plugin_api::prelude::*;

register!(metric Perplexity);
register!(metric ExpectedError);
register!(metric Correct);
register!(metric NegativeLogLikelihood);
plugin!();

/// These metrics have no options.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Config {}

/// `exp(sum of NLL / tokens)`; smaller is better. Infinite above 709 nats a token.
pub struct Perplexity;

/// `sum of (1 - p(gold)) / tokens`; smaller is better.
pub struct ExpectedError;

/// Share of tokens whose most probable class is the gold one; larger is better.
pub struct Correct;

/// `sum of NLL / tokens`, in nats; smaller is better.
pub struct NegativeLogLikelihood;

/// The sum over the tokens of `values` and their number: what one batch adds, `[2]` float64.
fn sum_and_count(values: &Tensor, kind: Kind) -> Result<Tensor> {
    let sum = values.f_sum(kind)?.f_to_kind(Kind::Double)?;
    let count = Tensor::f_full_like(&sum, values.numel() as f64)?;
    Ok(Tensor::f_stack(&[sum, count], 0)?)
}

/// Sum over count; nothing where nothing was counted.
fn mean(total: &[f64]) -> Option<f64> {
    match total {
        [sum, count] if *count > 0.0 => Some(sum / count),
        _ => None,
    }
}

impl Component for Perplexity {
    type Config = Config;
    const CLASS_NAME: &'static str = "PERP";
    const SUMMARY: &'static str =
        "Perplexity of the gold tokens: exp of their mean negative log-likelihood (min)";
}

impl Metric for Perplexity {
    const ORDERING: Ordering = Ordering::Min;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self)
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        sum_and_count(output.tensor(Output::NLL)?, Kind::Float)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        mean(total).map(f64::exp)
    }
}

impl Component for ExpectedError {
    type Config = Config;
    const CLASS_NAME: &'static str = "ExpErr";
    const SUMMARY: &'static str = "Expected error: mean of 1 - p(gold token) (min)";
}

impl Metric for ExpectedError {
    const ORDERING: Ordering = Ordering::Min;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self)
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        sum_and_count(&output.tensor(Output::PROBABILITY)?.f_rsub_scalar(1.0)?, Kind::Double)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        mean(total)
    }
}

impl Component for Correct {
    type Config = Config;
    const CLASS_NAME: &'static str = "CORRECT";
    const SUMMARY: &'static str =
        "Share of tokens predicted exactly: the most probable class is the gold one (max)";
}

impl Metric for Correct {
    const ORDERING: Ordering = Ordering::Max;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self)
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        sum_and_count(output.tensor(Output::CORRECT)?, Kind::Double)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        mean(total)
    }
}

impl Component for NegativeLogLikelihood {
    type Config = Config;
    const CLASS_NAME: &'static str = "NLL";
    const SUMMARY: &'static str = "Mean negative log-likelihood of the gold tokens, in nats (min)";
}

impl Metric for NegativeLogLikelihood {
    const ORDERING: Ordering = Ordering::Min;

    fn create(_config: Config) -> Result<Self> {
        Ok(Self)
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        sum_and_count(output.tensor(Output::NLL)?, Kind::Float)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        mean(total)
    }
}
