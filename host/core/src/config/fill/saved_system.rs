//! The part of a config that holds for a saved system that is run without training.

use super::{system, trainer};
use crate::config::document::Document;
use crate::config::reader::{Report, Section};
use crate::config::sections::{ComponentSection, ModelSection, Precision, SavedSystemConfig};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error_code::Code;

/// Reads such a config.
///
/// # Errors
/// Everything that is wrong.
pub(in crate::config) fn fill(document: &Document) -> Result<SavedSystemConfig, Vec<Diagnostic>> {
    let report = Report::new(document);
    let config = report.root().section().and_then(root);
    let complaints = report.into_complaints();
    match config {
        Some(config) if complaints.iter().all(|one| one.severity == Severity::Warning) => Ok(config),
        _ => Err(complaints),
    }
}

fn root(mut section: Section<'_>) -> Option<SavedSystemConfig> {
    let mut trainer_section = section.section("trainer");
    let precision = trainer_section.or("precision", Precision::F32, trainer::precision);
    trainer_section.finish_as_they_are();
    let mut system_section = section.section("system");
    let mut model = system_section.section("model");
    let encoder = part(&mut model, "encoder");
    let tlm_outputs = part(&mut model, "tlm_outputs");
    model.finish_as_they_are();
    let metrics = system_section.or("metrics", Vec::new(), system::metrics);
    let batch_size = system_section.or("batch_size", 1, |entry| entry.size(1));
    let num_data_workers = system_section.or("num_data_workers", 1, |entry| entry.size(0));
    system_section.finish_as_they_are();
    section.finish_as_they_are();
    let model = ModelSection { encoder: encoder?, tlm_outputs: tlm_outputs? };
    Some(SavedSystemConfig { model, metrics, precision, batch_size, num_data_workers })
}

/// The options of a part, whose class is the saved one's.
fn part(model: &mut Section<'_>, key: &'static str) -> Option<ComponentSection> {
    let path = model.path_of(key);
    let entry = model.entry(key)?;
    let mut section = entry.section()?;
    if let Some(class) = section.entry("class_name") {
        let found = class.node().describe();
        class.complain(
            Diagnostic::error(Code::SystemClass, "the class of a saved system's part cannot be changed")
                .found(found)
                .expected("no such key"),
        );
    }
    Some(ComponentSection { class_name: None, options: entry.options(Some("class_name"))?, path })
}
