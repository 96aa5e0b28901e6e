//! One call across the boundary: who was called for what, and what came of it.

use std::fmt;

use abi_stable::std_types::{RErr, ROk};
use kiwi_torch_ext::{GlobalState, TorchError};

use crate::abi::guard::{AbiError, AbiResult, FailureKind};

/// What a component was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Its JSON Schema was asked for.
    Schema,
    /// Its config was checked.
    Check,
    /// What it needs of a run was asked.
    Needs,
    /// An instance was created.
    Create,
    /// An instance was asked to describe itself.
    Describe,
    /// Its parameters were asked for.
    Parameters,
    /// Features, loss or figures of a batch were computed.
    Forward,
    /// A learning-rate schedule was checked, made or asked.
    Schedule,
    /// An optimizer took a step.
    Step,
    /// A state was saved.
    SaveState,
    /// A state was loaded.
    LoadState,
    /// A metric turned its sum into a figure.
    Value,
    /// An instance was freed.
    Drop,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schema => "schema",
            Self::Check => "check",
            Self::Needs => "needs",
            Self::Create => "create",
            Self::Describe => "describe",
            Self::Parameters => "parameters",
            Self::Forward => "forward",
            Self::Schedule => "schedule",
            Self::Step => "step",
            Self::SaveState => "save state",
            Self::LoadState => "load state",
            Self::Value => "value",
            Self::Drop => "drop",
        })
    }
}

/// Which component of which plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name of the plugin.
    pub plugin: String,
    /// Class of the component.
    pub class: String,
}

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct CallError {
    /// Who was called.
    pub origin: Origin,
    /// For what.
    pub phase: Phase,
    /// How it failed.
    pub kind: FailureKind,
    /// What is wrong.
    pub message: String,
    /// What lies beneath, outermost first.
    pub causes: Vec<String>,
    /// Source file and line of a panic.
    pub location: Option<String>,
}

impl CallError {
    /// An error of the component's doing that the host noticed.
    #[must_use]
    pub fn new(origin: &Origin, phase: Phase, message: impl Into<String>) -> Self {
        Self {
            origin: origin.clone(),
            phase,
            kind: FailureKind::Error,
            message: message.into(),
            causes: Vec::new(),
            location: None,
        }
    }

    fn received(origin: &Origin, phase: Phase, error: AbiError) -> Self {
        Self {
            origin: origin.clone(),
            phase,
            kind: FailureKind::from_number(error.kind),
            message: error.message.into(),
            causes: error.causes.into_iter().map(Into::into).collect(),
            location: Some(error.location.into_string()).filter(|location| !location.is_empty()),
        }
    }

    fn describe(&self) -> String {
        let Origin { plugin, class } = &self.origin;
        let how = match self.kind {
            FailureKind::Error => "failed",
            FailureKind::Panic => "panicked",
            FailureKind::Exception => "threw a C++ exception",
            FailureKind::Poisoned => "cannot be used",
        };
        let mut text = format!("{class} of plugin {plugin} {how} in {}: {}", self.phase, self.message);
        if let Some(location) = &self.location {
            text.push_str(&format!(" (at {location})"));
        }
        for cause in &self.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        text
    }
}

/// Calls a component and puts libtorch's state back.
pub(super) fn guarded<T>(
    origin: &Origin,
    phase: Phase,
    f: impl FnOnce() -> AbiResult<T>,
) -> Result<T, CallError> {
    let state = |error: TorchError| CallError::new(origin, phase, error.to_string());
    let before = GlobalState::capture().map_err(state)?;
    let result = f();
    let after = GlobalState::capture().map_err(state)?;
    if before != after {
        before.restore().map_err(state)?;
    }
    match result {
        ROk(_) if before.cpu_seed() != after.cpu_seed() => Err(CallError::new(
            origin,
            phase,
            "it reseeded libtorch's random generator, which belongs to the host: draw from it, or use a generator of your own",
        )),
        ROk(value) => Ok(value),
        RErr(error) => Err(CallError::received(origin, phase, error)),
    }
}
