//! Signals that ask a run to end, until the engine takes care of them: there is nothing to save yet, and the program ends with the exit
//! code that says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag::register_conditional_shutdown;

/// Whether a signal ends the program here and now.
static ARMED: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// Has signals end the program.
pub(crate) fn end_the_program() -> Result<(), Failure> {
    for signal in [SIGTERM, SIGINT, SIGUSR1] {
        let code = ExitCode::Interrupted.number();
        register_conditional_shutdown(signal, code, Arc::clone(&ARMED)).map_err(|error| {
            let error = Diagnostic::error(format!("signals cannot be taken care of: {error}"));
            Failure::new(ExitCode::RunFailed, error)
        })?;
    }
    Ok(())
}

/// The engine does what is to be done from now on.
pub(crate) fn leave_to_the_engine() {
    ARMED.store(false, Ordering::SeqCst);
}
