//! What is said when a run begins: in its log, and in its record.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::place::{Launcher, Place};
use kiwi_core::plan::Plan;
use kiwi_plugin_api::Ordering;
use kiwi_plugin_metadata::TORCH_VERSION;
use kiwi_tracking::record;

use crate::data::counted;
use crate::machine;
use crate::report::Report;
use crate::system::{System, ordering_name};
use crate::torch::device_name;

/// Refuses to be one of several processes that a launcher started, each of which would train a system of its own.
pub(super) fn alone() -> Result<(), Failure> {
    let invalid = |error| Failure::new(ExitCode::Invalid, error);
    let place = Place::of_launcher(|name| std::env::var(name).ok()).map_err(|error| {
        invalid(
            Diagnostic::error(format!("the variables of a launcher cannot be used: {error}"))
                .help("start it by torchrun or srun, which set them, or unset them"),
        )
    })?;
    match place {
        Some(Place { rank, ranks: ranks @ 2.., launcher, .. }) => Err(invalid(
            Diagnostic::error("training in several processes is not supported yet")
                .found(format!("rank {rank} of {ranks}, started by {launcher}"))
                .expected("one process")
                .help(match launcher {
                    Launcher::Torchrun => {
                        "start it by --nproc-per-node 1 on one machine, or without torchrun"
                    }
                    Launcher::Slurm => "start it by `srun --ntasks 1`",
                    Launcher::Own => "leave out --nproc",
                }),
        )),
        _ => Ok(()),
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
