//! The last step before anything is built: each `class_name` of a config or of a saved system becomes one component of
//! one plugin. Every name that cannot be resolved is reported, all of them at once.
//!
//! No plugin runs here, so what a component makes of its own options is not checked here.

#[cfg(test)]
mod tests;

use std::path::Path;

use semver::Version;
use serde_json::{Map, Value};

use crate::config::{self, Document, RunConfig};
use crate::diagnostic::{Diagnostic, Failure};
use crate::exit_code::ExitCode;
use crate::plugins::{Kind, LookupError, Registry, SearchPath};
use crate::request::{Common, SystemRequest, TrainRequest, Verbosity};
use crate::saved_system::{Part, SavedSystem, SystemHeader};

pub use crate::plugins::ResolvedComponent;

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
    /// What updates the parameters; `None` only where nothing is trained.
    pub optimizer: Option<ResolvedComponent>,
    /// The metrics of `system.metrics`; those of the head itself are known only when it is built.
    pub metrics: Vec<ResolvedComponent>,
    /// What is installed.
    pub registry: Registry,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
}

/// A saved system whose names are resolved.
#[derive(Debug)]
pub struct SystemPlan {
    /// The file, opened.
    pub saved: SavedSystem,
    /// The encoder.
    pub encoder: ResolvedComponent,
    /// The head.
    pub head: ResolvedComponent,
    /// What is installed.
    pub registry: Registry,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the config of a `train` command, looks for plugins, and resolves every name.
///
/// The warnings are in the plan and nowhere printed yet.
///
/// # Errors
///
/// Everything that is wrong with the config and the plugin directories; or else every name that is not registered.
pub fn prepare(request: &TrainRequest) -> Result<Plan, Failure> {
    let loaded = config::load(&request.config, &request.overrides);
    let registry = discover(&request.common);
    let errors: Vec<_> = registry.errors().cloned().collect();
    match loaded {
        Ok(loaded) if errors.is_empty() => {
            let mut config = loaded.config;
            apply_command_line(&mut config, request);
            let mut plan = resolve(&config, &loaded.document, registry)?;
            plan.warnings.splice(0..0, loaded.warnings);
            Ok(plan)
        }
        Ok(_) => Err(Failure { exit: ExitCode::Invalid, diagnostics: errors }),
        Err(mut diagnostics) => {
            diagnostics.extend(errors);
            Err(Failure { exit: ExitCode::Invalid, diagnostics })
        }
    }
}

/// Opens the saved system of an `evaluate` or `score` command, looks for plugins, and resolves its names.
///
/// # Errors
///
/// The file is no saved system, a plugin directory of the command line is wrong, or a class of the system is not
/// registered.
pub fn prepare_system(request: &SystemRequest) -> Result<SystemPlan, Failure> {
    let saved = SavedSystem::open(&request.system)
        .map_err(|error| Diagnostic::error(error.to_string()).found(request.system.display().to_string()));
    let registry = discover(&request.common);
    let errors: Vec<_> = registry.errors().cloned().collect();
    let saved = match saved {
        Ok(saved) if errors.is_empty() => saved,
        Ok(_) => return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors }),
        Err(error) => {
            let diagnostics = [vec![error], errors].concat();
            return Err(Failure { exit: ExitCode::Invalid, diagnostics });
        }
    };
    let parts = resolve_saved(&registry, &request.system, saved.header())?;
    let warnings = [registry.diagnostics.clone(), parts.warnings].concat();
    Ok(SystemPlan { saved, encoder: parts.encoder, head: parts.head, registry, warnings })
}

/// The plugins that a command finds.
#[must_use]
pub fn discover(common: &Common) -> Registry {
    Registry::discover(&SearchPath::of_command(&common.plugin_directories, &common.program))
}

/// Puts what the command line says in place of what the config says.
fn apply_command_line(config: &mut RunConfig, request: &TrainRequest) {
    if let Some(directory) = &request.output_dir {
        config.run.output_dir = Some(directory.clone());
    }
    (config.quiet, config.verbose) = match request.common.verbosity {
        Verbosity::FromConfig => (config.quiet, config.verbose),
        Verbosity::Quiet => (true, false),
        Verbosity::Normal => (false, false),
        Verbosity::Verbose => (false, true),
    };
}

