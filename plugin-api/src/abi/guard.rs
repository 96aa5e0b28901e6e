//! What happens around each call on the plugin's side: panics and C++ exceptions become errors, an instance that
//! panicked is not called again.

use std::ffi::c_void;

use abi_stable::StableAbi;
use abi_stable::std_types::{RErr, ROk, RResult, RString, RVec};
use kiwi_torch_ext::{Caught, guard};

use super::callbacks;
use crate::Error;
use crate::error::without_stack;

/// What sort of failure crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum FailureKind {
    /// The component returned an error.
    Error = 0,
    /// It panicked.
    Panic = 1,
    /// A C++ exception came out of it.
    Exception = 2,
    /// It was called though it had panicked before.
    Poisoned = 3,
}

impl FailureKind {
    /// The kind of this number; an unknown one counts as an error.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Panic,
            2 => Self::Exception,
            3 => Self::Poisoned,
            _ => Self::Error,
        }
    }
}

/// An error as it crosses.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct AbiError {
    /// A [`FailureKind`].
    pub kind: u32,
    /// What is wrong.
    pub message: RString,
    /// What lies beneath, outermost first.
    pub causes: RVec<RString>,
    /// Source file and line of a panic, else empty.
    pub location: RString,
}

/// Result of a call across the boundary.
pub type AbiResult<T> = RResult<T, AbiError>;

/// An instance of a component, owned by the host, understood by the plugin only.
#[repr(C)]
#[derive(StableAbi)]
pub struct Instance {
    pointer: *mut c_void,
}

// SAFETY: components are `Send`, and the host calls an instance from one thread at a time.
unsafe impl Send for Instance {}

struct Slot<T> {
    value: T,
    poisoned: bool,
}

impl Instance {
    /// Moves `value` behind the pointer.
    pub(crate) fn new<T>(value: T) -> Self {
        Self { pointer: Box::into_raw(Box::new(Slot { value, poisoned: false })).cast() }
    }
}

/// Calls `f` on the instance, guarded.
pub(crate) fn call<T, R>(
    class: &'static str,
    instance: &mut Instance,
    f: impl FnOnce(&mut T) -> Result<R, Error>,
) -> AbiResult<R> {
    // SAFETY: the table that holds this function made the instance from a `Slot<T>` by `Instance::new`, the host
    // passes each instance only to its own table, and `&mut` says that nobody else is using it.
    let slot = unsafe { &mut *instance.pointer.cast::<Slot<T>>() };
    if slot.poisoned {
        return RErr(AbiError {
            kind: FailureKind::Poisoned as u32,
            message: "it panicked before and is not called again".into(),
            causes: RVec::new(),
            location: RString::new(),
        });
    }
    slot.poisoned = true;
    let result = enter(class, || f(&mut slot.value));
    slot.poisoned = matches!(&result, RErr(error) if error.kind != FailureKind::Error as u32);
    result
}

/// Drops the instance, guarded. One that panicked is leaked: its parts may be in any state.
pub(crate) fn destroy<T>(class: &'static str, instance: Instance) -> AbiResult<()> {
    // SAFETY: as in `call`; the host gives the instance up.
    let slot = unsafe { Box::from_raw(instance.pointer.cast::<Slot<T>>()) };
    if slot.poisoned {
        std::mem::forget(slot);
        return ROk(());
    }
    enter(class, || {
        drop(slot);
        Ok(())
    })
}

/// Runs `f` so that neither panic nor C++ exception leaves it.
pub(crate) fn enter<R>(class: &'static str, f: impl FnOnce() -> Result<R, Error>) -> AbiResult<R> {
    match callbacks::within_class(class, || guard(f)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(AbiError {
            kind: FailureKind::Error as u32,
            message: error.message().into(),
            causes: error.causes().iter().map(|cause| RString::from(cause.as_str())).collect(),
            location: RString::new(),
        }),
        Err(Caught::Panic { message, location }) => RErr(AbiError {
            kind: FailureKind::Panic as u32,
            message: without_stack(&message).into(),
            causes: RVec::new(),
            location: location.unwrap_or_default().into(),
        }),
        Err(Caught::CppException { type_name, message }) => RErr(AbiError {
            kind: FailureKind::Exception as u32,
            message: described(&type_name, &message).into(),
            causes: RVec::new(),
            location: RString::new(),
        }),
    }
}

fn described(type_name: &str, message: &str) -> String {
    match without_stack(message) {
        "" => type_name.to_owned(),
        message => format!("{type_name}: {message}"),
    }
}
