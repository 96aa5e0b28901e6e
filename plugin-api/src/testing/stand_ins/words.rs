//! A head in the place of one that is not under test.

use tch::{Kind, Tensor, no_grad};

use super::NoOptions;
use crate::{
    Batch, Component, Features, Head, HeadContext, HeadNeeds, HeadOutput, MetricRequest, Output, Parameters,
    Pass, Result,
};

const LOGITS: &str = "target_logits";

/// Summed cross-entropy of `target_logits`, a tensor or a projection, against the target's words. Has no parameters.
pub struct Words {
    parameters: Parameters,
}

impl Component for Words {
    type Config = NoOptions;
    const CLASS_NAME: &'static str = "Words";
    const SUMMARY: &'static str = "Cross-entropy of target words, for tests of other components";
}

impl Head for Words {
    fn needs(_config: &NoOptions) -> HeadNeeds {
        HeadNeeds::default().features([LOGITS])
    }

    fn create(_config: NoOptions, context: &HeadContext) -> Result<Self> {
        context.feature_size(LOGITS)?;
        Ok(Self { parameters: Parameters::new() })
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn metrics(&self) -> Vec<MetricRequest> {
        vec![MetricRequest::new("target", "PERP")]
    }

    fn forward(&mut self, features: &Features, batch: &Batch, _pass: &mut Pass) -> Result<HeadOutput> {
        let field = batch.field("target")?;
        let positions = field.counted()?;
        let gold = field.ids()?.f_reshape([-1])?.f_index_select(0, positions)?;
        let logits = features.get(LOGITS)?.materialize()?.f_flatten(0, 1)?.f_index_select(0, positions)?;
        let of_gold = logits.f_log_softmax(-1, Kind::Float)?.f_gather(1, &gold.f_unsqueeze(1)?, false)?;
        let nll = of_gold.f_squeeze_dim(1)?.f_neg()?;
        let (probability, correct) = no_grad(|| -> Result<(Tensor, Tensor)> {
            let probability = nll.f_neg()?.f_exp()?;
            Ok((probability, logits.f_argmax(Some(1), false)?.f_eq_tensor(&gold)?))
        })?;
        let output = Output::new(
            "target",
            vec![
                (Output::POSITIONS.to_owned(), positions.shallow_clone()),
                (Output::NLL.to_owned(), nll.f_detach()?),
                (Output::PROBABILITY.to_owned(), probability),
                (Output::CORRECT.to_owned(), correct),
            ],
        );
        Ok(HeadOutput::new(nll.f_sum(Kind::Float)?, vec![output]))
    }
}
