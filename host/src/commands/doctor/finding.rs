//! What `doctor` finds: a line for people, facts for programs.

use serde::Serialize;
use serde_json::{Map, Value};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Something will not work, or not as one thinks.
    Warning,
    /// Nothing can be trained.
    Error,
}

impl Level {
    pub(super) const ALL: [Self; 4] = [Self::Ok, Self::Note, Self::Warning, Self::Error];

    /// Its name, as in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Section {
    Program,
    Libtorch,
    Gpus,
    Plugins,
    Directories,
    Machine,
    Environment,
}

impl Section {
    /// Its heading.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Program => "Program",
            Self::Libtorch => "libtorch",
            Self::Gpus => "GPUs",
            Self::Plugins => "Plugins",
            Self::Directories => "Directories",
            Self::Machine => "Machine",
            Self::Environment => "Environment",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) section: Section,
    /// What is found out; the same word wherever `doctor` runs.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What was found: a fragment.
    pub(super) message: String,
    /// What to do, where something can be done.
    pub(super) help: Option<String>,
    /// More, one a line: for `--verbose`.
    pub(super) notes: Vec<String>,
    /// The same as data.
    pub(super) facts: Map<String, Value>,
}

impl Finding {
    pub(super) fn new(
        section: Section,
        check: &'static str,
        level: Level,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        Self { section, check, level, message, help: None, notes: Vec::new(), facts: Map::new() }
    }

    pub(super) fn ok(section: Section, check: &'static str, message: impl Into<String>) -> Self {
        Self::new(section, check, Level::Ok, message)
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    pub(super) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}
