//! The configuration of a run: from the text of a JSON file to a checked [`RunConfig`] with every default filled in.
//!
//! ```text
//! file ─ read, syntax ─► Document ─ overrides ─► Document ─ fill ─► RunConfig
//!                        (= RawConfig: each value with its place)
//! ```
//!
//! A config is strict JSON, and strict in meaning: an unknown or repeated key is an error, nothing is coerced, and
//! all that is wrong is reported at once. Not here: whether class names exist and what components take
//! ([`crate::plan`] and the plugins), and whether corpora and saved systems can be read (the engine).

pub mod changes;
mod document;
mod fill;
mod later;
mod overrides;
mod path;
mod read;
mod reader;
pub mod schema;
mod sections;
pub mod sweep;
mod syntax;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use document::Document;
pub use sections::{
    BatchOrder, BatchSize, CheckpointSection, ComponentSection, Corpora, DataProcessingSection, DataSection,
    Gpus, ModelSection, OnTrouble, OptimizerSection, Precision, RunConfig, RunSection, Sides, SystemSection,
    TrainerSection, ValidationInterval, ValidationSet, VocabularySection, WarmupSteps,
};

pub(crate) use sections::SavedSystemConfig;

use crate::diagnostic::Diagnostic;

/// A config as it was parsed, before it is checked.
pub type RawConfig = Document;

/// A config that was found to be right.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says, defaults included.
    pub config: RunConfig,
    /// Where it says so.
    pub document: Document,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
}

/// A config with errors.
#[derive(Debug, Clone)]
pub struct Invalid {
    /// Everything that is wrong, at least one error, with warnings among it.
    pub complaints: Vec<Diagnostic>,
    /// What could be read all the same: the document, and its section `system` to look up names in. What is refused in
    /// the section is at its default, or empty where it has none.
    pub readable: Option<Box<(Document, SystemSection)>>,
}

/// Reads and checks the config in `path`. Each of `overrides` (path such as `trainer.epochs`, and JSON or else a bare
/// string) replaces or creates a value before anything is checked; of several for one path the last holds.
///
/// # Errors
///
/// Everything that is wrong.
pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<Loaded, Invalid> {
    let text =
        read::read(path).map_err(|complaint| Invalid { complaints: vec![*complaint], readable: None })?;
    check(path, &text, overrides)
}

/// The same for a config that is in no file; `path` stands in for one in complaints.
///
/// # Errors
///
/// Everything that is wrong.
pub fn load_text(path: &Path, text: &str) -> Result<Loaded, Invalid> {
    check(path, text, &[])
}

/// What this value of a key would ask for, written as JSON, if that is not supported yet.
#[must_use]
pub fn not_supported_yet(path: &str, json: &serde_json::Value) -> Option<&'static str> {
    let key = later::key(path)?;
    // The table's defaults are JSON.
    (serde_json::from_str(key.default).ok().as_ref() != Some(json)).then_some(key.feature)
}

/// The same for a text that stands in the file `path`.
fn check(path: &Path, text: &str, overrides: &[(String, String)]) -> Result<Loaded, Invalid> {
    let mut complaints = Vec::new();
    let document = Document::parse(path, text, &mut complaints)
        .map_err(|complaint| Invalid { complaints: vec![*complaint], readable: None })?;
    check_document(document, overrides, complaints)
}

/// The same for a document that is parsed; `complaints` are those about its text.
fn check_document(
    mut document: Document,
    overrides: &[(String, String)],
    mut complaints: Vec<Diagnostic>,
) -> Result<Loaded, Invalid> {
    for (path, value) in overrides {
        overrides::apply(&mut document, path, value, &mut complaints);
    }
    let filled = fill::fill(&document);
    let sound = complaints.is_empty();
    complaints.extend(filled.complaints);
    sort(&mut complaints);
    match filled.config {
        Some(config) if sound => Ok(Loaded { config, document, warnings: complaints }),
        _ => Err(Invalid { complaints, readable: filled.system.map(|system| Box::new((document, system))) }),
    }
}

/// Reads a saved system's config, which is generated and so right in itself, with `overrides`.
///
/// # Errors
///
/// Everything that is wrong with the overrides.
pub(crate) fn load_saved_system(
    file: &Path,
    text: &str,
    overrides: &[(String, String)],
) -> Result<(Document, SavedSystemConfig), Vec<Diagnostic>> {
    let mut complaints = Vec::new();
    let mut document = Document::parse(file, text, &mut complaints).map_err(|complaint| vec![*complaint])?;
    for (path, value) in overrides {
        overrides::apply(&mut document, path, value, &mut complaints);
    }
    match fill::saved_system::fill(&document) {
        Ok(config) if complaints.is_empty() => Ok((document, config)),
        Ok(_) => Err(complaints),
        Err(found) => Err([complaints, found].concat()),
    }
}

/// Puts complaints in the order of the file; those that have no place in it come last.
pub fn sort(complaints: &mut [Diagnostic]) {
    complaints.sort_by_key(|complaint| match &complaint.location {
        Some(location) => (location.line, location.column),
        None => (usize::MAX, None),
    });
}

/// A small config that trains on files named `train.src`, `train.tgt`, `valid.src` and `valid.tgt` in the current
/// directory.
#[must_use]
pub fn example() -> &'static str {
    include_str!("../../../../configs/example.json")
}
