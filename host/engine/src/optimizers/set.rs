//! The optimizers of a run, called as one.

use kiwi_core::config::{OptimizerSection, Precision, WarmupSteps};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{Plan, ResolvedComponent};
use kiwi_plugin_api::abi::host::{CallError, OptimizerInstance, ScheduleInstance};
use kiwi_plugin_api::{NamedTensors, ParameterGroup, ScheduleContext};
use tch::Tensor;

use super::assignment;
use super::check::CheckedOptimizer;
use super::gradient_scaler::GradientScaler;
use super::plateau::Plateau;
use super::rates::{Course, Rates};
use super::states::{SavedProgress, States};
use crate::checkpoint::CopiedTensors;
use crate::system::{Setup, SparseParameter, System, freed, running, sparse_gradients};

/// All optimizers of a run; each parameter that trains belongs to one.
pub(crate) struct Optimizers {
    entries: Vec<Entry>,
    /// In 16-bit precision.
    scaler: Option<GradientScaler>,
}

struct Entry {
    component: ResolvedComponent,
    instance: OptimizerInstance,
    rates: Rates,
    /// What the log calls the rate of each group.
    labels: Vec<String>,
    /// The rates of the last step; before the first, those it will have without a schedule.
    last: Vec<f64>,
}

/// A learning rate that was lowered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lowered {
    /// What the log calls it.
    pub(crate) label: String,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Optimizers {
    /// Builds the optimizers over the parameters of `system`, of which `sparse` have sparse gradients, for a run of `run_steps`
    /// optimizer steps; with what should be known about them.
    ///
    /// # Errors
    /// When parameters are left over or claimed twice, an optimizer cannot use their gradients, there is no schedule for a run of
    /// this length, a saved state does not fit, or a component cannot be built.
    pub(crate) fn build(
        optimizers: Vec<CheckedOptimizer>,
        system: &System,
        sparse: &[SparseParameter],
        run_steps: u64,
        plan: &Plan,
    ) -> Result<(Self, Vec<Diagnostic>), Failure> {
        let place = |one: Diagnostic| plan.document.place(one);
        let sections: Vec<&OptimizerSection> = optimizers.iter().map(|one| &one.section).collect();
        let assigned = assignment::assign(&sections, system.parameters()).map_err(|errors| Failure {
            exit: ExitCode::Invalid,
            diagnostics: errors.into_iter().map(place).collect(),
        })?;
        let names = names(&sections);
        let scaled =
            optimizers.iter().find_map(|one| one.saved.as_ref().and_then(|saved| saved.gradient_scaler));
        let half = plan.config.trainer.precision == Precision::F16;
        let (mut entries, mut warnings) = (Vec::new(), Vec::new());
        for ((optimizer, parameters), name) in optimizers.into_iter().zip(assigned).zip(names) {
            let entry = Entry::build(optimizer, parameters, system, sparse, run_steps, &name, &mut warnings);
            entries.push(entry.map_err(|failure| Failure {
                diagnostics: failure.diagnostics.into_iter().map(place).collect(),
                ..failure
            })?);
        }
        let scaler = half.then(|| GradientScaler::new(scaled));
        Ok((Self { entries, scaler }, warnings.into_iter().map(place).collect()))
    }

    /// What becomes of the learning rates, a line for each optimizer.
    pub(crate) fn describe(&self) -> Vec<String> {
        let line = |entry: &Entry| {
            let named = entry.labels.iter().zip(entry.rates.groups());
            let rates: Vec<String> = named.map(|(label, rate)| format!("{label} {rate}")).collect();
            rates.join(", ") + &entry.rates.describe()
        };
        self.entries.iter().map(line).collect()
    }

    /// The loss as backward wants it: in 16-bit precision times a factor, which [`Self::unscale`] takes off the gradients.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(crate) fn scale(&self, loss: Tensor) -> kiwi_plugin_api::Result<Tensor> {
        self.scaler.as_ref().map_or(Ok(loss.shallow_clone()), |scaler| scaler.scale(&loss))
    }

    /// Makes the gradients of a step those of the loss itself. Whether the step is to be taken: in 16-bit precision not where one
    /// of them is not finite.
    ///
    /// # Errors
    /// When libtorch fails, or gradients stay not finite.
    pub(crate) fn unscale(&mut self, parameters: &[Tensor]) -> kiwi_plugin_api::Result<bool> {
        self.scaler.as_mut().map_or(Ok(true), |scaler| scaler.unscale(parameters))
    }

    /// What scales the loss in 16-bit precision.
    pub(crate) fn scaler(&self) -> Option<&GradientScaler> {
        self.scaler.as_ref()
    }

    /// Takes the step of this number, counted from 0.
    ///
    /// # Errors
    /// When a component fails.
    pub(crate) fn step(&mut self, step: u64) -> Result<(), CallError> {
        for entry in &mut self.entries {
            entry.last = entry.rates.of_step(step)?;
            entry.instance.step(&entry.last)?;
        }
        Ok(())
    }

    /// The learning rates of the last step, with what the log calls them.
    pub(crate) fn last_rates(&self) -> Vec<(String, f64)> {
        let of_entry = |entry: &Entry| -> Vec<_> {
            entry.labels.iter().cloned().zip(entry.last.iter().copied()).collect()
        };
        self.entries.iter().flat_map(of_entry).collect()
    }

    /// Takes the main metric's value of a validation; the rates that were lowered.
    pub(crate) fn validated(&mut self, value: Option<f64>) -> Vec<Lowered> {
        let mut all = Vec::new();
        for entry in &mut self.entries {
            for (group, from, to) in entry.rates.validated(value) {
                all.push(Lowered { label: entry.labels[group].clone(), from, to });
            }
        }
        all
    }

    /// Copies of the states, and how far they have come, after `steps` steps of this run.
    ///
    /// # Errors
    /// When a component fails or a tensor cannot be copied.
    pub(crate) fn states(&mut self, steps: u64) -> Result<States, Failure> {
        let mut states = Vec::with_capacity(self.entries.len());
        for entry in &mut self.entries {
            let tensors = entry.instance.state().map_err(|error| running(&error))?;
            let tensors = CopiedTensors::of(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)));
            let tensors = tensors.map_err(|error| unsaved(&error))?;
            states.push((entry.component.clone(), tensors, entry.rates.progress(steps)));
        }
        let last = self.entries.iter().map(|entry| entry.last.clone()).collect();
        Ok(States::new(states, self.scaler.as_ref().map(GradientScaler::saved), last))
    }

    /// Goes on from what a resume point says after `steps` steps of the run, and the tensors of each state.
    ///
    /// # Errors
    /// When there are more or fewer states than optimizers, or one does not fit.
    pub(crate) fn go_on(&mut self, progress: SavedProgress, tensors: &[NamedTensors]) -> Result<(), Failure> {
        let (rates, scaler, last) = progress.into_parts();
        if rates.len() != self.entries.len() || tensors.len() != self.entries.len() {
            let message = format!(
                "the resume point has states of {} optimizers, and the config has {}",
                rates.len(),
                self.entries.len()
            );
            return Err(Failure::new(
                ExitCode::Invalid,
                Diagnostic::error(Code::OptimizerState, message).at("system.optimizer"),
            ));
        }
        for ((entry, progress), tensors) in self.entries.iter_mut().zip(rates).zip(tensors) {
            entry.instance.load_state(tensors).map_err(Setup)?;
            entry.rates.go_on(progress);
        }
        for (entry, last) in self.entries.iter_mut().zip(last) {
            if last.len() == entry.last.len() {
                entry.last = last;
            }
        }
        if self.scaler.is_some() {
            self.scaler = Some(GradientScaler::resumed(scaler));
        }
        Ok(())
    }

    /// Frees them; what went wrong with that.
    pub(crate) fn close(self) -> Vec<Diagnostic> {
        let closed = self.entries.into_iter().map(|entry| entry.instance.close());
        closed.filter_map(Result::err).map(|error| freed(&error)).collect()
    }
}