/// Resolves the names of a config: the system's class stands for an encoder and a head unless the config names others,
/// or a saved system brings its own.
///
/// # Errors
///
/// Every name that is not registered, or that more than one plugin registers; or what is wrong with the saved system.
pub fn resolve(config: &RunConfig, document: &Document, registry: Registry) -> Result<Plan, Failure> {
    let system = &config.system;
    let mut names = Names { registry: &registry, document, complaints: Vec::new() };
    let mut warnings = registry.diagnostics.clone();

    let parts = match &system.load {
        Some(file) => {
            let saved = open_saved(file, document)?;
            refuse_other_class(system.class_name.as_deref(), file, saved.header(), document)?;
            match resolve_saved(&registry, file, saved.header()) {
                Ok(parts) => {
                    warnings.extend(
                        parts.warnings.iter().map(|one| document.place(one.clone().at("system.load"))),
                    );
                    Some((saved.header().class_name.clone(), parts.encoder, parts.head))
                }
                Err(failure) => {
                    let placed = failure.diagnostics.into_iter();
                    names.complaints.extend(placed.map(|one| document.place(one.at("system.load"))));
                    None
                }
            }
        }
        None => names.new_system(config),
    };
    let optimizer = names.resolve(
        Kind::Optimizer,
        &system.optimizer.class_name,
        &format!("{}.class_name", system.optimizer.path),
        None,
    );
    let metrics = system.metrics.iter().enumerate();
    let metrics: Vec<_> = metrics
        .filter_map(|(i, class)| names.resolve(Kind::Metric, class, &format!("system.metrics[{i}]"), None))
        .collect();

    let complaints = names.complaints;
    match (parts, optimizer) {
        (Some((system_class, encoder, head)), Some(optimizer)) if complaints.is_empty() => {
            let options = system.optimizer.options.clone();
            let optimizer = Some(optimizer.configured(options, system.optimizer.options_path()));
            Ok(Plan {
                config: config.clone(),
                document: document.clone(),
                system: system_class,
                encoder,
                head,
                optimizer,
                metrics,
                registry,
                warnings,
            })
        }
        _ => Err(Failure { exit: ExitCode::Plugin, diagnostics: [complaints, warnings].concat() }),
    }
}

/// The names of a config on their way to components.
struct Names<'a> {
    registry: &'a Registry,
    document: &'a Document,
    complaints: Vec<Diagnostic>,
}

impl Names<'_> {
    /// The system that a config describes: its class, encoder and head.
    fn new_system(&mut self, config: &RunConfig) -> Option<(String, ResolvedComponent, ResolvedComponent)> {
        let class_name = config.system.class_name.as_deref().unwrap_or_default();
        let model = config.system.model.as_ref()?;
        let found = match self.registry.find_system(class_name) {
            Ok(found) => Some(found),
            Err(error) => {
                self.complain(&error, "system.class_name", None);
                None
            }
        };

        let mut part = |kind: Kind, section: &config::ComponentSection| {
            let resolved = match (&section.class_name, found) {
                (Some(class), _) => self.resolve(kind, class, &format!("{}.class_name", section.path), None),
                (None, Some((plugin, system))) => {
                    let class = if kind == Kind::Encoder { &system.encoder } else { &system.head };
                    let name = &plugin.plugin.metadata.name;
                    let because = format!(
                        "the system `{}` of the plugin `{name}` stands for this {kind}",
                        system.class
                    );
                    self.resolve(kind, class, "system.class_name", Some(because))
                }
                // The system itself is complained about already.
                (None, None) => None,
            };
            Some(resolved?.configured(section.options.clone(), section.path.clone()))
        };
        let encoder = part(Kind::Encoder, &model.encoder);
        let head = part(Kind::Head, &model.tlm_outputs);
        Some((found?.1.class.clone(), encoder?, head?))
    }

    fn resolve(
        &mut self,
        kind: Kind,
        class: &str,
        path: &str,
        because: Option<String>,
    ) -> Option<ResolvedComponent> {
        match self.registry.resolve(kind, class) {
            Ok(component) => Some(component),
            Err(error) => {
                self.complain(&error, path, because);
                None
            }
        }
    }

    fn complain(&mut self, error: &LookupError, path: &str, because: Option<String>) {
        // Once is enough for where was searched.
        let first = self.complaints.is_empty();
        let mut complaint = if first { error.diagnostic() } else { error.brief_diagnostic() };
        if let Some(because) = because {
            complaint.notes.insert(0, because);
        }
        self.complaints.push(self.document.place(complaint.at(path)));
    }
}

fn open_saved(file: &Path, document: &Document) -> Result<SavedSystem, Failure> {
    SavedSystem::open(file).map_err(|error| {
        let error = Diagnostic::error(error.to_string()).at("system.load").found(file.display().to_string());
        Failure::new(ExitCode::Invalid, document.place(error))
    })
}

