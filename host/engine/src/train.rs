//! The way of a training run, top to bottom: plan → components → corpora → system → loop → result.

mod beginning;
mod ending;

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{self, Plan};
use kiwi_core::request::{TrainRequest, Verbosity};
use kiwi_tracking::mlflow::MlflowOptions;

use crate::assembly::{Assembly, assemble};
use crate::checkpoint::{Keeper, RunDirectory};
use crate::outlet::Outlet;
use crate::ranks::Ranks;
use crate::report::Report;
use crate::resume::{self, Identity};
use crate::signals;
use crate::torch::set_threads;
use crate::training::{Outcome, Saving, StopReason, Trainer};
use beginning::{Began, describe, started};
use ending::{conclude, with_a_way_on};

/// `kiwi-host train CONFIG`.
pub(crate) fn train(request: &TrainRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    signals::install().map_err(|error| {
        Failure::new(
            ExitCode::RunFailed,
            Diagnostic::error(Code::MachineLimits, format!("signals cannot be taken care of: {error}")),
        )
    })?;
    outlet.signals_taken();
    let mut ranks = beginning::ranks()?;
    let done = train_with(&mut ranks, request, outlet);
    match done {
        Ok(code) => {
            ranks.leave();
            Ok(code)
        }
        Err(failure) => Err(ranks.fail(failure)),
    }
}

/// Trains with the other ranks of the run, if there are any.
fn train_with(ranks: &mut Ranks, request: &TrainRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let plan = plan::prepare(request).map_err(|unprepared| unprepared.failure)?;
    let mut report = Report::new(outlet, &request.common, verbosity(&plan.config));
    report.mute(!ranks.is_first());
    report.warnings(plan.warnings.clone());
    set_threads(&request.common);

    let directory = match ranks.is_first() {
        true => Some(directory(&plan, request.allow_changed)?),
        false => None,
    };
    let Some(directory) = ranks.first_says(directory)? else { return Err(beginning::no_directory()) };
    let result = run(ranks, &plan, &directory, request, &mut report);
    let result = result.map_err(|failure| ranks.fail(failure));
    match &result {
        Ok(outcome) => {
            let keeps = plan.config.trainer.checkpoint.save_top_k != 0;
            conclude(outcome, &directory, keeps, request, ranks, &mut report);
        }
        Err(failure) => report.failed(&failure.diagnostics),
    }
    report.close();
    match result.map_err(|failure| with_a_way_on(failure, request, &directory, ranks))?.reason {
        StopReason::Interrupted(_) if signals::is_resumable() => Ok(ExitCode::InterruptedResumable),
        StopReason::Interrupted(_) => Ok(ExitCode::Interrupted),
        _ => Ok(ExitCode::Success),
    }
}

/// The directory to begin or to go on in.
fn directory(plan: &Plan, allow_changed: bool) -> Result<RunDirectory, Failure> {
    let config = &plan.config;
    // A system that is loaded may be one of other plugins.
    let nothing_to_compare = allow_changed && config.system.load.is_none();
    match (config.trainer.resume, nothing_to_compare) {
        (true, _) => RunDirectory::to_resume(config),
        (false, false) => RunDirectory::choose(config),
        (false, true) => Err(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(
                Code::Arguments,
                "--allow-changed is for a run that is resumed, or that loads a system",
            )
            .help("give --resume as well, or leave it out"),
        )),
    }
}

fn run(
    ranks: &mut Ranks,
    plan: &Plan,
    directory: &RunDirectory,
    request: &TrainRequest,
    report: &mut Report<'_>,
) -> Result<Outcome, Failure> {
    let (config, allow_changed) = (&plan.config, request.allow_changed);
    let mlflow = MlflowOptions::of(&config.run).map_err(|error| {
        let error =
            Diagnostic::error(Code::TrackingServer, format!("MLflow cannot be told of the run: {error}"))
                .at("run.use_mlflow");
        Failure::new(ExitCode::Invalid, plan.document.place(error))
    })?;
    let mut point = None;
    let mut lock = None;
    if config.trainer.resume {
        if ranks.is_first() {
            lock = directory.lock()?;
        }
        // What is broken is set aside before the others look.
        let find = || resume::find(directory, plan, allow_changed);
        let (found, warnings) = ranks.first_before_others(find)?;
        report.warnings(warnings);
        if found.is_some() {
            signals::resumable();
        }
        point = found;
    }
    let Assembly { system, optimizers, data } = assemble(plan, ranks, report)?;
    report.warnings(ranks.sum_on(system.device(), &request.common.program)?);
    describe(&system, plan, report);
    let run_id = point.as_ref().map_or(directory.run_id(), |point| point.identity.run_id()).to_owned();
    let threads = tch::get_num_threads().unsigned_abs().into();
    let identity = Identity::new(&run_id, plan, &system.unnamed, &data, threads, ranks.count());
    let identity = identity.map_err(|error| {
        Failure::new(
            ExitCode::RunFailed,
            Diagnostic::error(Code::CannotSave, format!("the config cannot be kept: {error}")),
        )
    })?;
    let resumed_at = point.as_ref().map(|point| point.state.position().step);
    resume::same_on_all(ranks, &identity, resumed_at)?;
    if let Some(point) = &point {
        report.warnings(resume::compare(&point.identity, &identity, plan, allow_changed)?);
    }

    let main_metric = system.metrics.main_name().unwrap_or_else(|| "loss".to_owned());
    let main_metric = match data.valid.first() {
        Some(set) => set.name_of(&main_metric),
        None => main_metric,
    };
    let (training, ordering) = (config.system.training(), system.metrics.main_ordering());
    let save_top_k = config.trainer.checkpoint.save_top_k;
    let keeper = Keeper::new(directory.clone(), training, &main_metric, ordering, save_top_k);
    let began =
        Began { run_id: run_id.clone(), main_metric, ordering, resumed_at, batches: data.train.batches() };
    let started = started(began, &system, plan);
    let saving = Saving::start(keeper, identity, config)?;
    beginning::describe_ranks(ranks, config, report);
    let first = ranks.is_first();
    let mut trainer = Trainer::new(config, ranks, system, optimizers, data, saving);
    // Whatever does not fit is found before anything of the run is touched.
    match point {
        Some(point) => trainer.go_on(point)?,
        None if config.trainer.resume => trainer.begin_anew(),
        None => {}
    }

    trainer.begin_alike()?;
    if !first {
        return trainer.fit(report);
    }
    let lock = match lock {
        None => directory.lock()?,
        held => held,
    };
    directory.create(config)?;
    report.attach(directory.path(), config.trainer.log_save_interval);
    report.note(format!(
        "experiment {}, run {run_id}, directory {}",
        config.run.experiment_name,
        directory.path().display()
    ));
    if save_top_k == 0 {
        report.warnings([Diagnostic::warning(
            Code::NothingKept,
            "save_top_k is 0: the trained system will be lost",
        )
        .at("trainer.checkpoint.save_top_k")
        .help("set it to 1 to keep the best system")]);
    }
    let options = kiwi_tracking::Options {
        directory: directory.path().to_owned(),
        config: serde_json::to_value(config).unwrap_or_default(),
        mlflow,
        resumed_at,
    };
    report.track(options, started);
    let outcome = trainer.fit(report);
    drop(lock);
    outcome
}

fn verbosity(config: &RunConfig) -> Verbosity {
    match (config.quiet, config.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    }
}
