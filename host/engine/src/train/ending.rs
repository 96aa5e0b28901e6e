//! What is said when a run has ended, and how to go on with it.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::place::Launcher;
use kiwi_core::request::TrainRequest;
use kiwi_core::shell;

use crate::checkpoint::RunDirectory;
use crate::data::counted;
use crate::ranks::{Ranks, Traffic};
use crate::report::{Report, number};
use crate::signals;
use crate::training::{Outcome, StopReason};

/// Tells which systems there are, and how to go on with a run that was interrupted. `keeps`: whether the run saves systems.
pub(super) fn conclude(
    outcome: &Outcome,
    directory: &RunDirectory,
    keeps: bool,
    request: &TrainRequest,
    ranks: &Ranks,
    report: &mut Report<'_>,
) {
    let Traffic { steps, bytes, whole } = ranks.traffic();
    if steps > 0 && ranks.count() > 1 {
        let megabytes = |bytes: u64| format!("{:.2} MB", bytes as f64 / steps as f64 / 1e6);
        report.note(format!(
            "gradients: {} an optimizer step were summed over {} processes, of {}",
            megabytes(bytes),
            ranks.count(),
            megabytes(whole)
        ));
    }
    match &outcome.summary.best {
        Some(best) => report.note(format!(
            "best system: {} ({} {}, after {})",
            directory.path().join(&best.file).display(),
            best.metric,
            number(best.value.0),
            counted(best.step, "optimizer step")
        )),
        None => {
            report.note(format!("no system was saved in {}", directory.path().display()));
            if keeps && !matches!(outcome.reason, StopReason::Interrupted(_)) {
                report.warnings([Diagnostic::warning(
                    Code::NotFinite,
                    "the run has ended without a system: no validation gave a number for the main metric",
                )
                .help(
                    "see the validations above: a metric that is NaN there comes from the system, of which \
                     `kiwi-host plugins check` may know more",
                )]);
            }
        }
    }
    if let Some(last) =
        outcome.summary.last.as_ref().filter(|last| Some(*last) != outcome.summary.best.as_ref())
    {
        report.note(format!(
            "last system: {} ({} {})",
            directory.path().join(&last.file).display(),
            last.metric,
            number(last.value.0)
        ));
    }
    if matches!(outcome.reason, StopReason::Interrupted(_)) && signals::is_resumable() {
        report.note(format!("to go on: {}", command_to_resume(request, directory, ranks)));
    }
}

/// Tells how to go on after a failure, if there is a point to go on from.
pub(super) fn with_a_way_on(
    mut failure: Failure,
    request: &TrainRequest,
    directory: &RunDirectory,
    ranks: &Ranks,
) -> Failure {
    if failure.exit == ExitCode::RunFailed
        && signals::is_resumable()
        && let Some(last) = failure.diagnostics.last_mut()
    {
        let command = command_to_resume(request, directory, ranks);
        last.notes.push(format!("once the cause is gone, go on from the last resume point: {command}"));
    }
    failure
}

fn command_to_resume(request: &TrainRequest, directory: &RunDirectory, ranks: &Ranks) -> String {
    let mut words = vec!["kiwi-host".to_owned(), "train".to_owned(), request.config.display().to_string()];
    for (path, value) in &request.overrides {
        words.extend(["--set".to_owned(), format!("{path}={value}")]);
    }
    for plugins in &request.common.plugin_directories {
        words.extend(["--plugin-dir".to_owned(), plugins.display().to_string()]);
    }
    if let Some(threads) = request.common.threads {
        words.extend(["--threads".to_owned(), threads.to_string()]);
    }
    if ranks.launcher() == Some(Launcher::Own) {
        words.extend(["--nproc".to_owned(), ranks.count().to_string()]);
    }
    words.extend(["--output-dir".to_owned(), directory.path().display().to_string(), "--resume".to_owned()]);
    let command = shell::command(words);
    match ranks.launcher() {
        Some(launcher @ (Launcher::Torchrun | Launcher::Slurm)) if ranks.count() > 1 => {
            format!("{command}, started by {launcher} as before")
        }
        _ => command,
    }
}