/// A config may repeat the class of the system that it loads, and may not give another.
fn refuse_other_class(
    given: Option<&str>,
    file: &Path,
    header: &SystemHeader,
    document: &Document,
) -> Result<(), Failure> {
    let Some(given) = given else { return Ok(()) };
    let class = given.rsplit_once("::").map_or(given, |(_, class)| class);
    if class == header.class_name {
        return Ok(());
    }
    let saved = &header.class_name;
    let error =
        Diagnostic::error(format!("the config asks for a `{given}`, and the system it loads is a `{saved}`"))
            .at("system.class_name")
            .found(format!("\"{given}\""))
            .expected(format!("`{saved}`, the class of {}, or nothing", file.display()))
            .help("remove `class_name`: a loaded system brings its own");
    Err(Failure::new(ExitCode::Invalid, document.place(error)))
}

/// The two parts of a saved system, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedParts {
    /// The encoder, with the configuration it was saved with.
    pub encoder: ResolvedComponent,
    /// The head, with the configuration it was saved with.
    pub head: ResolvedComponent,
    /// Plugins that are not those the system was saved with.
    pub warnings: Vec<Diagnostic>,
}

/// Resolves the classes that a saved system was made of, each in the plugin that it came from. Another version of that
/// plugin is taken, with a warning, where semantic versioning promises that it is compatible.
///
/// # Errors
///
/// Every class that is not registered, and every plugin whose version is not compatible.
pub fn resolve_saved(registry: &Registry, file: &Path, header: &SystemHeader) -> Result<SavedParts, Failure> {
    let mut complaints = Vec::new();
    let mut warnings = Vec::new();
    let mut part = |kind: Kind, part: &Part| {
        let asked = format!("{}::{}", part.plugin.name, part.class_name);
        let component = match registry.resolve(kind, &asked) {
            Ok(component) => component,
            Err(error) => {
                let diagnostic =
                    if complaints.is_empty() { error.diagnostic() } else { error.brief_diagnostic() };
                let because = format!(
                    "{} was saved with the plugin `{}` {}",
                    file.display(),
                    part.plugin.name,
                    part.plugin.version
                );
                complaints.push(diagnostic.note(because).help(format!(
                    "install the plugin `{}`, and name its directory with --plugin-dir",
                    part.plugin.name
                )));
                return None;
            }
        };
        match compare(part, &component, file) {
            Some(Other::Incompatible(error)) => {
                complaints.push(error);
                return None;
            }
            Some(Other::Compatible(warning)) if !warnings.contains(&warning) => warnings.push(warning),
            Some(Other::Compatible(_)) | None => {}
        }
        let config = part.config.as_object().cloned().unwrap_or_else(Map::<String, Value>::new);
        Some(component.configured(config, String::new()))
    };
    let encoder = part(Kind::Encoder, &header.encoder);
    let head = part(Kind::Head, &header.head);
    match (encoder, head) {
        (Some(encoder), Some(head)) => Ok(SavedParts { encoder, head, warnings }),
        _ => Err(Failure { exit: ExitCode::Plugin, diagnostics: [complaints, warnings].concat() }),
    }
}

/// A plugin that is not the one a system was saved with.
enum Other {
    Compatible(Diagnostic),
    Incompatible(Diagnostic),
}

fn compare(part: &Part, component: &ResolvedComponent, file: &Path) -> Option<Other> {
    let (saved, installed) = (&part.plugin.version, &component.version);
    if part.plugin.sha256 == component.sha256 {
        return None;
    }
    let name = &component.plugin;
    let file = file.display();
    if saved == installed {
        return Some(Other::Compatible(
            Diagnostic::warning(format!("the plugin `{name}` is not the build that {file} was saved with"))
                .found(format!("{name} {installed} with SHA-256 {}", component.sha256))
                .expected(format!("{name} {saved} with SHA-256 {}", part.plugin.sha256)),
        ));
    }
    let message = format!("{file} was saved with {name} {saved}, and {name} {installed} is installed");
    let line = |version: &str| {
        let version = Version::parse(version).ok()?;
        Some(if version.major > 0 { (version.major, 0) } else { (0, version.minor) })
    };
    if line(saved).is_some() && line(saved) == line(installed) {
        return Some(Other::Compatible(Diagnostic::warning(message)));
    }
    Some(Other::Incompatible(
        Diagnostic::error(message)
            .found(format!("{} of version {installed}", component.file.display()))
            .expected(format!("a version that is compatible with {saved}"))
            .help(format!("install {name} {saved}, and name its directory with --plugin-dir")),
    ))
}
