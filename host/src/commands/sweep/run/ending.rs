//! How the process of a trial ended, and what that makes of the trial.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use kiwi_core::exit_code::ExitCode;
use kiwi_sweep::record::{Ended, Status};
use kiwi_sweep::{Measured, measure, ranking};
use signal_hook::low_level::signal_name;

use super::super::command::last_error;
use super::Running;

impl Running {
    /// How the process of a trial ended.
    pub(super) fn how(&self, trial: usize, status: ExitStatus) -> Ended {
        let (measured, told) = measure(&self.plan.directory.trial(trial + 1));
        let rung = self.states[trial].rung;
        let code = status.code();
        let ended = |status, reason| Ended { rung, status, code, reason, measured: measured.clone() };
        let interrupted = [ExitCode::InterruptedResumable, ExitCode::Interrupted].map(ExitCode::number);
        match (code, status.signal()) {
            (Some(0), _) => {
                match (self.other_metric(measured.as_ref()), measured.as_ref().and_then(|one| one.value)) {
                    (Some(reason), _) => Ended { measured: None, ..ended(Status::Failed, Some(reason)) },
                    (None, None) => ended(
                        Status::Failed,
                        Some("it ended without a validation that gave the main metric a value".to_owned()),
                    ),
                    (None, Some(_)) => ended(Status::Finished, None),
                }
            }
            (Some(code), _) if interrupted.contains(&code) && self.stopping.is_some() => {
                ended(Status::Interrupted, None)
            }
            (Some(code), _) if interrupted.contains(&code) => {
                let reason = "somebody has interrupted it: --resume --retry-failed goes on with it";
                ended(Status::Failed, Some(reason.to_owned()))
            }
            (None, Some(_)) if self.stopping.is_some() => ended(Status::Interrupted, None),
            (None, Some(signal)) => {
                let signal = signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned);
                let reason =
                    format!("it was ended by {signal} (memory that runs out ends a process by SIGKILL)");
                ended(Status::Failed, Some(reason))
            }
            _ => {
                let reason = told.or_else(|| last_error(&self.plan.directory.log(trial + 1)));
                ended(Status::Failed, reason.map(|reason| reason.replace('\n', " ")))
            }
        }
    }

    /// Why a trial cannot be compared with the others, where it cannot.
    fn other_metric(&self, measured: Option<&Measured>) -> Option<String> {
        let (metric, measured) = (ranking::metric(&self.states)?, measured?);
        let same = metric.name == measured.metric && metric.better.ordering() == measured.ordering;
        (!same).then(|| {
            format!(
                "its main metric is {}, and that of other trials {}: set trainer.main_metric in the config",
                measured.metric, metric.name
            )
        })
    }
}
