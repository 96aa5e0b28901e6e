//! A pass over a corpus without training: validation, and the evaluation of a saved system.

use std::sync::Arc;

use kiwi_core::config::{Precision, RunConfig};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::HeadOutput;
use kiwi_text::{Batch, BatchPlan, BatchStream};

use super::events::Values;
use super::losses::Loss;
use super::sums::Sums;
use crate::data::{Data, invalid};
use crate::ranks::Ranks;
use crate::system::{System, running};
use crate::torch::{Purpose, autocast, seed_for, to_tensors};

/// In a group of ranks signals are looked for after so many batches.
const LOOK_FOR_SIGNALS: usize = 16;

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

/// Loss and metrics of the system over `data`, in evaluation mode, of all ranks together; `each` sees every batch, or this rank's share
/// of it if there is any, with its figures. Called by all ranks.
///
/// # Errors
/// When a component fails, a rank is gone, or a signal came ([`is_interruption`]).
pub(crate) fn evaluate(
    system: &mut System,
    data: &Data,
    limit: Option<usize>,
    mode: Mode,
    ranks: &mut Ranks,
    mut each: impl FnMut(&Batch, &HeadOutput) -> Result<(), Failure>,
) -> Result<Evaluation, Failure> {
    let plan = match limit {
        Some(limit) => Arc::new(BatchPlan::from_batches(data.plan.batches().take(limit))),
        None => Arc::clone(&data.plan),
    };
    let count = plan.len();
    let stream = BatchStream::new(Arc::clone(&data.corpus), ranks.share(&plan), 0, mode.workers);
    let stream = stream.map_err(|error| invalid(&error))?;
    let mut sums = Sums::default();
    for (index, batch) in stream.enumerate() {
        if (!ranks.is_group() || index % LOOK_FOR_SIGNALS == 0) && ranks.look_for_signals()?.is_some() {
            return Err(Failure { exit: ExitCode::Interrupted, diagnostics: Vec::new() });
        }
        if index == 0 || !mode.carry {
            system.reset_state(false).map_err(|error| running(&error))?;
        }
        if batch.pairs.is_empty() {
            sums.add_nothing();
            continue;
        }
        let output = tch::no_grad(|| {
            let seed = seed_for(mode.seed, Purpose::Validation(index as u64), ranks.rank().into());
            tch::manual_seed(seed.cast_signed());
            let tensors = to_tensors(&batch, system.device()).map_err(failed)?;
            let _precision = autocast(mode.precision, system.device()).map_err(failed)?;
            system.forward(&tensors, false).map_err(|error| running(&error))
        })?;
        sums.add(&mut system.metrics, &output, &Loss::of(&output.loss)?, ranks)?;
        each(&batch, &output)?;
    }
    let sums = sums.total(ranks, system.device())?;
    let mut values = system.metrics.values(&sums.tally).map_err(|error| running(&error))?;
    values.extend(sums.scalars.means()?);
    Ok(Evaluation { loss: sums.losses.total()? / count.max(1) as f64, values })
}

/// Whether a failure is none, but a signal that came.
pub(super) fn is_interruption(failure: &Failure) -> bool {
    failure.exit == ExitCode::Interrupted && failure.diagnostics.is_empty()
}

/// A failure of libtorch outside any component.
pub(crate) fn failed(error: kiwi_plugin_api::Error) -> Failure {
    Failure::new(
        ExitCode::RunFailed,
        Diagnostic::error(Code::TorchFailed, format!("libtorch failed: {error}")),
    )
}

/// The number in a tensor of one element.
pub(super) fn scalar(tensor: &tch::Tensor) -> Result<f64, Failure> {
    tensor.f_double_value(&[]).map_err(|error| failed(error.into()))
}
