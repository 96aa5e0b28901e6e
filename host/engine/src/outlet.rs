//! The way out to the program: complaints for standard error, data for standard output.

use std::ffi::c_void;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::plugin_check::Told;
use kiwi_core::request::Message;
use kiwi_plugin_api::abi::host::{Observation, observe};

/// The program's function for messages.
pub(crate) type Send = unsafe extern "C" fn(context: *mut c_void, message: *const u8, length: usize);

/// Sends messages to the program.
pub(crate) struct Outlet {
    send: Send,
    context: *mut c_void,
}

impl Outlet {
    /// # Safety
    /// `send` must be callable with `context` for as long as the outlet lives.
    pub(crate) unsafe fn new(send: Send, context: *mut c_void) -> Self {
        Self { send, context }
    }

    /// Complaints, to be printed; nothing if there are none.
    pub(crate) fn diagnostics(&self, diagnostics: Vec<Diagnostic>) {
        if !diagnostics.is_empty() {
            self.message(&Message::Diagnostics(diagnostics));
        }
    }

    /// A line of data.
    pub(crate) fn data(&self, line: String) {
        self.message(&Message::Data(line));
    }

    /// From now on the engine takes care of signals.
    pub(crate) fn signals_taken(&self) {
        self.message(&Message::SignalsTaken);
    }

    /// What checking a plugin has to tell, as a line of data.
    pub(crate) fn told(&self, told: &Told) {
        // It holds strings and numbers only: it can always be written.
        if let Ok(line) = serde_json::to_string(told) {
            self.data(line);
        }
    }

    /// Runs `f`, and tells what components are called for whenever that is something else than before: whoever hears it knows what
    /// was going on if the process ends.
    pub(crate) fn telling_phases<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: the observer that owns this second way out is dropped before this function returns, and with it the way.
        let second = unsafe { Self::new(self.send, self.context) };
        let mut last = None;
        let observing = observe(Box::new(move |observation| {
            if let Observation::Entering { phase, .. } = observation
                && last != Some(*phase)
            {
                last = Some(*phase);
                second.told(&Told::Phase { phase: phase.to_string() });
            }
        }));
        let result = f();
        drop(observing);
        result
    }

    fn message(&self, message: &Message) {
        // A message holds strings and numbers only: it can always be written.
        let Ok(json) = serde_json::to_vec(message) else { return };
        // SAFETY: `new` was promised that `send` is callable with `context`; the bytes live during the call.
        unsafe { (self.send)(self.context, json.as_ptr(), json.len()) }
    }
}
