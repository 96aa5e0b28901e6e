//! `kiwi-host evaluate SYSTEM`: loss and metrics of a saved system on a parallel corpus. What `score` shares with it is here too.

use std::collections::BTreeSet;
use std::path::PathBuf;

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{self, SystemPlan};
use kiwi_core::request::{Format, SystemRequest};
use kiwi_text::{ParallelCorpus, ParallelFiles, Vocabularies};
use kiwi_tracking::number::Number;
use serde_json::{Map, Value, json};
use tch::Device;

use crate::data::{self, Data};
use crate::outlet::Outlet;
use crate::ranks::Ranks;
use crate::report::{Report, number};
use crate::system::{Checked, Components, Parts, Reason, System, Vocabulary};
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
    let predicts = matches!(purpose, Purpose::Prediction);
    let mut prepared = Prepared::new(request, predicts, report)?;
    let files = ParallelFiles {
        source: vec![request.source.clone()],
        target: vec![request.target.clone()],
        post_edit: prepared.post_edit(request).map(|file| vec![file]),
    };
    let cache = data::cache();
    let (vocabularies, wanted) = (&prepared.vocabularies, &prepared.wanted);
    let (corpus, data, warnings) =
        data::read_for(&files, vocabularies, prepared.plan.options.batch_size, wanted, cache.as_ref())?;
    report.warnings(warnings);
    let features = match purpose {
        Purpose::Prediction => None,
        Purpose::Features(features) => Some(features),
    };
    let system = prepared.build(features, report)?;
    Ok(Evaluated { system, corpus, data, mode: prepared.mode() })
}

/// A saved system whose plugins are open, before it is built.
pub(crate) struct Prepared {
    pub(crate) plan: SystemPlan,
    pub(crate) vocabularies: Vocabularies,
    /// What its components need of the corpus.
    pub(crate) wanted: data::Wanted,
    pub(crate) device: Device,
    components: Components,
    encoder: Checked,
    head: Checked,
    metrics: Vec<Checked>,
}

impl Prepared {
    /// Opens the saved system and its plugins; of one that predicts, the head needs what it needs too.
    ///
    /// # Errors
    /// When anything of it cannot be used.
    pub(crate) fn new(
        request: &SystemRequest,
        predicts: bool,
        report: &mut Report<'_>,
    ) -> Result<Self, Failure> {
        let plan = plan::prepare_system(request)?;
        report.warnings(plan.warnings.clone());
        set_threads(&request.common);
        let device = open_device(&plan.device)?;
        let vocabularies = data::from_saved(plan.saved.header()).map_err(|error| {
            Failure::new(
                ExitCode::Invalid,
                Diagnostic::error(
                    Code::Vocabulary,
                    format!("{} holds a broken vocabulary: {error}", request.system.display()),
                ),
            )
        })?;
        let mut components = Components::default();
        let mut named = vec![plan.encoder.clone(), plan.head.clone()];
        named.extend(plan.metrics.clone());
        let (checked, warnings) = components.check(named, Some(&plan.options.document), |needs| {
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
        let wanted =
            if predicts { data::Wanted::by(&[&encoder, &head]) } else { data::Wanted::by(&[&encoder]) };
        if request.post_edit.is_some() && !wanted.post_edits {
            report.warnings([Diagnostic::warning(
                Code::NoEffect,
                "--pe is not read: no part of this system needs post-edits",
            )
            .help("leave --pe out")]);
        }
        let metrics = checked.collect();
        Ok(Self { plan, vocabularies, wanted, device, components, encoder, head, metrics })
    }

    /// The post-edits of the command, if they are needed.
    pub(crate) fn post_edit(&self, request: &SystemRequest) -> Option<PathBuf> {
        request.post_edit.clone().filter(|_| self.wanted.post_edits)
    }

    /// The system with the values that were saved; with `features` the encoder alone, for these.
    ///
    /// # Errors
    /// When a component cannot be built, or the values do not fit.
    pub(crate) fn build(
        &mut self,
        features: Option<BTreeSet<String>>,
        report: &mut Report<'_>,
    ) -> Result<System, Failure> {
        let header = self.plan.saved.header();
        let parts = Parts {
            class: header.class_name.clone(),
            encoder: self.encoder.clone(),
            head: self.head.clone(),
            metrics: self.metrics.clone(),
            features,
        };
        let vocabulary = Vocabulary {
            vocabularies: self.vocabularies.clone(),
            data_processing: header.data_processing.clone(),
        };
        let mut system =
            System::build(parts, vocabulary, &mut self.components, &self.plan.registry, self.device)?;
        report.warnings(self.components.take_doubts(&self.plan.warnings));
        system.load(&self.plan.saved)?;
        Ok(system)
    }

    /// How it is run. Nothing random is drawn in evaluation.
    pub(crate) fn mode(&self) -> Mode {
        let options = &self.plan.options;
        Mode { seed: 0, precision: options.precision, workers: options.num_data_workers, carry: false }
    }

    /// The SHA-256 of the plugins of encoder and head.
    pub(crate) fn plugin_hashes(&self) -> [&str; 2] {
        [&self.encoder, &self.head].map(|part| part.resolved.sha256.as_str())
    }
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
