//! One call across the boundary: who was called for what, and what came of it.

use std::cell::{Cell, RefCell};
use std::fmt;

use abi_stable::std_types::{RErr, ROk};
use kiwi_torch_ext::{GlobalState, StateChange, TorchError};

use super::calling::{Calling, Slot};
use crate::abi::guard::{AbiError, AbiResult, FailureKind};

/// What a component was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The plugin was opened.
    Open,
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

impl Phase {
    /// All of them, in order.
    pub(super) const ALL: [Self; 14] = [
        Self::Open,
        Self::Schema,
        Self::Check,
        Self::Needs,
        Self::Create,
        Self::Describe,
        Self::Parameters,
        Self::Forward,
        Self::Schedule,
        Self::Step,
        Self::SaveState,
        Self::LoadState,
        Self::Value,
        Self::Drop,
    ];

    /// Its name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
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
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which component of which plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Name of the plugin.
    pub plugin: String,
    /// Class of the component.
    pub class: String,
    /// Where its names are found while it is called, looked up once and not for every call.
    slot: Slot,
}

impl Origin {
    /// A class of a plugin.
    #[must_use]
    pub fn new(plugin: &str, class: &str) -> Self {
        Self { plugin: plugin.to_owned(), class: class.to_owned(), slot: Slot::of(plugin, class) }
    }
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

    /// The error that a component is of another kind than it is asked for as.
    pub(super) fn another_kind(origin: &Origin, kind: &str, asked: &str) -> Self {
        Self::new(origin, Phase::Create, format!("it is registered as {kind} but asked for as {asked}"))
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
        let Origin { plugin, class, .. } = &self.origin;
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

/// What an observer is told of a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// A component is about to be called.
    #[non_exhaustive]
    Entering {
        /// Which.
        origin: &'a Origin,
        /// For what.
        phase: Phase,
    },
    /// A component left libtorch's state changed. It is put back.
    #[non_exhaustive]
    StateChanged {
        /// Which.
        origin: &'a Origin,
        /// What it was called for.
        phase: Phase,
        /// What differs from before the call.
        changes: &'a [StateChange],
    },
}

/// Is told of calls.
pub type Observer = Box<dyn FnMut(&Observation<'_>)>;

/// While it lives, an observer is told of the calls of its thread.
#[must_use = "the observer is told of nothing once this is dropped"]
pub struct Observing {
    number: u64,
    /// It belongs to the thread that made it.
    of_thread: std::marker::PhantomData<*const ()>,
}

thread_local! {
    static OBSERVERS: RefCell<Vec<(u64, Observer)>> = const { RefCell::new(Vec::new()) };
    static OBSERVED: Cell<u64> = const { Cell::new(0) };
}

/// Has `observer` told of every call that this thread makes of a component, for as long as what is returned lives. An observer
/// that calls a component itself is not told of that, and cannot add another.
pub fn observe(observer: Observer) -> Observing {
    let number = OBSERVED.get();
    OBSERVED.set(number + 1);
    OBSERVERS.with(|observers| {
        if let Ok(mut observers) = observers.try_borrow_mut() {
            observers.push((number, observer));
        }
    });
    Observing { number, of_thread: std::marker::PhantomData }
}

impl Drop for Observing {
    fn drop(&mut self) {
        let _ = OBSERVERS.try_with(|observers| {
            if let Ok(mut observers) = observers.try_borrow_mut() {
                observers.retain(|(number, _)| *number != self.number);
            }
        });
    }
}

fn tell(observation: &Observation<'_>) {
    let _ = OBSERVERS.try_with(|observers| {
        if let Ok(mut observers) = observers.try_borrow_mut() {
            observers.iter_mut().for_each(|(_, observer)| observer(observation));
        }
    });
}

/// Calls a component and puts libtorch's state back.
pub(super) fn guarded<T>(
    origin: &Origin,
    phase: Phase,
    f: impl FnOnce() -> AbiResult<T>,
) -> Result<T, CallError> {
    let state = |error: TorchError| CallError::new(origin, phase, error.to_string());
    tell(&Observation::Entering { origin, phase });
    let before = GlobalState::capture().map_err(state)?;
    let result = {
        let _under_way = Calling::begin(origin.slot, phase);
        f()
    };
    let after = GlobalState::capture().map_err(state)?;
    if before != after {
        tell(&Observation::StateChanged { origin, phase, changes: &before.changes(&after) });
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