impl Entry {
    fn build(
        optimizer: CheckedOptimizer,
        parameters: kiwi_plugin_api::NamedTensors,
        system: &System,
        sparse: &[SparseParameter],
        run_steps: u64,
        name: &str,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Self, Failure> {
        let CheckedOptimizer { section, checked, saved } = optimizer;
        let grouped = assignment::groups(&section, parameters)
            .map_err(|error| Failure::new(ExitCode::Invalid, *error))?;
        let (groups, rates): (Vec<ParameterGroup>, Vec<f64>) = grouped.into_iter().unzip();
        if checked.handle.sparse_only() {
            dense_gradients(&section, &groups, sparse)
                .map_err(|error| Failure::new(ExitCode::Invalid, *error))?;
        }
        for group in &groups {
            let errors = sparse_gradients::refused(&checked, group, sparse)?;
            if !errors.is_empty() {
                return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
            }
        }
        if section.encoder_learning_rate.is_some() && groups.len() == 1 {
            warnings.push(
                Diagnostic::warning(
                    Code::NoEffect,
                    "learning_rate is the rate of no parameter: all that train are the encoder's",
                )
                .at(section.path_of("learning_rate"))
                .help("encoder_learning_rate is the rate that counts"),
            );
        }
        let before = saved.as_ref().map_or(0, |saved| saved.progress.steps);
        let course = if checked.handle.has_schedule() {
            let (schedule, text) = own_schedule(&section, &checked, system, before, run_steps, warnings)?;
            Course::Own(schedule, text)
        } else {
            let (factor, patience) = (section.learning_rate_decay, section.learning_rate_decay_start);
            let plateau = || Plateau::new(factor, patience, system.metrics.main_ordering());
            if factor < 1.0 { Course::Plateau(plateau()) } else { Course::Constant }
        };
        let mut instance =
            OptimizerInstance::create(&checked.handle, &checked.config, &groups).map_err(Setup)?;
        if let Some(saved) = &saved {
            instance.load_state(&saved.tensors).map_err(|error| {
                let mut failure = Failure::from(Setup(error));
                for diagnostic in &mut failure.diagnostics {
                    diagnostic.path = Some(section.path_of("load"));
                }
                failure
            })?;
        }
        let labels = groups.iter().map(|group| match (group.name.as_str(), section.encoder_learning_rate) {
            (group, Some(_)) => format!("learning rate{name} ({group})"),
            _ => format!("learning rate{name}"),
        });
        Ok(Self {
            labels: labels.collect(),
            last: rates.clone(),
            rates: Rates::new(rates, course, system.metrics.main_name(), saved.map(|saved| saved.progress)),
            component: checked.resolved,
            instance,
        })
    }
}

fn unsaved(error: &kiwi_plugin_api::Error) -> Failure {
    let message = format!("cannot save the state of the optimizer: {error}");
    Failure::new(ExitCode::RunFailed, Diagnostic::error(Code::TorchFailed, message))
}

/// What the log calls each optimizer, to follow what it says of it: nothing for the only one, else its class, or its place where
/// others have the same class.
fn names(sections: &[&OptimizerSection]) -> Vec<String> {
    if sections.len() == 1 {
        return vec![String::new()];
    }
    let named = sections.iter().enumerate().map(|(index, section)| {
        let of_class = sections.iter().filter(|other| other.class_name == section.class_name).count();
        if of_class == 1 { format!(" of {}", section.class_name) } else { format!(" of optimizer[{index}]") }
    });
    named.collect()
}

/// Refuses to give parameters with dense gradients to a class that can use sparse ones only.
fn dense_gradients(
    section: &OptimizerSection,
    groups: &[ParameterGroup],
    sparse: &[SparseParameter],
) -> Result<(), Box<Diagnostic>> {
    let names = groups.iter().flat_map(|group| &group.parameters).map(|(name, _)| name.as_str());
    let dense: Vec<&str> = names.filter(|name| !sparse.iter().any(|one| one.name == *name)).collect();
    if dense.is_empty() {
        return Ok(());
    }
    let class = &section.class_name;
    Err(Box::new(
        Diagnostic::error(Code::PartsDoNotFit, format!("the optimizer `{class}` can use sparse gradients only"))
            .at(section.path_of("class_name"))
            .found(format!("{} parameters with dense gradients: {}", dense.len(), dense.join(", ")))
            .expected("tables of embeddings with sparse_embeddings, and no other parameters")
            .help(format!(
                "make system.optimizer a list: `{class}` for the tables with sparse_embeddings, and another class, such as \
                 adam, for the other parameters"
            )),
    ))
}

/// The schedule that a class brings, for `run_steps` steps that follow those of a loaded state, and how the log tells of it.
fn own_schedule(
    section: &OptimizerSection,
    checked: &crate::system::Checked,
    system: &System,
    before: u64,
    run_steps: u64,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(ScheduleInstance, String), Failure> {
    let run_steps = before.saturating_add(run_steps);
    let training_steps = section.training_steps.unwrap_or(run_steps);
    let (warmup_steps, reading) = match section.warmup_steps {
        None => (None, String::new()),
        Some(WarmupSteps::Steps(steps)) => {
            (Some(steps as f64), format!("; warmup_steps={steps} is a number of steps"))
        }
        Some(WarmupSteps::ShareOfTraining(share)) => {
            let steps = share * training_steps as f64;
            // A share of steps is not rounded; what is shown is, to a few places.
            let shown = (steps * 1e4).round() / 1e4;
            (Some(steps), format!("; warmup_steps={share:?} is a share, {shown} of {training_steps} steps"))
        }
    };
    let context = ScheduleContext::new(warmup_steps, training_steps, system.hidden_size());
    let mut schedule =
        ScheduleInstance::create(&checked.handle, &checked.config, &context).map_err(|error| {
            let mut failure = Failure::from(Setup(error));
            for diagnostic in &mut failure.diagnostics {
                diagnostic.path = Some(section.path_of("warmup_steps"));
            }
            failure
        })?;
    if run_steps > training_steps && schedule.factor(run_steps - 1).map_err(Setup)? == 0.0 {
        warnings.push(
            Diagnostic::warning(
                Code::NoEffect,
                "the learning rate is 0 in the last steps of the run, which change nothing",
            )
            .at(section.path_of("training_steps"))
            .found(format!("{training_steps} steps, and the run has {run_steps}"))
            .help("remove training_steps, so that the schedule is for the whole run"),
        );
    }
    let whose = match (section.training_steps, before) {
        (Some(_), _) => "as training_steps says".to_owned(),
        (None, 0) => "the run's own".to_owned(),
        (None, before) => format!("the run's own, and {before} of the loaded state"),
    };
    let text = format!(
        "times a schedule over {training_steps} steps ({whose}): {}{reading}",
        schedule.description()
    );
    Ok((schedule, text))
}
