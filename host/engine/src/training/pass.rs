//! A pass over a corpus without training: validation, and the evaluation of a saved system.

use std::sync::Arc;

use kiwi_core::config::{Precision, RunConfig};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::HeadOutput;
use kiwi_text::{Batch, BatchPlan, BatchStream};

use super::events::Values;
use super::losses::{Loss, LossSum};
use super::scalars::Scalars;
use crate::data::{Data, invalid};
use crate::system::{System, Tally, running};
use crate::torch::{Purpose, autocast, seed_for, to_tensors};

/// How a pass is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) seed: u64,
    pub(crate) precision: Precision,
    pub(crate) workers: usize,
    /// Whether an encoder that carries state from batch to batch may.
    pub(crate) carry: bool,
}

impl Mode {
    /// As the config says.
    pub(crate) fn of(config: &RunConfig) -> Self {
        Self {
            seed: config.run.seed,
            precision: config.trainer.precision,
            workers: config.system.num_data_workers,
            carry: config.trainer.truncated_bptt_steps.is_some(),
        }
    }
}

/// What a pass found.
pub(crate) struct Evaluation {
    /// Mean of the batch losses.
    pub(crate) loss: f64,
    pub(crate) values: Values,
}

/// Loss and metrics of the system over `data`, in evaluation mode; `each` sees every batch with its figures.
///
/// # Errors
/// When a component fails.
pub(crate) fn evaluate(
    system: &mut System,
    data: &Data,
    limit: Option<usize>,
    mode: Mode,
    mut each: impl FnMut(&Batch, &HeadOutput) -> Result<(), Failure>,
) -> Result<Evaluation, Failure> {
    let plan = match limit {
        Some(limit) => Arc::new(BatchPlan::from_batches(data.plan.batches().take(limit))),
        None => Arc::clone(&data.plan),
    };
    let count = plan.len();
    let stream =
        BatchStream::new(Arc::clone(&data.corpus), plan, 0, mode.workers).map_err(|e| invalid(&e))?;
    let mut tally = Tally::default();
    let mut scalars = Scalars::default();
    let mut losses = LossSum::default();
    for (index, batch) in stream.enumerate() {
        if index == 0 || !mode.carry {
            system.reset_state(false).map_err(|error| running(&error))?;
        }
        let output = tch::no_grad(|| {
            tch::manual_seed(seed_for(mode.seed, Purpose::Validation(index as u64), 0).cast_signed());
            let tensors = to_tensors(&batch, system.device()).map_err(failed)?;
            let _precision = autocast(mode.precision, system.device()).map_err(failed)?;
            system.forward(&tensors, false).map_err(|error| running(&error))
        })?;
        system.metrics.add(&mut tally, &output).map_err(|error| running(&error))?;
        scalars.add(&output.scalars)?;
        losses.add(&Loss::of(&output.loss)?)?;
        each(&batch, &output)?;
    }
    let mut values = system.metrics.values(&tally).map_err(|error| running(&error))?;
    values.extend(scalars.means()?);
    Ok(Evaluation { loss: losses.total()? / count.max(1) as f64, values })
}

/// A failure of libtorch outside any component.
pub(crate) fn failed(error: kiwi_plugin_api::Error) -> Failure {
    Failure::new(ExitCode::RunFailed, Diagnostic::error(format!("libtorch failed: {error}")))
}

/// The number in a tensor of one element.
pub(super) fn scalar(tensor: &tch::Tensor) -> Result<f64, Failure> {
    tensor.f_double_value(&[]).map_err(|error| failed(error.into()))
}
