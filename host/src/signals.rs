//! Signals that ask a run to end, until the engine takes care of them, or who watches several processes: there is nothing to save yet, and the program ends with the exit
//! code that says so.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// Whether a signal ends the program here and now.
static ARMED: AtomicBool = AtomicBool::new(true);

/// Has signals end the program.
pub(crate) fn end_the_program() -> Result<(), Failure> {
    install().map_err(|error| {
        let error =
            Diagnostic::error(Code::MachineLimits, format!("signals cannot be taken care of: {error}"));
        Failure::new(ExitCode::RunFailed, error)
    })
}

fn install() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if ARMED.load(Ordering::SeqCst) {
                let name = low_level::signal_name(signal).unwrap_or("a signal");
                let message = "before training began: nothing is lost, and there is nothing to save";
                // Standard error that is closed must not keep the program.
                let _ = writeln!(io::stderr(), "interrupted by {name} {message}");
                low_level::exit(ExitCode::Interrupted.number());
            }
        }
    })?;
    Ok(())
}

/// Somebody else does what is to be done from now on: the engine, or who watches the processes of a run.
pub(crate) fn leave_to_others() {
    ARMED.store(false, Ordering::SeqCst);
}
