//! One call of a component in plain C, and the instances that such calls make.

use std::ffi::c_void;
use std::ptr;

use abi_stable::std_types::{RErr, ROk};
use kiwi_torch_ext::{Caught, guard};
use serde_json::Value;

use super::results::{Results, State, error};
use crate::abi::c::KiwiCall;
use crate::abi::guard::FailureKind;
use crate::abi::host::call::{CallError, Origin, Phase, guarded};
use crate::error::without_stack;

/// How an instance is freed.
pub(super) type Destroy = unsafe extern "C-unwind" fn(*mut KiwiCall, *mut c_void) -> i32;

/// Calls a function of a component. Exceptions are the plugin's to catch; one that it let through ends here.
pub(super) fn call(
    origin: &Origin,
    phase: Phase,
    function: impl FnOnce(*mut KiwiCall) -> i32,
) -> Result<Results, CallError> {
    guarded(origin, phase, || {
        let mut state = State::default();
        let pointer = (&raw mut state).cast::<KiwiCall>();
        match guard(|| function(pointer)) {
            Ok(status) => state.finish(status),
            Err(Caught::CppException { type_name, message }) => RErr(error(
                FailureKind::Exception,
                match without_stack(&message) {
                    "" => type_name,
                    message => format!("{type_name}: {message}"),
                }
                .as_str(),
            )),
            Err(Caught::Panic { message, .. }) => RErr(error(FailureKind::Panic, without_stack(&message))),
        }
    })
}

/// A function that its table must have, as was seen when the plugin was opened.
pub(super) fn present<F>(
    function: Option<F>,
    name: &str,
    origin: &Origin,
    phase: Phase,
) -> Result<F, CallError> {
    function.ok_or_else(|| CallError::new(origin, phase, format!("its table has no function `{name}`")))
}

/// An instance, which is freed when dropped. One that threw is not called again and never freed: its parts may be in any state.
pub(super) struct Held {
    pub(super) origin: Origin,
    instance: *mut c_void,
    destroy: Destroy,
    poisoned: bool,
}

// SAFETY: the boundary says that an instance may be called from any thread, one at a time, and `&mut self` sees to the latter.
unsafe impl Send for Held {}

impl Held {
    /// What `create` makes, which is called with the place for the instance's address.
    pub(super) fn create(
        origin: &Origin,
        phase: Phase,
        destroy: Option<Destroy>,
        create: impl FnOnce(*mut KiwiCall, *mut *mut c_void) -> i32,
    ) -> Result<(Self, Results), CallError> {
        let destroy = present(destroy, "destroy", origin, phase)?;
        let mut instance = ptr::null_mut();
        let results = call(origin, phase, |call| create(call, &raw mut instance))?;
        if instance.is_null() {
            return Err(CallError::new(origin, phase, "it said that it is done and made no instance"));
        }
        Ok((Self { origin: origin.clone(), instance, destroy, poisoned: false }, results))
    }

    /// Calls a function with the instance.
    pub(super) fn call(
        &mut self,
        phase: Phase,
        function: impl FnOnce(*mut KiwiCall, *mut c_void) -> i32,
    ) -> Result<Results, CallError> {
        if self.poisoned {
            return guarded(&self.origin, phase, || {
                RErr(error(FailureKind::Poisoned, "it threw before and is not called again"))
            });
        }
        if self.instance.is_null() {
            return Err(CallError::new(&self.origin, phase, "it was freed"));
        }
        let instance = self.instance;
        let result = call(&self.origin, phase, |call| function(call, instance));
        self.poisoned = result.as_ref().is_err_and(|error| error.kind != FailureKind::Error);
        result
    }

    /// Frees it and says whether that went well.
    pub(super) fn free(&mut self) -> Result<(), CallError> {
        let instance = std::mem::replace(&mut self.instance, ptr::null_mut());
        if instance.is_null() || self.poisoned {
            return guarded(&self.origin, Phase::Drop, || ROk(()));
        }
        let destroy = self.destroy;
        // SAFETY: `create` of the same table made the instance, and nobody has its address any more.
        call(&self.origin, Phase::Drop, |call| unsafe { destroy(call, instance) }).map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A component that fails while it is freed can do no harm any more; `close` tells whoever wants to know.
        let _ = self.free();
    }
}

/// What a component gave a saved system to hold.
pub(super) fn saved(origin: &Origin, text: Option<String>) -> Result<Option<Value>, CallError> {
    let Some(text) = text else { return Ok(None) };
    serde_json::from_str(&text).map(|value: Value| Some(value).filter(|value| !value.is_null())).map_err(
        |error| {
            let message = format!("what it gave a saved system to hold is not JSON: {error}");
            CallError::new(origin, Phase::SaveState, message)
        },
    )
}

/// The error that a saved system holds more than the component takes.
pub(super) fn keeps_no_more(origin: &Origin) -> CallError {
    let message = "it was saved with more than parameters, and this version of the class keeps no more";
    CallError::new(origin, Phase::LoadState, message)
}
