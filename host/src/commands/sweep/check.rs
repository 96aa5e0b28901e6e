//! The configs of all trials, checked before anything runs: read, their names resolved, options shown to their components. All that
//! is wrong is told at once, with the parameter of the sweep file that is to blame.

use std::collections::HashMap;
use std::path::Path;

use kiwi_core::config::sweep::{Method, Resource, Sweep, Trial};
use kiwi_core::config::{self, Corpora, Document, OptimizerSection, RunConfig, WarmupSteps};
use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{self, Plan};
use kiwi_core::plugins::{Registry, ResolvedComponent};
use kiwi_core::request::{Common, Message, OptionsRequest, Request};
use kiwi_sweep::draw::Values;

use crate::arguments::CommonOptions;
use crate::commands::program;
use crate::commands::told::Told;
use crate::engine;

/// So many things that are wrong are told.
const TOLD: usize = 20;
/// Before the path of a component's options, with its place among all, so that what it says is known to be of it.
const MARK: &str = "component";

/// What a sweep runs.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The configs of the trials as JSON, in order.
    pub(super) configs: Vec<String>,
    /// How far a trial goes, in the measure of successive halving.
    pub(super) most: Option<u64>,
}

/// Something that is wrong or worth knowing, and the trials in which it is.
struct Finding {
    complaint: Diagnostic,
    trials: Vec<usize>,
}

struct Checker<'a> {
    sweep: &'a Sweep,
    /// The values of the trials as JSON, by the paths of the parameters.
    values: Vec<Vec<(String, String)>>,
    findings: Vec<Finding>,
    exit: ExitCode,
    components: Vec<Component>,
    /// Where a component is among them, by its name and its options.
    seen: HashMap<String, usize>,
}

/// A component with what the configs of these trials say to it.
struct Component {
    resolved: ResolvedComponent,
    trials: Vec<usize>,
    /// The config of the first of them.
    document: Document,
}

/// Checks the configs of all trials.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(super) fn prepare(
    sweep: &Sweep,
    trials: &[Values],
    common: &Common,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<Prepared, Failure> {
    let values = trials.iter().map(|values| settings(sweep, values)).collect();
    let mut checker = Checker {
        sweep,
        values,
        findings: Vec::new(),
        exit: ExitCode::Plugin,
        components: Vec::new(),
        seen: HashMap::new(),
    };
    let registry = plan::discover(common);
    let errors: Vec<_> = registry.errors().cloned().collect();
    let mut prepared = Prepared { configs: Vec::with_capacity(trials.len()), most: None };
    for trial in 0..trials.len() {
        if let Some(config) = checker.config(trial, &registry) {
            prepared.most = most(&config, sweep.method);
            let text = config.to_json().map_err(|error| {
                Failure::new(
                    ExitCode::Invalid,
                    Diagnostic::error(Code::Internal, "a config cannot be written").note(error.to_string()),
                )
            })?;
            prepared.configs.push(text + "\n");
        }
    }
    if prepared.configs.len() == trials.len() {
        checker.check_length(prepared.most);
    }
    checker.check_options(options)?;
    let (wrong, worth_knowing) = checker.told();
    if !wrong.is_empty() || !errors.is_empty() {
        let exit = if errors.is_empty() { checker.exit } else { ExitCode::Invalid };
        return Err(Failure { exit, diagnostics: [wrong, errors, worth_knowing].concat() });
    }
    told.tell(&worth_knowing);
    Ok(prepared)
}

/// What a trial sets in the base config.
pub(super) fn settings(sweep: &Sweep, values: &Values) -> Vec<(String, String)> {
    sweep
        .parameters
        .iter()
        .zip(values)
        .map(|(parameter, value)| (parameter.path.clone(), value.to_string()))
        .collect()
}

fn most(config: &RunConfig, method: Method) -> Option<u64> {
    match method {
        Method::SuccessiveHalving { resource: Resource::Epochs, .. } => Some(config.trainer.epochs),
        Method::SuccessiveHalving { resource: Resource::Steps, .. } => config.trainer.max_steps,
        Method::Grid | Method::Random { .. } => None,
    }
}

