//! From a parsed document to a [`RunConfig`]: every key checked, every default filled in, everything wrong reported.
//! What is not here: what only plugins know (class names, options of components) and what only files know (corpora,
//! saved systems).

mod data;
mod optimizer;
pub(super) mod saved_system;
mod system;
mod trainer;

use super::document::{Document, Value};
use super::reader::{Entry, Report, Section};
use super::sections::{RunConfig, RunSection, Sides, SystemSection};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error_code::Code;
use crate::tracking_uri::TrackingUri;

/// What a document was found to say.
pub(super) struct Filled {
    /// The config; `None` if anything in it is wrong.
    pub(super) config: Option<RunConfig>,
    /// Its section `system`, as far as it could be read: enough to look up the names in it.
    pub(super) system: Option<SystemSection>,
    /// Errors and warnings.
    pub(super) complaints: Vec<Diagnostic>,
}

/// Reads a document.
pub(super) fn fill(document: &Document) -> Filled {
    let report = Report::new(document);
    let mut system = None;
    let config = report.root().section().and_then(|section| root(section, &mut system));
    let complaints = report.into_complaints();
    let sound = complaints.iter().all(|complaint| complaint.severity == Severity::Warning);
    Filled { config: config.filter(|_| sound), system, complaints }
}

fn root(mut section: Section<'_>, readable: &mut Option<SystemSection>) -> Option<RunConfig> {
    // For editors, which find the JSON Schema by it.
    section.optional("$schema", Entry::string);
    let run = run(section.section("run"));
    let trainer = trainer::trainer(section.section("trainer"));
    let data = section
        .required("data", "an object with the corpora: train, and valid or split", Entry::section)
        .and_then(data::data);
    let system = section
        .required("system", "an object with class_name or load, model and optimizer", Entry::section)
        .and_then(|section| system::system(section, trainer.max_tokens_per_batch.is_some()));
    readable.clone_from(&system);
    let debug = section.or("debug", false, Entry::boolean);
    let verbose = section.or("verbose", false, Entry::boolean);
    let quiet = section.or("quiet", false, Entry::boolean);
    if verbose && quiet {
        section.complain(
            Diagnostic::error(Code::ConflictingKeys, "verbose and quiet exclude one another")
                .at("quiet")
                .found("true for both")
                .expected("true for one at most")
                .help("remove one of the two"),
        );
    }
    section.finish();
    Some(RunConfig { run, trainer, data: data?, system: system?, debug, verbose, quiet })
}

fn run(mut section: Section<'_>) -> RunSection {
    let run = RunSection {
        seed: section.or("seed", 42, |entry| entry.count(0)),
        experiment_name: section.or("experiment_name", "default".to_owned(), Entry::string),
        output_dir: section.optional("output_dir", Entry::file),
        run_id: section.optional("run_id", run_id),
        use_mlflow: section.or("use_mlflow", false, Entry::boolean),
        mlflow_tracking_uri: section.optional("mlflow_tracking_uri", tracking_uri),
        mlflow_always_log_artifacts: section.or("mlflow_always_log_artifacts", false, Entry::boolean),
    };
    section.finish();
    run
}

fn run_id(entry: &Entry<'_>) -> Option<String> {
    const EXPECTED: &str = "a string of 32 hexadecimal digits";
    match entry.value() {
        Value::String(id) if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Some(id.clone())
        }
        _ => entry.refuse(EXPECTED),
    }
}

fn tracking_uri(entry: &Entry<'_>) -> Option<String> {
    let text = entry.string()?;
    match TrackingUri::parse(&text) {
        Ok(TrackingUri::Server(server)) if server.credentials.is_some() => {
            entry.complain(
                Diagnostic::error(Code::TrackingUri, "the config of a run is kept and sent with it, so that a password in it is read by others")
                    .found("a user name within the URI")
                    .expected("a URI without one")
                    .help("set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"),
            );
            None
        }
        Ok(_) => Some(text),
        Err(error) => {
            entry.complain(error.diagnostic(&text));
            None
        }
    }
}

/// One value for both sides, or one for each; a side left out has the default.
fn sides<T: Copy>(entry: &Entry<'_>, default: T, read: impl Fn(&Entry<'_>) -> Option<T>) -> Option<Sides<T>> {
    if !matches!(entry.value(), Value::Object(_)) {
        return read(entry).map(|value| Sides { source: value, target: value });
    }
    let mut section = entry.section()?;
    let sides =
        Sides { source: section.or("source", default, &read), target: section.or("target", default, &read) };
    section.finish();
    Some(sides)
}

/// Reads names, none of them twice.
fn names(entry: &Entry<'_>, names: Vec<String>) -> Option<Vec<String>> {
    let repeated = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
    match repeated {
        None => Some(names),
        Some((_, name)) => {
            entry.complain(
                Diagnostic::error(Code::NamedTwice, format!("`{name}` is named twice"))
                    .found(format!("`{name}` more than once"))
                    .expected("each name once")
                    .help("remove one of the two"),
            );
            None
        }
    }
}
