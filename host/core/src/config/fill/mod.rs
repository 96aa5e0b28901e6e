//! From a parsed document to a [`RunConfig`]: every key checked, every default filled in, everything wrong reported.
//! What is not here: what only plugins know (class names, options of components) and what only files know (corpora,
//! saved systems).

mod data;
mod system;
mod trainer;

use super::document::Document;
use super::reader::{Entry, Report, Section};
use super::sections::{RunConfig, RunSection};
use crate::diagnostic::{Diagnostic, Severity};

/// The config of a document, with the warnings; or all that was found, at least one error among it.
pub(super) fn fill(document: &Document) -> Result<(RunConfig, Vec<Diagnostic>), Vec<Diagnostic>> {
    let report = Report::new(document);
    let config = report.root().section().and_then(root);
    let complaints = report.into_complaints();
    match config {
        Some(config) if complaints.iter().all(|complaint| complaint.severity == Severity::Warning) => {
            Ok((config, complaints))
        }
        _ => Err(complaints),
    }
}

fn root(mut section: Section<'_>) -> Option<RunConfig> {
    // For editors, which find the JSON Schema by it.
    section.optional("$schema", Entry::string);
    let run = run(section.section("run"));
    let trainer = trainer::trainer(section.section("trainer"));
    let data = section
        .required("data", "an object with the corpora: train, and valid or split", Entry::section)
        .and_then(data::data);
    let system = section
        .required("system", "an object with class_name or load, model and optimizer", Entry::section)
        .and_then(system::system);
    let debug = section.or("debug", false, Entry::boolean);
    let verbose = section.or("verbose", false, Entry::boolean);
    let quiet = section.or("quiet", false, Entry::boolean);
    if verbose && quiet {
        section.complain(
            Diagnostic::error("verbose and quiet exclude one another")
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
    };
    section.finish();
    run
}

fn run_id(entry: &Entry<'_>) -> Option<String> {
    const EXPECTED: &str = "a string of 32 hexadecimal digits";
    match entry.value() {
        super::document::Value::String(id)
            if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            Some(id.clone())
        }
        _ => entry.refuse(EXPECTED),
    }
}

/// Reads names, none of them twice.
fn names(entry: &Entry<'_>, names: Vec<String>) -> Option<Vec<String>> {
    let repeated = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
    match repeated {
        None => Some(names),
        Some((_, name)) => {
            entry.complain(
                Diagnostic::error(format!("`{name}` is named twice"))
                    .found(format!("`{name}` more than once"))
                    .expected("each name once")
                    .help("remove one of the two"),
            );
            None
        }
    }
}
