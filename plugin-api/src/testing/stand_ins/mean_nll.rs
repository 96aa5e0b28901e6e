//! A metric in the place of one that is not under test.

use tch::{Kind, Tensor};

use super::NoOptions;
use crate::{Component, Metric, Ordering, Output, Result};

/// Mean negative log-likelihood of the tokens, in nats.
pub struct MeanNll;

impl Component for MeanNll {
    type Config = NoOptions;
    const CLASS_NAME: &'static str = "MeanNll";
    const SUMMARY: &'static str = "Mean negative log-likelihood, for tests of other components";
}

impl Metric for MeanNll {
    const ORDERING: Ordering = Ordering::Min;

    fn create(_config: NoOptions) -> Result<Self> {
        Ok(Self)
    }

    fn contribution(&self, output: &Output) -> Result<Tensor> {
        let nll = output.tensor(Output::NLL)?;
        let sum = nll.f_sum(Kind::Double)?;
        let count = Tensor::f_full_like(&sum, nll.numel() as f64)?;
        Ok(Tensor::f_stack(&[sum, count], 0)?)
    }

    fn value(&self, total: &[f64]) -> Option<f64> {
        match total {
            [sum, count] if *count > 0.0 => Some(sum / count),
            _ => None,
        }
    }
}
