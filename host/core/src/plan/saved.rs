//! A saved system whose names are resolved: the one a command is given, or the one a config goes on from.

use std::path::Path;

use semver::Version;
use serde_json::{Map, Value};

use super::names::Names;
use super::{ResolvedComponent, discover, doubts};
use crate::config::{ComponentSection, Document, Precision};
use crate::device::{AskedDevice, DeviceChoice, half_precision_on_the_cpu};
use crate::diagnostic::{Diagnostic, Failure};
use crate::error_code::Code;
use crate::exit_code::ExitCode;
use crate::plugins::{Kind, Registry};
use crate::request::SystemRequest;
use crate::saved_system::{Part, SavedSystem, SystemHeader};
use crate::system_options::SystemOptions;

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
    /// Where it is run.
    pub device: AskedDevice,
    /// How it is run.
    pub options: SystemOptions,
    /// What is installed.
    pub registry: Registry,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
}

/// Opens the saved system of an `evaluate` or `score` command, looks for plugins, and resolves its names.
///
/// # Errors
///
/// The file is no saved system, a plugin directory of the command line is wrong, or a class of the system is not
/// registered.
pub fn prepare_system(request: &SystemRequest) -> Result<SystemPlan, Failure> {
    let saved = SavedSystem::open(&request.system).map_err(|error| {
        Diagnostic::error(error.code(), error.to_string()).found(request.system.display().to_string())
    });
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
    let device = device(&request.device).and_then(|device| match &options {
        Ok(options) if options.precision == Precision::F16 && device.choice == DeviceChoice::Cpu => {
            let complaint = half_precision_on_the_cpu().at("trainer.precision");
            Err(options.document.place(complaint).help("use bf16, or add --device cuda"))
        }
        _ => Ok(device),
    });
    let (options, device) = match (options, device) {
        (Ok(options), Ok(device)) => (options, device),
        (options, device) => {
            let diagnostics =
                [options.err().unwrap_or_default(), device.err().into_iter().collect()].concat();
            return Err(Failure { exit: ExitCode::Invalid, diagnostics });
        }
    };
    let parts = resolve_saved(&registry, &request.system, saved.header(), request.allow_changed)?;
    let mut names = Names::new(&registry, &options.document);
    let metrics = names.metrics(&options.metrics);
    let complaints = names.complaints();
    if !complaints.is_empty() {
        return Err(Failure { exit: ExitCode::Plugin, diagnostics: complaints });
    }
    let used: Vec<_> = [&parts.encoder, &parts.head].into_iter().chain(&metrics).collect();
    let warnings = [registry.diagnostics.clone(), parts.warnings, doubts(&registry, &used)].concat();
    let configured = |part: ResolvedComponent, section: &ComponentSection| {
        part.configured(section.options.clone(), section.path.clone())
    };
    Ok(SystemPlan {
        saved,
        encoder: configured(parts.encoder, &options.encoder),
        head: configured(parts.head, &options.head),
        metrics,
        device,
        options,
        registry,
        warnings,
    })
}

/// The device of this name.
fn device(name: &str) -> Result<AskedDevice, Diagnostic> {
    AskedDevice::by_option(name).ok_or_else(|| {
        Diagnostic::error(Code::DeviceName, format!("no device is named `{name}`"))
            .found(format!("--device {name}"))
            .expected("`cpu`, `cuda` (the first GPU) or `cuda:N` (the GPU of number N, counted from 0)")
    })
}

/// Class and parts of the system of `system.load`, every complaint placed.
pub(super) fn saved_parts(
    file: &Path,
    class_name: Option<&str>,
    document: &Document,
    registry: &Registry,
    allow_changed: bool,
) -> Result<(String, SavedParts), Failure> {
    let saved =
        open_saved(file, "system.load", document).map_err(|error| Failure::new(ExitCode::Invalid, error))?;
    refuse_other_class(class_name, file, saved.header(), document)?;
    let parts = resolve_saved(registry, file, saved.header(), allow_changed).map_err(|failure| {
        let placed = failure.diagnostics.into_iter().map(|one| document.place(one.at("system.load")));
        Failure { exit: failure.exit, diagnostics: placed.collect() }
    })?;
    Ok((saved.header().class_name.clone(), parts))
}

pub(super) fn open_saved(file: &Path, path: &str, document: &Document) -> Result<SavedSystem, Diagnostic> {
    SavedSystem::open(file).map_err(|error| {
        document.place(
            Diagnostic::error(error.code(), error.to_string()).at(path).found(file.display().to_string()),
        )
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
    let error = Diagnostic::error(
        Code::SystemClass,
        format!("the config asks for a `{given}`, and the system it loads is a `{saved}`"),
    )
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
/// plugin is taken, with a warning, where semantic versioning promises that it is compatible, and with `allow_changed` where it
/// does not.
///
/// # Errors
///
/// Every class that is not registered, and every plugin whose version is not compatible.
pub fn resolve_saved(
    registry: &Registry,
    file: &Path,
    header: &SystemHeader,
    allow_changed: bool,
) -> Result<SavedParts, Failure> {
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
        match compare(part, &component, file, allow_changed) {
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

fn compare(part: &Part, component: &ResolvedComponent, file: &Path, allow_changed: bool) -> Option<Other> {
    let (saved, installed) = (&part.plugin.version, &component.version);
    if part.plugin.sha256 == component.sha256 {
        return None;
    }
    let name = &component.plugin;
    let file = file.display();
    if saved == installed {
        return Some(Other::Compatible(
            Diagnostic::warning(
                Code::OtherPlugins,
                format!("the plugin `{name}` is not the build that {file} was saved with"),
            )
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
        return Some(Other::Compatible(Diagnostic::warning(Code::OtherPlugins, message)));
    }
    let described = |diagnostic: Diagnostic| {
        diagnostic
            .found(format!("{} of version {installed}", component.file.display()))
            .expected(format!("a version that is compatible with {saved}"))
    };
    if allow_changed {
        let warning = described(Diagnostic::warning(Code::OtherPlugins, message));
        return Some(Other::Compatible(
            warning.help("used all the same, as --allow-changed says: its numbers may mean something else"),
        ));
    }
    Some(Other::Incompatible(described(Diagnostic::error(Code::OtherPlugins, message)).help(format!(
        "install {name} {saved}, and name its directory with --plugin-dir; or use {installed} all the same with \
         --allow-changed"
    ))))
}
