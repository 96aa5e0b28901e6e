//! Configs of OpenKiwi's pretraining, which are YAML put together by Hydra, as configs of ours.
//!
//! ```text
//! file ─ yaml ─► Node ─ compose (the files of `defaults:`) ─► interpolate (`${a.b}`) ─► translate ─► JSON ─ kiwi_core::config
//! ```
//!
//! What changes on the way is told, each with its place. What comes out is a config that our reader accepts, or everything that
//! is wrong with it, in the place of the YAML file where it stands.

mod compose;
mod error;
mod interpolate;
mod json;
mod node;
mod scalar;
#[cfg(test)]
mod tests;
mod translate;
mod yaml;

use std::path::Path;

use kiwi_core::config;
use kiwi_core::diagnostic::{Diagnostic, Severity};

pub use error::Error;

use node::{Node, Sources};

/// A config that was translated.
#[derive(Debug, Clone)]
pub struct ImportedConfig {
    /// The config, JSON.
    pub json: String,
    /// What is other than in the YAML file, and what means something else here.
    pub changes: Vec<Diagnostic>,
}

/// Translates a config of OpenKiwi.
///
/// # Errors
/// Everything that is wrong, at least one error.
pub fn import_config(file: &Path) -> Result<ImportedConfig, Vec<Diagnostic>> {
    let mut sources = Sources::default();
    let mut changes = Vec::new();
    let translated = translate_file(file, &mut sources, &mut changes);
    let root = translated.map_err(|error| vec![error.diagnostic(&sources)])?;
    let json = json::pretty(&root);
    match config::load_text(file, &json) {
        // What our reader warns of it tells when the config is used.
        Ok(_) => {
            // The file itself first, then those of `defaults`, each from top to bottom.
            changes.sort_by_key(|change| {
                let place = change.location.as_ref();
                place.map(|place| (place.file != file, place.file.clone(), place.line, place.column))
            });
            Ok(ImportedConfig { json, changes })
        }
        Err(invalid) => {
            let errors = invalid.complaints.into_iter().filter(|one| one.severity == Severity::Error);
            let mut errors: Vec<_> = errors.map(|one| placed(one, &root, &sources)).collect();
            config::sort(&mut errors);
            Err(errors)
        }
    }
}

fn translate_file(file: &Path, sources: &mut Sources, changes: &mut Vec<Diagnostic>) -> Result<Node, Error> {
    let mut root = compose::compose(file, sources, changes)?;
    let helpers = interpolate::interpolate(&mut root)?;
    translate::translate(&mut root, &helpers, sources, changes)?;
    Ok(root)
}

/// A complaint about the JSON in the place of the YAML file that it comes from.
fn placed(mut complaint: Diagnostic, root: &Node, sources: &Sources) -> Diagnostic {
    let path = complaint.path.clone().unwrap_or_default();
    let mut path = path.as_str();
    // What is missing has no place: that of what it is missing in is next.
    complaint.location = loop {
        if let Some(place) = root.place_of(path) {
            break Some(sources.location(place));
        }
        match path.rfind(['.', '[']) {
            Some(end) => path = &path[..end],
            None => break Some(sources.location(root.place)),
        }
    };
    complaint
}
