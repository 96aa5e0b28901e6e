//! Checking a plugin: what a process that opens it is asked, and what it tells while it does. Each such process checks one component;
//! the program watches it from outside, since the plugin may end it at any time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::request::Common;

/// Open a plugin, and check one of its components.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginCheckRequest {
    /// The plugin's file.
    pub file: PathBuf,
    /// SHA-256 of the file, as it was looked at.
    pub sha256: String,
    /// Name of the plugin.
    pub plugin: String,
    /// The component; `None` to open the plugin and do nothing else.
    pub component: Option<CheckedComponent>,
    /// Options to check it with; `None` for its defaults.
    pub options: Option<Value>,
    /// Where to compute: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// How many seconds calls that are repeated may take.
    pub patience: f64,
    /// What came of checks that were run before, by their names.
    pub known: BTreeMap<String, Outcome>,
    /// What holds for every command.
    pub common: Common,
}

/// A component by kind and class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedComponent {
    /// Its kind, as in the metadata of plugins.
    pub kind: String,
    /// Its class.
    pub class: String,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is wrong.
    Pass,
    /// Something is wrong.
    Fail,
    /// It could not be found out, or does not apply.
    Skipped,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check, as `gradients`.
    pub check: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen, what is wrong, or why nothing could be seen: a lower-case fragment.
    pub message: String,
    /// What was found.
    pub found: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Further facts.
    pub notes: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Finding {
    /// A finding with this message and nothing else yet.
    #[must_use]
    pub fn new(check: impl Into<String>, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            outcome,
            message: message.into(),
            found: None,
            expected: None,
            help: None,
            notes: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// What the process tells, in lines of data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Told {
    /// A check begins: if the process ends now, this is what ended it.
    Begin {
        /// Which.
        check: String,
    },
    /// The plugin is called for something else than before.
    Phase {
        /// What for, as `create`.
        phase: String,
    },
    /// A check ended.
    Finding(Finding),
    /// The plugin is open and has registered these.
    Registered {
        /// Each component.
        components: Vec<CheckedComponent>,
    },
    /// The checks that there are for the component, in order.
    Checks {
        /// Their names.
        checks: Vec<String>,
    },
    /// All is told.
    Done,
}

/// The check that a plugin can be opened.
pub const LOAD: &str = "load";
