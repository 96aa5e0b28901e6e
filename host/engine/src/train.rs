//! The way of a training run, top to bottom: plan → components → corpora → system → loop → result.

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{self, Plan};
use kiwi_core::request::{TrainRequest, Verbosity};

use crate::assembly::{Assembly, assemble};
use crate::checkpoint::{Keeper, RunDirectory};
use crate::data::counted;
use crate::outlet::Outlet;
use crate::report::{Report, number};
use crate::resume::{self, Identity};
use crate::signals;
use crate::system::System;
use crate::torch::{device_name, set_threads};
use crate::training::{Outcome, Saving, StopReason, Trainer};

/// `kiwi-host train CONFIG`.
pub(crate) fn train(request: &TrainRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| {
        Failure::new(
            ExitCode::RunFailed,
            Diagnostic::error(format!("signals cannot be taken care of: {error}")),
        )
    })?;
    let plan = plan::prepare(request).map_err(|unprepared| unprepared.failure)?;
    let mut report = Report::new(outlet, &request.common, verbosity(&plan.config));
    report.warnings(plan.warnings.clone());
    set_threads(&request.common);

    let directory = directory(&plan, request.allow_changed)?;
    let result = run(&plan, &directory, request.allow_changed, &mut report);
    match &result {
        Ok(outcome) => conclude(outcome, &directory, request, &mut report),
        Err(failure) => report.failed(&failure.diagnostics),
    }
    match result.map_err(|failure| with_a_way_on(failure, request, &directory))?.reason {
        StopReason::Interrupted(_) if signals::is_resumable() => Ok(ExitCode::InterruptedResumable),
        StopReason::Interrupted(_) => Ok(ExitCode::Interrupted),
        _ => Ok(ExitCode::Success),
    }
}

/// The directory to begin or to go on in.
fn directory(plan: &Plan, allow_changed: bool) -> Result<RunDirectory, Failure> {
    let config = &plan.config;
    match (config.trainer.resume, allow_changed) {
        (true, _) => RunDirectory::to_resume(config),
        (false, false) => RunDirectory::choose(config),
        (false, true) => Err(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error("--allow-changed is for a run that is resumed")
                .help("give --resume as well, or leave it out"),
        )),
    }
}

fn run(
    plan: &Plan,
    directory: &RunDirectory,
    allow_changed: bool,
    report: &mut Report<'_>,
) -> Result<Outcome, Failure> {
    let config = &plan.config;
    let mut point = None;
    if config.trainer.resume {
        let (found, warnings) = resume::find(directory, plan, allow_changed)?;
        report.warnings(warnings);
        if found.is_some() {
            signals::resumable();
        }
        point = found;
    }
    let Assembly { system, optimizers, data } = assemble(plan, report)?;
    describe(&system, plan, report);
    let run_id = point.as_ref().map_or(directory.run_id(), |point| point.identity.run_id()).to_owned();
    let threads = tch::get_num_threads().unsigned_abs().into();
    let identity = Identity::new(&run_id, plan, &data, threads).map_err(|error| {
        Failure::new(ExitCode::RunFailed, Diagnostic::error(format!("the config cannot be kept: {error}")))
    })?;
    if let Some(point) = &point {
        report.warnings(resume::compare(&point.identity, &identity, plan, allow_changed)?);
    }

    directory.create(config)?;
    report.attach(directory.path(), config.trainer.log_save_interval);
    report.note(format!(
        "experiment {}, run {run_id}, directory {}",
        config.run.experiment_name,
        directory.path().display()
    ));
    let save_top_k = config.trainer.checkpoint.save_top_k;
    if save_top_k == 0 {
        report.warnings([Diagnostic::warning("save_top_k is 0: the trained system will be lost")
            .at("trainer.checkpoint.save_top_k")
            .help("set it to 1 to keep the best system")]);
    }
    let main_metric = system.metrics.main_name().unwrap_or_else(|| "loss".to_owned());
    let main_metric = match data.valid.first() {
        Some(set) => set.name_of(&main_metric),
        None => main_metric,
    };
    let training = config.system.training();
    let ordering = system.metrics.main_ordering();
    let keeper = Keeper::new(directory.clone(), training, &main_metric, ordering, save_top_k);
    let saving = Saving::start(keeper, identity, config)?;
    let mut trainer = Trainer::new(config, system, optimizers, data, saving, report);
    match point {
        Some(point) => trainer.go_on(point)?,
        None if config.trainer.resume => trainer.begin_anew(),
        None => {}
    }
    trainer.fit()
}

fn describe(system: &System, plan: &Plan, report: &mut Report<'_>) {
    let parts = [("encoder", &plan.encoder), ("head", &plan.head)];
    let optimizers = plan.optimizers.iter().map(|component| ("optimizer", component));
    for (what, component) in parts.into_iter().chain(optimizers) {
        report.note(format!(
            "{what} {} of plugin {} {} ({})",
            component.class,
            component.plugin,
            component.version,
            component.file.display()
        ));
    }
    let (trainable, frozen) = system.count("");
    report.note(format!(
        "{} to train, {frozen} frozen; device {}, {}",
        counted(trainable, "parameter"),
        device_name(system.device()),
        counted(tch::get_num_threads().unsigned_abs(), "thread")
    ));
}

fn conclude(outcome: &Outcome, directory: &RunDirectory, request: &TrainRequest, report: &mut Report<'_>) {
    match &outcome.summary.best {
        Some(best) => report.note(format!(
            "best system: {} ({} {}, after {})",
            directory.path().join(&best.file).display(),
            best.metric,
            number(best.value.0),
            counted(best.step, "optimizer step")
        )),
        None => report.note(format!("no system was saved in {}", directory.path().display())),
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
        report.note(format!("to go on: {}", command_to_resume(request, directory)));
    }
}

/// Tells how to go on after a failure, if there is a point to go on from.
fn with_a_way_on(mut failure: Failure, request: &TrainRequest, directory: &RunDirectory) -> Failure {
    if failure.exit == ExitCode::RunFailed
        && signals::is_resumable()
        && let Some(last) = failure.diagnostics.last_mut()
    {
        let command = command_to_resume(request, directory);
        last.notes.push(format!("once the cause is gone, go on from the last resume point: {command}"));
    }
    failure
}

fn command_to_resume(request: &TrainRequest, directory: &RunDirectory) -> String {
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
    words.extend(["--output-dir".to_owned(), directory.path().display().to_string(), "--resume".to_owned()]);
    let quoted = words.iter().map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn verbosity(config: &RunConfig) -> Verbosity {
    match (config.quiet, config.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    }
}
