//! The way of a training run, top to bottom: plan → components → corpora → system → loop → result.

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{self, Plan};
use kiwi_core::request::{TrainRequest, Verbosity};
use kiwi_core::saved_system::SavedSystem;
use kiwi_plugin_api::ParameterGroup;
use kiwi_plugin_api::abi::host::OptimizerInstance;
use serde_json::Value;
use tch::Device;

use crate::checkpoint::{Keeper, RunDirectory};
use crate::data::{self, TrainingData};
use crate::outlet::Outlet;
use crate::report::{Report, number};
use crate::system::{Checked, Components, Parts, Setup, System, Vocabulary, refused};
use crate::torch::{Purpose, seed_for, set_threads};
use crate::training::{Outcome, Trainer};

/// `kiwi-host train CONFIG`.
pub(crate) fn train(request: &TrainRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let plan = plan::prepare(request)?;
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

    let mut components = Components::default();
    let checked = check(plan, &mut components, report)?;
    let saved = config.system.load.as_deref().map(open_saved).transpose()?;

    let TrainingData { train, valid, vocabularies, summary, warnings } =
        data::read(config, saved.as_ref().map(SavedSystem::header))?;
    summary.into_iter().for_each(|line| report.note(line));
    report.warnings(warnings);

    let data_processing = data_processing(config, saved.as_ref());
    tch::manual_seed(seed_for(config.run.seed, Purpose::Initialization, 0).cast_signed());
    let vocabulary = Vocabulary { vocabularies, data_processing };
    let parts = Parts {
        class: plan.system.clone(),
        encoder: checked.encoder,
        head: checked.head,
        metrics: checked.metrics,
    };
    let mut system = System::build(parts, vocabulary, &mut components, &plan.registry, Device::Cpu)?;
    if let Some(saved) = &saved {
        system.load(saved)?;
    }
    system
        .metrics
        .choose_main(&config.trainer.main_metric)
        .map_err(|errors| refused(errors.into_iter().map(|error| plan.document.place(error)).collect()))?;
    describe(&system, plan, report);
    let optimizer = build_optimizer(&checked.optimizer, system.trainable())?;

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
    let metric = system.metrics.main_name().unwrap_or_else(|| "loss".to_owned());
    let keeper = Keeper::new(directory.clone(), &metric, system.metrics.main_ordering(), save_top_k);
    Trainer::new(config, system, optimizer, (train, valid), keeper, report)?.fit()
}

/// The components of a run, their configs checked.
struct CheckedComponents {
    encoder: Checked,
    head: Checked,
    optimizer: Checked,
    metrics: Vec<Checked>,
}

fn check(
    plan: &Plan,
    components: &mut Components,
    report: &mut Report<'_>,
) -> Result<CheckedComponents, Failure> {
    let mut wanted = vec![plan.encoder.clone(), plan.head.clone()];
    wanted.extend(plan.optimizer.clone());
    wanted.extend(plan.metrics.clone());
    let (checked, warnings) = components.check(wanted, Some(&plan.document))?;
    report.warnings(warnings);
    let mut checked = checked.into_iter();
    match (checked.next(), checked.next(), checked.next()) {
        (Some(encoder), Some(head), Some(optimizer)) => {
            Ok(CheckedComponents { encoder, head, optimizer, metrics: checked.collect() })
        }
        _ => Err(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error("the config names no optimizer to train with"),
        )),
    }
}

fn open_saved(path: &std::path::Path) -> Result<SavedSystem, Failure> {
    SavedSystem::open(path).map_err(|error| {
        Failure::new(ExitCode::Invalid, Diagnostic::error(error.to_string()).at("system.load"))
    })
}

/// How text is processed: a loaded system's own way, else the config's.
fn data_processing(config: &RunConfig, saved: Option<&SavedSystem>) -> Value {
    match saved {
        Some(saved) => saved.header().data_processing.clone(),
        None => serde_json::to_value(config.system.data_processing.clone().unwrap_or_default())
            .unwrap_or_default(),
    }
}

fn build_optimizer(optimizer: &Checked, group: ParameterGroup) -> Result<OptimizerInstance, Failure> {
    Ok(OptimizerInstance::create(&optimizer.handle, &optimizer.config, &[group]).map_err(Setup)?)
}

fn describe(system: &System, plan: &Plan, report: &mut Report<'_>) {
    for (what, component) in
        [("encoder", Some(&plan.encoder)), ("head", Some(&plan.head)), ("optimizer", plan.optimizer.as_ref())]
    {
        if let Some(component) = component {
            report.note(format!(
                "{what} {} of plugin {} {} ({})",
                component.class,
                component.plugin,
                component.version,
                component.file.display()
            ));
        }
    }
    let count = |trainable: bool| -> usize {
        let chosen = system.parameters().iter().filter(|p| !p.buffer && p.trainable == trainable);
        chosen.map(|p| p.tensor.numel()).sum()
    };
    report.note(format!(
        "{} parameters to train, {} frozen; device cpu, {} threads",
        count(true),
        count(false),
        tch::get_num_threads()
    ));
}

fn conclude(outcome: &Outcome, directory: &RunDirectory, report: &mut Report<'_>) {
    match &outcome.best {
        Some((file, value)) => report.note(format!("best system: {} ({})", file.display(), number(*value))),
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
