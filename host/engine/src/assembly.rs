//! Everything that a run needs before its first step: components opened and checked, corpora read, the system built. All of
//! it is the same for `train` and for `check`, so that what one finds wrong the other does too.

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::Plan;
use kiwi_core::saved_system::SavedSystem;
use serde_json::Value;

use crate::data::{self, Source, TrainingData, Wanted};
use crate::optimizers::{self, CheckedOptimizer, Optimizers};
use crate::ranks::Ranks;
use crate::report::Report;
use crate::system::{Checked, Components, Needs, Parts, System, Vocabulary, refused};
use crate::torch::{Purpose, open_device, seed_for};
use crate::training::{self, Interval};

/// A run, put together and not begun.
pub(crate) struct Assembly {
    pub(crate) system: System,
    pub(crate) optimizers: Optimizers,
    pub(crate) data: TrainingData,
}

/// Puts a run together, and tells its warnings.
///
/// # Errors
/// Everything that is wrong with the components' options and the files; or else what is wrong with the text in them; or
/// else what the built system says.
pub(crate) fn assemble(plan: &Plan, ranks: &mut Ranks, report: &mut Report<'_>) -> Result<Assembly, Failure> {
    let config = &plan.config;
    let asked = plan.device(ranks.place()).map_err(|failure| place(plan, failure))?;
    let device = open_device(&asked).map_err(|failure| place(plan, failure))?;
    let mut components = Components::default();
    let checked = check(plan, &mut components, report)?;
    let saved = saved(config)?;

    let wanted = Wanted::by(&[&checked.encoder, &checked.head]);
    if !wanted.post_edits {
        report.warnings(data::unread_post_edits(config, &plan.document));
    }
    let of_both = [&checked.encoder.needs, &checked.head.needs].into_iter();
    let sparse: Vec<_> = of_both.flat_map(|needs| needs.sparse_gradients.iter().cloned()).collect();

    let opened = data::open(config, &plan.document, &wanted)?;
    // What one makes of large corpora is in the cache when the others of its machine read them.
    let mut data = ranks.one_of_each_machine_before_others(|| {
        let (source, cache) = (source(config, saved.as_ref()), data::cache());
        data::read(config, &plan.document, opened, source, &wanted, cache.as_ref())
    })?;
    data.summary.lines().for_each(|line| report.note(line));
    report.warnings(std::mem::take(&mut data.warnings));
    if !config.debug {
        Interval::check(config, data.train.batches()).map_err(|failure| place(plan, *failure))?;
    }

    let loaded = saved.as_ref().filter(|_| config.system.load.is_some());
    tch::manual_seed(seed_for(config.run.seed, Purpose::Initialization, 0).cast_signed());
    let vocabulary = Vocabulary {
        vocabularies: data.vocabularies.clone(),
        data_processing: data_processing(config, loaded),
    };
    let parts = Parts {
        class: plan.system.clone(),
        encoder: checked.encoder,
        head: checked.head,
        metrics: checked.metrics,
        features: None,
    };
    let mut system = System::build(parts, vocabulary, &mut components, &plan.registry, device)?;
    report.warnings(components.take_doubts(&plan.warnings));
    if let Some(saved) = loaded {
        system.load(saved)?;
    }
    system.metrics.choose_main(&config.trainer.main_metric).map_err(|errors| place(plan, refused(errors)))?;
    let steps = training::steps(config, data.train.batches());
    let (optimizers, warnings) = Optimizers::build(checked.optimizers, &system, &sparse, steps, plan)?;
    report.warnings(warnings);
    Ok(Assembly { system, optimizers, data })
}

/// The components of a run, their configs checked.
struct CheckedComponents {
    encoder: Checked,
    head: Checked,
    optimizers: Vec<CheckedOptimizer>,
    metrics: Vec<Checked>,
}

/// Opens and checks the components. Files that are missing are told beside what is wrong with their options, before any
/// file is read.
fn check(
    plan: &Plan,
    components: &mut Components,
    report: &mut Report<'_>,
) -> Result<CheckedComponents, Failure> {
    let mut wanted = vec![plan.encoder.clone(), plan.head.clone()];
    wanted.extend(plan.optimizers.clone());
    wanted.extend(plan.metrics.clone());
    let (checked, warnings) = components
        .check(wanted, Some(&plan.document), |needs| {
            let reason = needs.post_edit.as_ref();
            let mut unmet =
                reason.map(|reason| data::missing_post_edits(&plan.config.data, reason)).unwrap_or_default();
            unmet.extend(nothing_to_carry(plan, needs));
            unmet
        })
        .map_err(|mut failure| {
            if failure.exit == ExitCode::Invalid {
                failure.diagnostics.extend(data::missing_files(
                    &plan.config,
                    &plan.document,
                    &Wanted::default(),
                ));
                kiwi_core::config::sort(&mut failure.diagnostics);
            }
            failure
        })?;
    report.warnings(warnings);
    let mut checked = checked.into_iter();
    let (Some(encoder), Some(head)) = (checked.next(), checked.next()) else {
        return Err(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(Code::MissingKey, "the config names no system to train"),
        ));
    };
    let of_optimizers = checked.by_ref().take(plan.optimizers.len()).collect();
    let (optimizers, warnings) = optimizers::check(plan, of_optimizers, components)?;
    report.warnings(warnings);
    Ok(CheckedComponents { encoder, head, optimizers, metrics: checked.collect() })
}

/// The complaint about an encoder that is to carry state from batch to batch and has none.
fn nothing_to_carry(plan: &Plan, needs: &Needs) -> Option<Diagnostic> {
    let steps = plan.config.trainer.truncated_bptt_steps?;
    let class = &plan.encoder.class;
    (needs.carries_state == Some(false)).then(|| {
        Diagnostic::error(
            Code::CarriedState,
            format!("the encoder `{class}` carries no state from batch to batch"),
        )
        .at("trainer.truncated_bptt_steps")
        .found(steps.to_string())
        .expected("null, or an encoder that carries state")
        .help("remove the key")
    })
}

/// The saved system that a config names, whichever key does.
fn saved(config: &RunConfig) -> Result<Option<SavedSystem>, Failure> {
    let open = |(path, key): (&std::path::PathBuf, &str)| {
        SavedSystem::open(path).map_err(|error| {
            Failure::new(ExitCode::Invalid, Diagnostic::error(error.code(), error.to_string()).at(key))
        })
    };
    named_system(config).map(open).transpose()
}

fn named_system(config: &RunConfig) -> Option<(&std::path::PathBuf, &'static str)> {
    let load = config.system.load.as_ref().map(|path| (path, "system.load"));
    load.or_else(|| config.system.load_vocabs.as_ref().map(|path| (path, "system.load_vocabs")))
}

/// Where the vocabularies of a run come from.
fn source<'a>(config: &'a RunConfig, saved: Option<&'a SavedSystem>) -> Source<'a> {
    match (named_system(config), saved) {
        (Some((file, key)), Some(saved)) => Source::Saved { file, header: saved.header(), key },
        _ => Source::Corpus,
    }
}

/// How text is processed: a loaded system's own way, else the config's.
fn data_processing(config: &RunConfig, loaded: Option<&SavedSystem>) -> Value {
    match loaded {
        Some(loaded) => loaded.header().data_processing.clone(),
        None => serde_json::to_value(config.system.data_processing.clone().unwrap_or_default())
            .unwrap_or_default(),
    }
}

fn place(plan: &Plan, failure: Failure) -> Failure {
    let placed = failure.diagnostics.into_iter().map(|one| plan.document.place(one));
    Failure { exit: failure.exit, diagnostics: placed.collect() }
}
