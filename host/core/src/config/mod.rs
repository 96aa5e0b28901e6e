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

mod document;
mod fill;
mod later;
mod overrides;
mod path;
mod read;
mod reader;
mod sections;
mod syntax;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use document::Document;
pub use sections::{
    BatchSize, CheckpointSection, ComponentSection, Corpora, DataProcessingSection, DataSection,
    ModelSection, OptimizerSection, Precision, RunConfig, RunSection, Sides, SystemSection, TrainerSection,
    ValidationInterval, VocabularySection,
};

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

/// Reads and checks the config in `path`. Each of `overrides` (path such as `trainer.epochs`, and JSON or else a bare
/// string) replaces or creates a value before anything is checked; of several for one path the last holds.
///
/// # Errors
///
/// Everything that is wrong, at least one error, with warnings among it.
pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<Loaded, Vec<Diagnostic>> {
    let text = read::read(path).map_err(|complaint| vec![*complaint])?;
    check(path, &text, overrides)
}

/// The same for a text that stands in the file `path`.
fn check(path: &Path, text: &str, overrides: &[(String, String)]) -> Result<Loaded, Vec<Diagnostic>> {
    let mut complaints = Vec::new();
    let mut document = Document::parse(path, text, &mut complaints).map_err(|complaint| vec![*complaint])?;
    for (path, value) in overrides {
        overrides::apply(&mut document, path, value, &mut complaints);
    }
    match fill::fill(&document) {
        Ok((config, mut warnings)) if complaints.is_empty() => {
            sort(&mut warnings);
            Ok(Loaded { config, document, warnings })
        }
        Ok((_, found)) | Err(found) => {
            complaints.extend(found);
            sort(&mut complaints);
            Err(complaints)
        }
    }
}

/// In the order of the file; what has no place in it comes last.
fn sort(complaints: &mut [Diagnostic]) {
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
