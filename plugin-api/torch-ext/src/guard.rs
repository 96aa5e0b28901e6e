//! Running a closure so that nothing unwinds out of it.
//!
//! Neither language can catch what the other throws: Rust's `catch_unwind` ends the process when a C++ exception reaches
//! it, and a C++ handler that swallows a Rust panic does the same. So the closure runs in three layers: `catch_unwind`
//! outside, a C++ `try` that stops C++ exceptions and passes panics on, and the closure.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::Once;

use crate::ffi;

/// What came out of a closure instead of its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Caught {
    /// A Rust panic.
    #[error("panic: {message}{}", location.as_deref().map(|at| format!(" (at {at})")).unwrap_or_default())]
    Panic {
        /// Its message.
        message: String,
        /// `file:line:column`, known if [`install_panic_hook`] was called in this library.
        location: Option<String>,
    },
    /// A C++ exception.
    #[error("C++ exception {type_name}{}{message}", if message.is_empty() { "" } else { ": " })]
    CppException {
        /// Its type, as C++ writes it.
        type_name: String,
        /// `what()` of a `std::exception`; the value of a number or string; empty for anything else.
        message: String,
    },
}

struct Record {
    message: String,
    location: Option<String>,
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static RECORD: RefCell<Option<Record>> = const { RefCell::new(None) };
}

/// Marks the thread as being under a guard, with no panic recorded yet.
struct Entered {
    outer: Option<Record>,
}

impl Entered {
    fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self { outer: exchange_record(None) }
    }

    fn leave(mut self) -> Option<Record> {
        exchange_record(self.outer.take())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Nothing is recorded any more on a thread that is going away.
fn exchange_record(new: Option<Record>) -> Option<Record> {
    RECORD.try_with(|record| record.replace(new)).ok().flatten()
}

struct Call<F, T> {
    function: Option<F>,
    value: Option<T>,
}

extern "C-unwind" fn call<F: FnOnce() -> T, T>(data: *mut c_void) {
    // SAFETY: `guard` passes the address of a `Call<F, T>` that outlives this call and is not used meanwhile.
    let call = unsafe { &mut *data.cast::<Call<F, T>>() };
    if let Some(function) = call.function.take() {
        call.value = Some(function());
    }
}

/// Runs `function`; a panic or a C++ exception in it becomes an error.
///
/// Values that `function` had on its stack are dropped as by any panic. As with [`panic::catch_unwind`], what it changed
/// through references may be left half changed.
pub fn guard<T>(function: impl FnOnce() -> T) -> Result<T, Caught> {
    fn run<F: FnOnce() -> T, T>(function: F) -> Result<T, Caught> {
        let mut state = Call { function: Some(function), value: None };
        let data = (&raw mut state).cast::<c_void>();
        let mut type_name = ptr::null_mut();
        let mut message = ptr::null_mut();
        let entered = Entered::new();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: `data` is the `Call` that `call::<F, T>` expects; both strings are written before use. Only Rust
            // panics unwind out, into the `catch_unwind` around this.
            unsafe { ffi::kiwi_torch_guard(call::<F, T>, data, &raw mut type_name, &raw mut message) }
        }));
        let record = entered.leave();
        match outcome {
            Ok(_) => {
                if let Some(value) = state.value {
                    return Ok(value);
                }
                // SAFETY: the shim returned without a value being there, so it wrote both strings, which are ours.
                let (type_name, message) =
                    unsafe { (ffi::take_string(type_name), ffi::take_string(message)) };
                Err(Caught::CppException {
                    type_name: type_name.unwrap_or_default(),
                    message: message.unwrap_or_default(),
                })
            }
            Err(payload) => Err(described(payload, record)),
        }
    }
    run(function)
}

fn described(payload: Box<dyn Any + Send>, record: Option<Record>) -> Caught {
    let text = message_of(payload.as_ref()).map(str::to_owned);
    // A payload may panic when it is dropped; its second payload is then left alone.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    let (recorded, location) = record.map(|record| (record.message, record.location)).unzip();
    let message = text.or(recorded).unwrap_or_else(|| NO_TEXT.to_owned());
    Caught::Panic { message, location: location.flatten() }
}

const NO_TEXT: &str = "a panic whose payload is not text";

fn message_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Lets panics under a [`guard`] be recorded, with their location, instead of printed. Panics elsewhere go to the hook
/// that was there before, and so does a panic that follows an unreported one on the same thread, since that may be the
/// last thing the process says.
///
/// Each shared library has its own hook. Calls after the first do nothing.
pub fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return previous(info);
            }
            let record = Record {
                message: message_of(info.payload()).unwrap_or(NO_TEXT).to_owned(),
                location: info.location().map(ToString::to_string),
            };
            if exchange_record(Some(record)).is_some() {
                previous(info);
            }
        }));
    });
}
