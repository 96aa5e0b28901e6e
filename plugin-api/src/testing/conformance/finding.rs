//! What comes of a check, and how a check says it.

use serde::{Deserialize, Serialize};

use crate::abi::guard::FailureKind;
use crate::abi::host::CallError;
use crate::error::without_stack;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is wrong.
    Pass,
    /// Something is wrong.
    Fail,
    /// It could not be found out, or does not apply; the message says why.
    Skipped,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
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

/// What the suite tells while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A check begins.
    Begin {
        /// Which.
        check: String,
    },
    /// A check ended.
    Finding(Finding),
}

/// What a check that passed has seen.
pub(super) struct Seen {
    message: String,
    notes: Vec<String>,
}

/// Why a check did not pass.
pub(super) enum Stop {
    /// Something is wrong.
    Fail(Box<Complaint>),
    /// Nothing can be said.
    Skip(String),
}

/// What a check comes to.
pub(super) type Checked<T = Seen> = Result<T, Stop>;

/// What is wrong.
#[derive(Default)]
pub(super) struct Complaint {
    message: String,
    found: Option<String>,
    expected: Option<String>,
    help: Option<String>,
    notes: Vec<String>,
}

impl Seen {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), notes: Vec::new() }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl Stop {
    pub(super) fn skip(why: impl Into<String>) -> Self {
        Self::Skip(why.into())
    }

    /// The same failure, with where it came up.
    pub(super) fn during(self, what: impl Into<String>) -> Self {
        match self {
            Self::Fail(complaint) => Self::Fail(Box::new(complaint.note(what))),
            skip @ Self::Skip(_) => skip,
        }
    }
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(super) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl From<Complaint> for Stop {
    fn from(complaint: Complaint) -> Self {
        Self::Fail(Box::new(complaint))
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        let help = match error.kind {
            FailureKind::Panic => {
                "a panic ends a user's run: return an error that says what is wrong, or correct the code at this place"
            }
            FailureKind::Exception => "a C++ exception ends a user's run: catch it and return an error",
            FailureKind::Error | FailureKind::Poisoned => {
                "the component was given what a host gives it: correct it, or say in its needs or its check of options what it cannot take"
            }
        };
        Complaint::new(error.to_string()).help(help).into()
    }
}

/// libtorch refuses something: as a rule to compute with what the component gave.
impl From<tch::TchError> for Stop {
    fn from(error: tch::TchError) -> Self {
        let said = without_stack(&error.to_string()).to_owned();
        Complaint::new(format!("libtorch cannot compute with what the component gave: {said}")).into()
    }
}

impl From<kiwi_torch_ext::TorchError> for Stop {
    fn from(error: kiwi_torch_ext::TorchError) -> Self {
        let said = without_stack(&error.to_string()).to_owned();
        Complaint::new(format!("libtorch cannot compute with what the component gave: {said}")).into()
    }
}

impl From<crate::Error> for Stop {
    fn from(error: crate::Error) -> Self {
        Complaint::new(error.to_string()).into()
    }
}

impl Finding {
    /// What came of the check `check`, which took so long.
    pub(super) fn of(check: &str, seconds: f64, checked: Checked) -> Self {
        let (outcome, complaint) = match checked {
            Ok(Seen { message, notes }) => {
                (Outcome::Pass, Complaint { message, notes, ..Complaint::default() })
            }
            Err(Stop::Skip(message)) => (Outcome::Skipped, Complaint::new(message)),
            Err(Stop::Fail(complaint)) => (Outcome::Fail, *complaint),
        };
        let Complaint { message, found, expected, help, notes } = complaint;
        Self { check: check.to_owned(), outcome, message, found, expected, help, notes, seconds }
    }
}
