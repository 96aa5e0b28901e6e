//! The last step before anything is built: each `class_name` of a config or of a saved system becomes one component of
//! one plugin. Every name that cannot be resolved is reported, all of them at once.
//!
//! No plugin runs here, so what a component makes of its own options is not checked here.

mod names;
mod saved;
#[cfg(test)]
mod tests;
mod trust;

use crate::config::{self, Document, RunConfig};
use crate::device::AskedDevice;
use crate::diagnostic::{Diagnostic, Failure};
use crate::exit_code::ExitCode;
use crate::place::Place;
use crate::plugins::{Registry, SearchPath};
use crate::request::{Common, TrainRequest, Verbosity};

pub use crate::plugins::ResolvedComponent;
pub use saved::{SavedParts, SystemPlan, prepare_system, resolve_saved};
pub use trust::doubts;

use names::resolve_system;

/// A run whose names are resolved.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The checked config; what the command line says is in it.
    pub config: RunConfig,
    /// Where the config says what.
    pub document: Document,
    /// Class of the system, without its plugin.
    pub system: String,
    /// The encoder.
    pub encoder: ResolvedComponent,
    /// The head.
    pub head: ResolvedComponent,
    /// What updates the parameters, as in the config.
    pub optimizers: Vec<ResolvedComponent>,
    /// The metrics of `system.metrics`; those of the head itself are known only when it is built.
    pub metrics: Vec<ResolvedComponent>,
    /// What is installed.
    pub registry: Registry,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
}

impl Plan {
    /// Where the config asks to compute, for the process at this place; without one, or alone under its launcher, it is the first
    /// device that is asked for.
    ///
    /// # Errors
    /// When there are not as many processes as GPUs are asked for.
    pub fn device(&self, place: Option<&Place>) -> Result<AskedDevice, Failure> {
        let gpus = &self.config.trainer.gpus;
        match place.filter(|place| place.is_of_several()) {
            None => Ok(AskedDevice::by_config(gpus.first_device())),
            Some(place) => gpus
                .device_at(place)
                .map(|choice| AskedDevice::by_config(choice).of(place))
                .map_err(|complaint| Failure::new(ExitCode::Invalid, *complaint)),
        }
    }
}

/// A command that cannot be carried out.
#[derive(Debug, Clone)]
pub struct Unprepared {
    /// Everything that is wrong.
    pub failure: Failure,
    /// The components that could be resolved all the same, with what the config says to them: what is wrong with their
    /// options only they can tell.
    pub components: Vec<ResolvedComponent>,
    /// Where the config says what, if it could be parsed.
    pub document: Option<Box<Document>>,
}

impl From<Failure> for Unprepared {
    fn from(failure: Failure) -> Self {
        Self { failure, components: Vec::new(), document: None }
    }
}

/// Reads the config of a `train` command, looks for plugins, and resolves every name.
///
/// The warnings are in the plan and nowhere printed yet.
///
/// # Errors
///
/// Everything that is wrong with the config and the plugin directories, and every name that is not registered.
pub fn prepare(request: &TrainRequest) -> Result<Plan, Unprepared> {
    let loaded = config::load(&request.config, &request.overrides);
    let registry = discover(&request.common);
    let errors: Vec<_> = registry.errors().cloned().collect();
    match loaded {
        Ok(loaded) if errors.is_empty() => {
            let mut config = loaded.config;
            apply_command_line(&mut config, request);
            let mut plan = resolve(&config, &loaded.document, registry, request.allow_changed)?;
            plan.warnings.splice(0..0, loaded.warnings);
            Ok(plan)
        }
        Ok(_) => Err(Failure { exit: ExitCode::Invalid, diagnostics: errors }.into()),
        Err(invalid) => {
            let mut diagnostics = invalid.complaints;
            let (mut components, mut document) = (Vec::new(), None);
            if let Some((readable, system)) = invalid.readable.map(|readable| *readable) {
                // The names are looked up all the same, so that all is said at once.
                let resolved = resolve_system(&system, &readable, &registry, request.allow_changed);
                diagnostics.extend(resolved.complaints.iter().cloned());
                components = resolved.components();
                document = Some(Box::new(readable));
            }
            config::sort(&mut diagnostics);
            diagnostics.extend(errors);
            let failure = Failure { exit: ExitCode::Invalid, diagnostics };
            Err(Unprepared { failure, components, document })
        }
    }
}

/// The plugins that a command finds, held to its lock.
#[must_use]
pub fn discover(common: &Common) -> Registry {
    let mut registry =
        Registry::discover(&SearchPath::of_command(&common.plugin_directories, &common.program));
    if let Some(choice) = &common.lock {
        registry.hold_to(choice);
    }
    registry
}

/// Puts what the command line says in place of what the config says.
fn apply_command_line(config: &mut RunConfig, request: &TrainRequest) {
    if let Some(directory) = &request.output_dir {
        config.run.output_dir = Some(directory.clone());
    }
    config.trainer.resume |= request.resume;
    (config.quiet, config.verbose) = match request.common.verbosity {
        Verbosity::FromConfig => (config.quiet, config.verbose),
        Verbosity::Quiet => (true, false),
        Verbosity::Normal => (false, false),
        Verbosity::Verbose => (false, true),
    };
}

/// Resolves the names of a config. With `allow_changed` a saved system may be loaded with any version of its plugins.
///
/// # Errors
///
/// Every name that is not registered, or that more than one plugin registers; or what is wrong with a saved system.
pub fn resolve(
    config: &RunConfig,
    document: &Document,
    registry: Registry,
    allow_changed: bool,
) -> Result<Plan, Unprepared> {
    let resolved = resolve_system(&config.system, document, &registry, allow_changed);
    let doubts = doubts(&registry, &resolved.used());
    let warnings = [registry.diagnostics.clone(), resolved.warnings.clone(), doubts].concat();
    let sound = resolved.complaints.is_empty();
    match &resolved.parts {
        Some((system, encoder, head)) if sound => Ok(Plan {
            config: config.clone(),
            document: document.clone(),
            system: system.clone(),
            encoder: encoder.clone(),
            head: head.clone(),
            optimizers: resolved.optimizers,
            metrics: resolved.metrics,
            registry,
            warnings,
        }),
        _ => Err(Unprepared {
            components: resolved.components(),
            failure: Failure { exit: resolved.exit, diagnostics: [resolved.complaints, warnings].concat() },
            document: Some(Box::new(document.clone())),
        }),
    }
}
