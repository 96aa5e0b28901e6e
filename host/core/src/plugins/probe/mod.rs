//! What only running code of a plugin can say: the JSON Schema of each component's options, and what follows from it. A plugin is
//! asked once, in a process of its own, and the answer is kept ([`cache`]) by the SHA-256 of the plugin's file.
//!
//! Not here: starting that process, which is the program's, and opening the plugin in it, which is the engine's.

mod cache;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use cache::Cache;

/// What a plugin says about its components.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginProbe {
    /// The components that could be asked.
    pub components: Vec<ProbedComponent>,
    /// The components that could not, each with the reason.
    pub failed: Vec<FailedComponent>,
}

/// What a component says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbedComponent {
    /// Its kind, as in the metadata.
    pub kind: String,
    /// Its class.
    pub class: String,
    /// JSON Schema of its options.
    pub schema: Value,
    /// Whether it can do without any option.
    pub accepts_no_options: bool,
    /// Whether it has a learning-rate schedule of its own.
    pub has_schedule: bool,
}

/// A component that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedComponent {
    /// Its kind, as in the metadata.
    pub kind: String,
    /// Its class.
    pub class: String,
    /// Why.
    pub reason: String,
}

impl PluginProbe {
    /// What the component of this kind and class says.
    #[must_use]
    pub fn component(&self, kind: &str, class: &str) -> Option<&ProbedComponent> {
        self.components.iter().find(|one| one.kind == kind && one.class == class)
    }
}
