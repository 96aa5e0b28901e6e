//! The way out to the program: complaints for standard error, data for standard output.

use std::ffi::c_void;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::request::Message;

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

    fn message(&self, message: &Message) {
        // A message holds strings and numbers only: it can always be written.
        let Ok(json) = serde_json::to_vec(message) else { return };
        // SAFETY: `new` was promised that `send` is callable with `context`; the bytes live during the call.
        unsafe { (self.send)(self.context, json.as_ptr(), json.len()) }
    }
}
