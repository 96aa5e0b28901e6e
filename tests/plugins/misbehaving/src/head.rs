//! A head that predicts each target word.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::projection_cross_entropy;

use crate::fault::{Config, Fault};
use crate::sudden;

pub(crate) struct MisbehavingHead {
    config: Config,
    parameters: Parameters,
}

impl Component for MisbehavingHead {
    type Config = Config;
    const CLASS_NAME: &'static str = "MisbehavingHead";
    const SUMMARY: &'static str = "Predicts each target word; misbehaves on demand";

    fn check(config: &Config, report: &mut ConfigReport) {
        let own = [
            Fault::LossNotScalar,
            Fault::LossWithoutHistory,
            Fault::MissingFigures,
            Fault::OtherFeature,
            Fault::ScalarNotScalar,
            Fault::TellsHalfLoss,
            Fault::Twice,
            Fault::MissingOutput,
            Fault::LossNotFloating,
            Fault::MeanLoss,
            Fault::ReturnsLent,
        ];
        config.fault.check(&own, report);
    }
}

impl Head for MisbehavingHead {
    fn needs(config: &Config) -> HeadNeeds {
        config.fault.in_needs();
        let feature = if config.fault == Fault::OtherFeature { "target_logit" } else { "target_logits" };
        HeadNeeds::default().features([feature])
    }

    fn create(config: Config, context: &HeadContext) -> Result<Self> {
        config.fault.in_create()?;
        context.feature_size("target_logits")?;
        Ok(Self { config, parameters: Parameters::new() })
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn metrics(&self) -> Vec<MetricRequest> {
        vec![MetricRequest::new("target", "PERP")]
    }

    fn forward(&mut self, features: &Features, batch: &Batch, _pass: &mut Pass) -> Result<HeadOutput> {
        let fault = self.config.fault;
        fault.at_work()?;
        let field = batch.field("target")?;
        let positions = field.counted()?;
        let gold = field.ids()?.f_reshape([-1])?.f_index_select(0, positions)?;
        let logits = features.projection("target_logits")?;
        let size = *logits.input.size().last().unwrap_or(&0);
        let input = logits.input.f_reshape([-1, size])?.f_index_select(0, positions)?;
        let found = projection_cross_entropy(&input, &logits.weight, None, &gold)?;
        let loss = match fault {
            Fault::LossNotScalar => found.nll.shallow_clone(),
            Fault::LossNotFloating => found.nll.f_sum(Kind::Float)?.f_to_kind(Kind::Int64)?,
            Fault::LossWithoutHistory => found.nll.f_sum(Kind::Float)?.f_detach()?,
            Fault::MeanLoss => found.nll.f_mean(Kind::Float)?,
            _ => found.nll.f_sum(Kind::Float)?,
        };
        let figures = if fault == Fault::MissingFigures {
            Vec::new()
        } else {
            let own = fault != Fault::ReturnsLent;
            let positions = if own { positions.shallow_clone() } else { sudden::as_if_owned(positions) };
            vec![
                (Output::POSITIONS.to_owned(), positions),
                (Output::NLL.to_owned(), fault.bend(found.nll.f_detach()?)?),
                (Output::PROBABILITY.to_owned(), found.probability.f_detach()?),
                (Output::CORRECT.to_owned(), found.correct.f_detach()?),
            ]
        };
        fault.after_work();
        let scalar = match fault {
            Fault::ScalarNotScalar => Some(("all", found.nll.shallow_clone())),
            Fault::TellsHalfLoss => Some(("half_loss", loss.f_div_scalar(2.0)?)),
            _ => None,
        };
        let mut outputs = vec![Output::new("target", figures)];
        match fault {
            Fault::MissingOutput => outputs.clear(),
            Fault::Twice => outputs.push(Output::new("target", Vec::new())),
            _ => {}
        }
        let mut output = HeadOutput::new(loss, outputs);
        if fault == Fault::MeanLoss {
            output = output
                .averaged_over(Tensor::f_from_slice(&[found.nll.numel() as f64])?.f_reshape([0i64; 0])?);
        }
        Ok(match scalar {
            Some((name, scalar)) => output.with_scalar(name, scalar),
            None => output,
        })
    }
}

impl Drop for MisbehavingHead {
    fn drop(&mut self) {
        self.config.fault.in_drop();
    }
}
