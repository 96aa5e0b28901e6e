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
use crate::system::System;
use crate::torch::{device_name, set_threads};
use crate::training::{Outcome, Trainer};

/// `kiwi-host train CONFIG`.
pub(crate) fn train(request: &TrainRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let plan = plan::prepare(request).map_err(|unprepared| unprepared.failure)?;
    let directory = RunDirectory::choose(&plan.config)?;
    let mut report = Report::new(outlet, &request.common, verbosity(&plan.config));
    report.warnings(plan.warnings.clone());
    set_threads(&request.common);

    let result = run(&plan, &directory, &mut report);
    match &result {
        Ok(outcome) => conclude(outcome, &directory, &mut report),
        Err(failure) => report.failed(&failure.diagnostics),
    }
    result.map(|_| ExitCode::Success)
}

fn run(plan: &Plan, directory: &RunDirectory, report: &mut Report<'_>) -> Result<Outcome, Failure> {
    let config = &plan.config;
    let Assembly { system, optimizers, data } = assemble(plan, report)?;
    describe(&system, plan, report);

    directory.create(config)?;
    report.attach(directory.path(), config.trainer.log_save_interval);
    report.note(format!(
        "experiment {}, directory {}",
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
    Trainer::new(config, system, optimizers, data, keeper, report).fit()
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

fn conclude(outcome: &Outcome, directory: &RunDirectory, report: &mut Report<'_>) {
    match &outcome.best {
        Some((file, metric, value)) => {
            report.note(format!("best system: {} ({metric} {})", file.display(), number(*value)));
        }
        None => report.note(format!("no system was saved in {}", directory.path().display())),
    }
}

fn verbosity(config: &RunConfig) -> Verbosity {
    match (config.quiet, config.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    }
}