impl Checker<'_> {
    /// The config of a trial, as far as it can be checked without its components.
    fn config(&mut self, trial: usize, registry: &Registry) -> Option<RunConfig> {
        let mut set = self.values[trial].clone();
        if !self.sweep.devices.is_empty() {
            // Each trial sees one GPU only.
            set.push(("trainer.gpus".to_owned(), "1".to_owned()));
        }
        let loaded = match self.sweep.config(&set) {
            Ok(loaded) => loaded,
            Err(invalid) => {
                self.exit = ExitCode::Invalid;
                invalid.complaints.into_iter().for_each(|complaint| self.add(complaint, trial));
                return None;
            }
        };
        loaded.warnings.into_iter().for_each(|warning| self.add(warning, trial));
        let config = loaded.config;
        self.check_corpora(&config, &loaded.document, trial);
        if matches!(self.sweep.method, Method::SuccessiveHalving { .. }) {
            self.warn_of_schedules(&config.system.optimizers, &loaded.document, trial);
        }
        match plan::resolve(&config, &loaded.document, registry.clone(), false) {
            Ok(mut plan) => {
                std::mem::take(&mut plan.warnings).into_iter().for_each(|warning| self.add(warning, trial));
                self.note_components(plan, trial);
            }
            Err(unprepared) => {
                if unprepared.failure.exit != ExitCode::Plugin {
                    self.exit = ExitCode::Invalid;
                }
                unprepared.failure.diagnostics.into_iter().for_each(|complaint| self.add(complaint, trial));
            }
        }
        Some(config)
    }

    fn note_components(&mut self, plan: Plan, trial: usize) {
        let Plan { encoder, head, optimizers, metrics, document, .. } = plan;
        for component in [encoder, head].into_iter().chain(optimizers).chain(metrics) {
            let key = format!("{} {} {:?}", component.qualified(), component.config_path, component.config);
            match self.seen.get(&key).and_then(|place| self.components.get_mut(*place)) {
                Some(known) => known.trials.push(trial),
                None => {
                    self.seen.insert(key, self.components.len());
                    let document = document.clone();
                    self.components.push(Component { resolved: component, trials: vec![trial], document });
                }
            }
        }
    }

    /// Sees that the corpora are there: else every trial would fail for the same reason, one after the other.
    fn check_corpora(&mut self, config: &RunConfig, document: &Document, trial: usize) {
        let data = &config.data;
        let train = [("data.train".to_owned(), &data.train)];
        let others = data.valid.iter().chain(&data.test).map(|set| (set.path.clone(), &set.files));
        for (path, Corpora { source, target, post_edit }) in train.into_iter().chain(others) {
            let sides = [("source", Some(source)), ("target", Some(target)), ("pe", post_edit.as_ref())];
            for (side, file) in sides
                .into_iter()
                .flat_map(|(side, files)| files.into_iter().flatten().map(move |file| (side, file)))
            {
                if let Err(error) = file.metadata() {
                    self.exit = ExitCode::Invalid;
                    let complaint = Diagnostic::error(
                        Code::CorpusUnreadable,
                        format!("{} cannot be read: {error}", file.display()),
                    )
                    .at(format!("{path}.input.{side}"))
                    .expected("a file, by its path from the current directory")
                    .help("correct the path, or run the command where the path leads to the file");
                    self.add(document.place(complaint), trial);
                }
            }
        }
    }

    /// A schedule over the whole run is one over each rung.
    fn warn_of_schedules(&mut self, optimizers: &[OptimizerSection], document: &Document, trial: usize) {
        for optimizer in optimizers.iter().filter(|optimizer| optimizer.training_steps.is_none()) {
            let class = optimizer.class_name.rsplit("::").next().unwrap_or_default();
            let share = matches!(optimizer.warmup_steps, Some(WarmupSteps::ShareOfTraining(_)));
            if class != "adamw" && !share {
                continue;
            }
            let warning = Diagnostic::warning(
                Code::Schedule,
                "the schedule of the learning rate is for the length of the run, which each rung makes longer: \
                 trials that go on have other rates than if they had gone all the way at once",
            )
            .at(optimizer.path_of("class_name"))
            .found(format!("{class} without training_steps"))
            .expected("training_steps, the optimizer steps of the whole way")
            .help("set training_steps beside class_name, so that all rungs have one schedule");
            self.add(document.place(warning), trial);
        }
    }

    /// Sees that successive halving has something to halve.
    fn check_length(&mut self, most: Option<u64>) {
        let Method::SuccessiveHalving { resource, least, .. } = self.sweep.method else { return };
        let key = resource.least_key();
        let complaint = match most {
            None => Diagnostic::error(Code::Sweep, "min_steps needs trainer.max_steps in the config")
                .found("no trainer.max_steps")
                .expected("the optimizer steps of the whole way, as trainer.max_steps")
                .help("set trainer.max_steps in the config, or write min_epochs"),
            Some(most) if least >= most => {
                Diagnostic::error(Code::Sweep, format!("{key} is the whole way already"))
                    .found(format!("{least}, where {} is {most}", resource.key()))
                    .expected(format!("less than {most}, so that trials can end early"))
                    .help("lower it, raise the length in the config, or choose the method \"random\"")
            }
            Some(_) => return,
        };
        self.exit = ExitCode::Invalid;
        let complaint = self.sweep.place(complaint.at(key));
        self.findings.push(Finding { complaint, trials: (0..self.values.len()).collect() });
    }

    /// Has the components check their options, in one call for all trials.
    fn check_options(&mut self, options: &CommonOptions) -> Result<(), Failure> {
        let marked = |(place, component): (usize, &Component)| {
            let resolved = component.resolved.clone();
            let path = match resolved.config_path.as_str() {
                "" => String::new(),
                path => format!("{MARK}[{place}].{path}"),
            };
            ResolvedComponent { config_path: path, ..resolved }
        };
        let components: Vec<_> = self.components.iter().enumerate().map(marked).collect();
        if components.is_empty() {
            return Ok(());
        }
        let request = Request::CheckOptions(OptionsRequest { components });
        let mut found = Vec::new();
        engine::run(&request, None, options.libtorch.clone(), &program()?, |message| {
            if let Message::Diagnostics(diagnostics) = message {
                found.extend(diagnostics);
            }
        })?;
        for complaint in found {
            let (place, complaint) = unmarked(complaint);
            if complaint.severity == Severity::Error {
                self.exit = ExitCode::Invalid;
            }
            let Some(Component { document, trials, .. }) = place.and_then(|place| self.components.get(place))
            else {
                self.add(complaint, 0);
                continue;
            };
            let (complaint, trials) = (document.place(complaint), trials.clone());
            trials.into_iter().for_each(|trial| self.add(complaint.clone(), trial));
        }
        Ok(())
    }

    /// Adds what is wrong with a trial's config. What is wrong with several for the same reason is told once.
    fn add(&mut self, complaint: Diagnostic, trial: usize) {
        let (complaint, _) =
            self.sweep.blame(complaint, Trial { number: trial + 1, values: &self.values[trial] });
        let same = |finding: &&mut Finding| {
            let Diagnostic { message, path, location, .. } = &finding.complaint;
            (message, path, location) == (&complaint.message, &complaint.path, &complaint.location)
        };
        match self.findings.iter_mut().find(same) {
            Some(finding) if finding.trials.last() != Some(&trial) => finding.trials.push(trial),
            Some(_) => {}
            None => self.findings.push(Finding { complaint, trials: vec![trial] }),
        }
    }

    /// What is wrong, and what is worth knowing, each with the trials in which it is where it is not in all.
    fn told(&mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let findings = std::mem::take(&mut self.findings);
        let mut told: Vec<Diagnostic> =
            findings.into_iter().map(|finding| self.with_trials(finding)).collect();
        config::sort(&mut told);
        let (mut wrong, worth_knowing): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|one| one.severity == Severity::Error);
        let more = wrong.len().saturating_sub(TOLD);
        wrong.truncate(TOLD);
        if more > 0
            && let Some(last) = wrong.last_mut()
        {
            last.notes.push(format!("and {more} more errors in the configs of the trials"));
        }
        (wrong, worth_knowing)
    }

    fn with_trials(&self, Finding { mut complaint, trials }: Finding) -> Diagnostic {
        let Some(first) = trials.first().filter(|_| trials.len() < self.values.len()) else {
            return complaint;
        };
        let more = match trials.len() - 1 {
            0 => String::new(),
            more => format!(", and in {more} more"),
        };
        let values: Vec<_> =
            self.values[*first].iter().map(|(path, value)| format!("{path} = {value}")).collect();
        complaint.notes.push(format!(
            "in trial {} ({}){more}",
            kiwi_sweep::directory::name(first + 1),
            values.join(", ")
        ));
        complaint
    }
}

/// A complaint, and the place of the component that its path names.
fn unmarked(mut complaint: Diagnostic) -> (Option<usize>, Diagnostic) {
    let start = format!("{MARK}[");
    let number = complaint.path.as_deref().and_then(|path| path.strip_prefix(&start)?.split_once("]."));
    let Some((number, path)) = number.map(|(number, path)| (number.to_owned(), path.to_owned())) else {
        return (None, complaint);
    };
    complaint.path = Some(path);
    let prefix = format!("{MARK}[{number}].");
    let clean = |text: &mut String| *text = text.replace(&prefix, "");
    clean(&mut complaint.message);
    complaint.notes.iter_mut().for_each(clean);
    complaint.help.iter_mut().for_each(clean);
    complaint.expected.iter_mut().for_each(clean);
    (number.parse().ok(), complaint)
}

/// Where a sweep goes that does not say: beside others, by the name of its file.
pub(super) fn default_directory(sweep: &Path) -> std::path::PathBuf {
    Path::new("sweeps").join(sweep.file_stem().unwrap_or(sweep.as_os_str()))
}
