//! `kiwi-host evaluate SYSTEM`: loss and metrics of a saved system on a parallel corpus. What `score` shares with it is here too.

use std::collections::BTreeSet;

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::request::{Format, SystemRequest};
use kiwi_text::{ParallelCorpus, ParallelFiles};
use kiwi_tracking::number::Number;
use serde_json::{Map, Value, json};

use crate::data::{self, Data};
use crate::outlet::Outlet;
use crate::ranks::Ranks;
use crate::report::{Report, number};
use crate::system::{Components, Parts, Reason, System, Vocabulary};
use crate::torch::{open_device, set_threads};
use crate::training::{self, Evaluation, Mode};

/// `kiwi-host evaluate SYSTEM --source F --target F [--pe F]`.
pub(crate) fn evaluate(request: &SystemRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut report = Report::new(outlet, &request.common, request.common.verbosity);
    let (pairs, found) = report.until_done(|report| {
        let Evaluated { mut system, corpus, data, mode } = open(request, Purpose::Prediction, report)?;
        let found = training::evaluate(&mut system, &data, None, mode, &mut Ranks::alone(), |_, _| Ok(()))?;
        report.warnings(system.close());
        Ok((corpus.pairs(), found))
    })?;
    match request.format {
        Format::Json => outlet.data(to_json(pairs, &found)),
        Format::Human => {
            let width = found.values.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("loss".len());
            outlet.data(format!("{:width$}  {pairs}", "pairs"));
            outlet.data(format!("{:width$}  {}", "loss", number(found.loss)));
            for (name, value) in &found.values {
                outlet.data(format!("{name:width$}  {}", value.map_or_else(|| "none".to_owned(), number)));
            }
        }
    }
    Ok(ExitCode::Success)
}

/// The figures of a corpus of so many pairs as a line of JSON.
pub(crate) fn to_json(pairs: usize, found: &Evaluation) -> String {
    let metrics: Map<String, Value> =
        found.values.iter().map(|(name, value)| (name.clone(), json!(value.map(Number)))).collect();
    data_format::line(json!({"pairs": pairs, "loss": Number(found.loss), "metrics": metrics}))
}

/// A saved system, its corpus, and how it is run.
pub(crate) struct Evaluated {
    pub(crate) system: System,
    pub(crate) corpus: ParallelCorpus,
    pub(crate) data: Data,
    pub(crate) mode: Mode,
}

/// What a saved system is run for.
pub(crate) enum Purpose {
    /// Loss and figures: encoder and head.
    Prediction,
    /// These features: the encoder alone.
    Features(BTreeSet<String>),
}

/// The saved system of a command, and its corpus.
pub(crate) fn open(
    request: &SystemRequest,
    purpose: Purpose,
    report: &mut Report<'_>,
) -> Result<Evaluated, Failure> {
    let plan = plan::prepare_system(request)?;
    report.warnings(plan.warnings.clone());
    set_threads(&request.common);
    let device = open_device(&plan.device)?;
    let header = plan.saved.header();
    let options = &plan.options;
    let vocabularies = data::from_saved(header).map_err(|error| {
        Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(
                Code::Vocabulary,
                format!("{} holds a broken vocabulary: {error}", request.system.display()),
            ),
        )
    })?;
    let mut components = Components::default();
    let mut wanted = vec![plan.encoder.clone(), plan.head.clone()];
    wanted.extend(plan.metrics.clone());
    let predicts = matches!(purpose, Purpose::Prediction);
    let (checked, warnings) = components.check(wanted, Some(&options.document), |needs| {
        let needed = needs.post_edit.as_ref().filter(|_| predicts && request.post_edit.is_none());
        needed.map(needs_post_edit).into_iter().collect()
    })?;
    // What the components warn of as they were saved was said when the system was trained.
    report.warnings(warnings.into_iter().filter(|_| !request.overrides.is_empty()));
    let mut checked = checked.into_iter();
    let (Some(encoder), Some(head)) = (checked.next(), checked.next()) else {
        return Err(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(Code::NotASystem, "the saved system lacks a part"),
        ));
    };
    let wanted = if predicts { data::Wanted::by(&[&encoder, &head]) } else { data::Wanted::by(&[&encoder]) };
    if request.post_edit.is_some() && !wanted.post_edits {
        report.warnings([Diagnostic::warning(
            Code::NoEffect,
            "--pe is not read: no part of this system needs post-edits",
        )
        .help("leave --pe out")]);
    }
    let files = ParallelFiles {
        source: vec![request.source.clone()],
        target: vec![request.target.clone()],
        post_edit: request.post_edit.clone().filter(|_| wanted.post_edits).map(|file| vec![file]),
    };
    let cache = data::cache();
    let (corpus, data, warnings) =
        data::read_for(&files, &vocabularies, options.batch_size, &wanted, cache.as_ref())?;
    report.warnings(warnings);
    let features = match purpose {
        Purpose::Prediction => None,
        Purpose::Features(features) => Some(features),
    };
    let metrics = checked.collect();
    let parts = Parts { class: header.class_name.clone(), encoder, head, metrics, features };
    let vocabulary = Vocabulary { vocabularies, data_processing: header.data_processing.clone() };
    let mut system = System::build(parts, vocabulary, &mut components, &plan.registry, device)?;
    report.warnings(components.take_doubts(&plan.warnings));
    system.load(&plan.saved)?;
    // Nothing random is drawn in evaluation.
    let mode =
        Mode { seed: 0, precision: options.precision, workers: options.num_data_workers, carry: false };
    Ok(Evaluated { system, corpus, data, mode })
}

fn needs_post_edit(reason: &Reason) -> Diagnostic {
    Diagnostic::error(
        Code::CannotBeAsked,
        format!("this system needs post-edits: {} reads them", reason.who()),
    )
    .found("no --pe")
    .expected("--pe FILE")
    .help("add --pe with the corrected translations, line by line")
}
