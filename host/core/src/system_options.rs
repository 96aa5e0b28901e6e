//! What a command that takes a saved system may be told besides it: options of its parts, metrics, precision, batches. The
//! saved system is read as the config that it was, `--set` replaces values of it, and what cannot be set there is refused as
//! any unknown key is.

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::json;

use crate::config::{ComponentSection, Document, ModelSection, Precision, SavedSystemConfig};
use crate::diagnostic::Diagnostic;
use crate::saved_system::SystemHeader;

/// What holds for a run of a saved system without training.
#[derive(Debug, Clone)]
pub struct SystemOptions {
    /// Options of the encoder.
    pub encoder: ComponentSection,
    /// Options of the head.
    pub head: ComponentSection,
    /// Class names of metrics besides the head's own.
    pub metrics: Vec<String>,
    /// Type of number computed with.
    pub precision: Precision,
    /// Pairs in one batch.
    pub batch_size: usize,
    /// Threads that prepare batches; 0 for none besides the computing thread.
    pub num_data_workers: usize,
    /// Where which of it stands.
    pub document: Document,
}

impl SystemOptions {
    /// The options of the saved system in `file`, some replaced by `overrides` (path such as
    /// `system.model.encoder.dropout`, and JSON or else a bare string).
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the overrides.
    pub fn new(
        file: &Path,
        header: &SystemHeader,
        batch_size: usize,
        overrides: &[(String, String)],
    ) -> Result<Self, Vec<Diagnostic>> {
        let config = json!({
            "system": {
                "model": {"encoder": header.encoder.config, "tlm_outputs": header.head.config},
                "metrics": [],
                "batch_size": batch_size,
                "num_data_workers": 1,
            },
            "trainer": {"precision": 32},
        });
        let (document, config) = crate::config::load_saved_system(file, &config.to_string(), overrides)?;
        let SavedSystemConfig { model, metrics, precision, batch_size, num_data_workers } = config;
        let ModelSection { encoder, tlm_outputs: head } = model;
        Ok(Self { encoder, head, metrics, precision, batch_size, num_data_workers, document })
    }
}
