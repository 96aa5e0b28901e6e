//! Complaints as data: what is wrong, where, what was found, what was expected, and what to do. The program prints them;
//! nothing here does.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error_code::Code;
use crate::exit_code::ExitCode;

/// Whether a complaint stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The run cannot go on.
    Error,
    /// Worth knowing; the run goes on.
    Warning,
}

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1; absent where the whole line is meant.
    pub column: Option<usize>,
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Whether it stops the run.
    pub severity: Severity,
    /// What kind of trouble it is: there is a page to read on each.
    pub code: Code,
    /// What is wrong: a lower-case fragment without a full stop.
    pub message: String,
    /// JSON path of the value in the config, as `system.model.encoder.hidden_size`.
    pub path: Option<String>,
    /// Where in which file.
    pub location: Option<Location>,
    /// What stands there.
    pub found: Option<String>,
    /// What may stand there.
    pub expected: Option<String>,
    /// The nearest valid choice.
    pub nearest: Option<String>,
    /// Further facts, one a line: causes, what is registered, where was searched.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error of this kind with this message and nothing else yet.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning of this kind with this message and nothing else yet.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            path: None,
            location: None,
            found: None,
            expected: None,
            nearest: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// The code as it is shown, as `E0101`: its letter is that of the severity at hand.
    #[must_use]
    pub fn label(&self) -> String {
        self.code.label(self.severity)
    }

    /// The complaint as programs read it, its code as it is shown.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let Self { severity, message, path, location, found, expected, nearest, notes, help, .. } = self;
        serde_json::json!({
            "severity": severity, "code": self.label(), "message": message, "path": path, "location": location, "found": found,
            "expected": expected, "nearest": nearest, "notes": notes, "help": help,
        })
    }

    /// Sets the JSON path.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the place in a file.
    #[must_use]
    pub fn located(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Sets what stands there.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// Sets what may stand there.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Sets the nearest valid choice, where there is one.
    #[must_use]
    pub fn nearest(mut self, nearest: Option<impl Into<String>>) -> Self {
        self.nearest = nearest.map(Into::into);
        self
    }

    /// Adds a further fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Sets what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why a command ends without having done its work: everything that was found wrong, and the code to exit with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code the process exits with.
    pub exit: ExitCode,
    /// At least one error; warnings may stand among them.
    pub diagnostics: Vec<Diagnostic>,
}

impl Failure {
    /// A failure of one complaint.
    #[must_use]
    pub fn new(exit: ExitCode, diagnostic: Diagnostic) -> Self {
        Self { exit, diagnostics: vec![diagnostic] }
    }
}

/// The candidate nearest to `asked` in spelling, if one is near enough to be what was meant.
///
/// Compares without case by the Jaro-Winkler distance; a candidate under 0.8 is not offered.
#[must_use]
pub fn nearest<'a>(asked: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let asked = asked.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&asked, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
