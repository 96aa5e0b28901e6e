//! The last step before anything is built: each `class_name` of a config or of a saved system becomes one component of
//! one plugin. Every name that cannot be resolved is reported, all of them at once.
//!
//! No plugin runs here, so what a component makes of its own options is not checked here.

#[cfg(test)]
mod tests;

use std::path::Path;

use semver::Version;
use serde_json::{Map, Value};

use crate::config::{self, ComponentSection, Document, ModelSection, RunConfig, SystemSection};
use crate::diagnostic::{Diagnostic, Failure};
use crate::exit_code::ExitCode;
use crate::plugins::{Kind, LookupError, Registry, SearchPath};
use crate::request::{Common, SystemRequest, TrainRequest, Verbosity};
use crate::saved_system::{Part, SavedSystem, SystemHeader};
use crate::system_options::SystemOptions;

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
    /// What updates the parameters, as in the config.
    pub optimizers: Vec<ResolvedComponent>,
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
    /// Metrics besides the head's own.
    pub metrics: Vec<ResolvedComponent>,
    /// How it is run.
    pub options: SystemOptions,
    /// What is installed.
    pub registry: Registry,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
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
            let mut plan = resolve(&config, &loaded.document, registry)?;
            plan.warnings.splice(0..0, loaded.warnings);
            Ok(plan)
        }
        Ok(_) => Err(Failure { exit: ExitCode::Invalid, diagnostics: errors }.into()),
        Err(invalid) => {
            let mut diagnostics = invalid.complaints;
            let (mut components, mut document) = (Vec::new(), None);
            if let Some((readable, system)) = invalid.readable.map(|readable| *readable) {
                // The names are looked up all the same, so that all is said at once.
                let resolved = resolve_system(&system, &readable, &registry);
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
    let options = SystemOptions::new(&request.system, saved.header(), request.batch_size, &request.overrides);
    let device = check_device(&request.device);
    let options = match (options, device) {
        (Ok(options), None) => options,
        (options, device) => {
            let diagnostics = [options.err().unwrap_or_default(), device.into_iter().collect()].concat();
            return Err(Failure { exit: ExitCode::Invalid, diagnostics });
        }
    };
    let parts = resolve_saved(&registry, &request.system, saved.header())?;
    let mut names = Names::new(&registry, &options.document);
    let metrics = names.metrics(&options.metrics);
    let complaints = names.complaints();
    if !complaints.is_empty() {
        return Err(Failure { exit: ExitCode::Plugin, diagnostics: complaints });
    }
    let warnings = [registry.diagnostics.clone(), parts.warnings].concat();
    let configured = |part: ResolvedComponent, section: &ComponentSection| {
        part.configured(section.options.clone(), section.path.clone())
    };
    Ok(SystemPlan {
        saved,
        encoder: configured(parts.encoder, &options.encoder),
        head: configured(parts.head, &options.head),
        metrics,
        options,
        registry,
        warnings,
    })
}

/// What is wrong with a device.
fn check_device(device: &str) -> Option<Diagnostic> {
    let wrong = |message: String| Diagnostic::error(message).found(format!("--device {device}"));
    match device.split_once(':') {
        _ if device == "cpu" => None,
        _ if device == "cuda" => Some(()),
        Some(("cuda", index)) if index.parse::<u16>().is_ok() => Some(()),
        _ => {
            return Some(
                wrong(format!("no device is named `{device}`")).expected("`cpu`, `cuda` or `cuda:N`"),
            );
        }
    }
    .map(|()| {
        wrong("computing on GPUs is not supported yet".to_owned())
            .expected("`cpu`")
            .help("leave --device out")
    })
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

/// Resolves the names of a config.
///
/// # Errors
///
/// Every name that is not registered, or that more than one plugin registers; or what is wrong with a saved system.
pub fn resolve(config: &RunConfig, document: &Document, registry: Registry) -> Result<Plan, Unprepared> {
    let resolved = resolve_system(&config.system, document, &registry);
    let warnings = [registry.diagnostics.clone(), resolved.warnings.clone()].concat();
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

/// What became of the names in the section `system`.
struct Resolved {
    parts: Option<(String, ResolvedComponent, ResolvedComponent)>,
    /// Encoder and head, whichever could be resolved, of a new system.
    of_new_system: Vec<ResolvedComponent>,
    /// Those that could be resolved.
    optimizers: Vec<ResolvedComponent>,
    metrics: Vec<ResolvedComponent>,
    complaints: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The code to exit with for the complaints.
    exit: ExitCode,
}

impl Resolved {
    /// All that could be resolved.
    fn components(&self) -> Vec<ResolvedComponent> {
        [&self.of_new_system[..], &self.optimizers[..], &self.metrics].concat()
    }
}

/// Resolves the names in the section `system`: its class stands for an encoder and a head unless the section names
/// others, or a saved system brings its own. A name that is empty was complained about before.
fn resolve_system(system: &SystemSection, document: &Document, registry: &Registry) -> Resolved {
    let mut names = Names::new(registry, document);
    let (mut warnings, mut exit) = (Vec::new(), ExitCode::Plugin);
    let parts = match &system.load {
        Some(file) => match saved_parts(file, system.class_name.as_deref(), document, registry) {
            Ok((class, parts)) => {
                let placed = parts.warnings.into_iter();
                warnings.extend(placed.map(|one| document.place(one.at("system.load"))));
                Some((class, parts.encoder, parts.head))
            }
            Err(failure) => {
                exit = failure.exit;
                names.complaints.extend(failure.diagnostics);
                None
            }
        },
        None => names.new_system(system),
    };
    let of_new_system = std::mem::take(&mut names.parts);
    if let Some(file) = &system.load_vocabs
        && let Err(error) = open_saved(file, "system.load_vocabs", document)
    {
        exit = ExitCode::Invalid;
        names.complaints.push(error);
    }
    let named = system.optimizers.iter().filter(|section| !section.class_name.is_empty());
    let optimizers = named
        .filter_map(|section| {
            let path = section.path_of("class_name");
            let resolved = names.resolve(Kind::Optimizer, &section.class_name, &path, None)?;
            Some(resolved.configured(section.options.clone(), section.options_path()))
        })
        .collect();
    let metrics = names.metrics(&system.metrics);
    Resolved { parts, of_new_system, optimizers, metrics, complaints: names.complaints(), warnings, exit }
}

/// The names of a config on their way to components.
struct Names<'a> {
    registry: &'a Registry,
    document: &'a Document,
    complaints: Vec<Diagnostic>,
    /// Encoder and head of a new system, whichever could be resolved.
    parts: Vec<ResolvedComponent>,
    /// Complaints about names that nothing registers.
    not_registered: Vec<Diagnostic>,
    /// Where was searched for them.
    searched: Vec<String>,
}

impl<'a> Names<'a> {
    fn new(registry: &'a Registry, document: &'a Document) -> Self {
        Self {
            registry,
            document,
            complaints: Vec::new(),
            parts: Vec::new(),
            not_registered: Vec::new(),
            searched: Vec::new(),
        }
    }

    fn metrics(&mut self, classes: &[String]) -> Vec<ResolvedComponent> {
        let classes = classes.iter().enumerate();
        classes
            .filter_map(|(i, class)| self.resolve(Kind::Metric, class, &format!("system.metrics[{i}]"), None))
            .collect()
    }

    /// The system that a config describes: its class, encoder and head.
    fn new_system(
        &mut self,
        section: &SystemSection,
    ) -> Option<(String, ResolvedComponent, ResolvedComponent)> {
        let class_name = section.class_name.as_deref()?;
        let model = section.model.clone().unwrap_or_else(|| ModelSection::empty("system.model"));
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
        self.parts = [&encoder, &head].into_iter().flatten().cloned().collect();
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
        let mut complaint = error.brief_diagnostic();
        if let Some(because) = because {
            complaint.notes.insert(0, because);
        }
        let complaint = self.document.place(complaint.at(path));
        if let LookupError::NotRegistered { searched, .. } = error {
            self.searched.clone_from(searched);
            self.not_registered.push(complaint);
        } else {
            self.complaints.push(complaint);
        }
    }

    /// All complaints in the order of the file. Once is enough for where was searched.
    fn complaints(mut self) -> Vec<Diagnostic> {
        config::sort(&mut self.not_registered);
        if let Some(first) = self.not_registered.first_mut() {
            first.notes.append(&mut self.searched);
        }
        self.complaints.append(&mut self.not_registered);
        config::sort(&mut self.complaints);
        self.complaints
    }
}

/// Class and parts of the system of `system.load`, every complaint placed.
fn saved_parts(
    file: &Path,
    class_name: Option<&str>,
    document: &Document,
    registry: &Registry,
) -> Result<(String, SavedParts), Failure> {
    let saved =
        open_saved(file, "system.load", document).map_err(|error| Failure::new(ExitCode::Invalid, error))?;
    refuse_other_class(class_name, file, saved.header(), document)?;
    let parts = resolve_saved(registry, file, saved.header()).map_err(|failure| {
        let placed = failure.diagnostics.into_iter().map(|one| document.place(one.at("system.load")));
        Failure { exit: failure.exit, diagnostics: placed.collect() }
    })?;
    Ok((saved.header().class_name.clone(), parts))
}

fn open_saved(file: &Path, path: &str, document: &Document) -> Result<SavedSystem, Diagnostic> {
    SavedSystem::open(file).map_err(|error| {
        document.place(Diagnostic::error(error.to_string()).at(path).found(file.display().to_string()))
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
