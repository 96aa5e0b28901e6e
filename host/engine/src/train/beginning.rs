//! What is said when a run begins: in its log, and in its record.

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::place::Place;
use kiwi_core::plan::Plan;
use kiwi_plugin_api::Ordering;
use kiwi_plugin_metadata::TORCH_VERSION;
use kiwi_tracking::record;

use crate::data::counted;
use crate::machine;
use crate::ranks::Ranks;
use crate::report::Report;
use crate::system::{System, ordering_name};
use crate::torch::device_name;

/// The other ranks of the run, if a launcher started this process as one of several.
pub(super) fn ranks() -> Result<Ranks, Failure> {
    let place = Place::of_launcher(|name| std::env::var(name).ok()).map_err(|error| error.failure())?;
    place.as_ref().map_or_else(|| Ok(Ranks::alone()), Ranks::meet)
}

/// The complaint that rank 0 says nothing of where the run lies.
pub(super) fn no_directory() -> Failure {
    Failure::new(
        ExitCode::RunFailed,
        Diagnostic::error(Code::RanksDiffer, "rank 0 does not say where the run lies"),
    )
}

/// Tells the log how many processes there are, and what becomes of batches and learning rates.
pub(super) fn describe_ranks(ranks: &Ranks, config: &RunConfig, report: &mut Report<'_>) {
    let Some(launcher) = ranks.launcher() else { return };
    let count = ranks.count();
    let processes = match count {
        1 => "1 process trains".to_owned(),
        _ => format!("{count} processes train together"),
    };
    let of_each = match config.system.batch_size.train {
        None => format!("divided among the {count}"),
        Some(pairs) => {
            let ranks = count as usize;
            let (least, most) = (pairs / ranks, pairs.div_ceil(ranks));
            let each =
                if least == most { counted(least, "pair") } else { format!("{least} or {most} pairs") };
            format!("of {pairs} in all, {each} for each process")
        }
    };
    report.note(format!(
        "{processes}, started by {launcher}: batches are {of_each}; optimizer steps are those of one process with the same config, so \
         that learning rates and schedules stay as they are"
    ));
    report.note(format!("gradients are summed by {}", ranks.summed_by()));
    if let Some(pairs) = config.system.batch_size.train.filter(|pairs| *pairs < count as usize) {
        let warning = Diagnostic::warning(
            Code::IdleProcesses,
            format!(
                "{count} processes divide batches of {pairs}: {} of them have nothing to do",
                count as usize - pairs
            ),
        );
        report.warnings([warning
            .at("system.batch_size.train")
            .help("raise it, and as a rule the learning rate with it; or start fewer processes")]);
    }
}

/// Tells the log which components are used, how large the system is and where it computes.
pub(super) fn describe(system: &System, plan: &Plan, report: &mut Report<'_>) {
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

/// How a run begins.
pub(super) struct Began {
    pub(super) run_id: String,
    pub(super) main_metric: String,
    pub(super) ordering: Ordering,
    pub(super) resumed_at: Option<u64>,
    pub(super) batches: usize,
}

/// What the record says at the beginning.
pub(super) fn started(began: Began, system: &System, plan: &Plan) -> record::Started {
    let Began { run_id, main_metric, ordering, resumed_at, batches } = began;
    let parts = [("encoder", &plan.encoder), ("head", &plan.head)];
    let optimizers = plan.optimizers.iter().map(|component| ("optimizer", component));
    let metrics = plan.metrics.iter().map(|component| ("metric", component));
    let components =
        parts.into_iter().chain(optimizers).chain(metrics).map(|(role, one)| record::Component {
            role: role.to_owned(),
            class: one.class.clone(),
            plugin: one.plugin.clone(),
            version: one.version.clone(),
            sha256: one.sha256.clone(),
        });
    record::Started {
        run_id,
        experiment: plan.config.run.experiment_name.clone(),
        resumed_at,
        epochs: plan.config.trainer.epochs,
        batches: batches as u64,
        main_metric: Some(main_metric),
        ordering: ordering_name(ordering).to_owned(),
        parameters: system.count("").0 as u64,
        components: components.collect(),
        environment: record::Environment {
            kiwi_host: env!("CARGO_PKG_VERSION").to_owned(),
            torch: TORCH_VERSION.to_owned(),
            device: device_name(system.device()),
            threads: tch::get_num_threads().unsigned_abs().into(),
            processor: machine::processor(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        },
    }
}
