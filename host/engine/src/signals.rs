//! Signals that ask a run to end: `SIGTERM` and `SIGINT` by people and schedulers, `SIGUSR1` by schedulers as a warning ahead. The
//! first lets a run save where it is, and the second ends the process at once.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use kiwi_core::exit_code::ExitCode;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// The first signal that came; 0 for none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// Whether somebody looks for signals, and so saves what there is to save.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// Whether training is over and its results are on the disk.
static DONE: AtomicBool = AtomicBool::new(false);
/// Whether the disk has a point to resume from.
static RESUMABLE: AtomicBool = AtomicBool::new(false);

/// What the process does, as its messages call it.
static WORK: OnceLock<&'static str> = OnceLock::new();

/// The signals that are taken care of.
pub(crate) const NAMES: [&str; 3] = ["SIGTERM", "SIGINT", "SIGUSR1"];

/// Takes care of signals from now on: until [`watch`] the first ends the process, since there is nothing to save.
///
/// # Errors
/// When the operating system refuses.
pub(crate) fn install() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let first = RECEIVED.swap(signal, Ordering::SeqCst) == 0;
            if first && WATCHED.load(Ordering::SeqCst) && !DONE.load(Ordering::SeqCst) {
                continue;
            }
            leave(name(signal), first);
        }
    })?;
    Ok(())
}

/// Names what the process does; without it that is training.
pub(crate) fn call_it(work: &'static str) {
    // Who comes second says the same.
    let _ = WORK.set(work);
}

/// Ends the process without anything that could wait.
fn leave(signal: &str, first: bool) {
    let work = WORK.get().unwrap_or(&"training");
    if DONE.load(Ordering::SeqCst) {
        let _ = writeln!(
            io::stderr(),
            "interrupted by {signal} after {work} was done and its results were saved"
        );
        low_level::exit(ExitCode::Success.number());
    }
    let (code, rest) = match (first, RESUMABLE.load(Ordering::SeqCst)) {
        (true, false) => {
            let rest = format!("before {work} began: nothing is lost, and there is nothing to save");
            (ExitCode::Interrupted, rest)
        }
        (true, true) => (
            ExitCode::InterruptedResumable,
            format!("before {work} went on: it can be resumed as before, by --resume"),
        ),
        (false, true) => (
            ExitCode::InterruptedResumable,
            "again, without saving anything more: --resume goes on from the last resume point".to_owned(),
        ),
        (false, false) => (ExitCode::Interrupted, "again, without saving anything".to_owned()),
    };
    // Standard error that is closed must not keep the process.
    let _ = writeln!(io::stderr(), "interrupted by {signal} {rest}");
    low_level::exit(code.number());
}

/// From now on somebody asks [`received`], at least once a batch.
pub(crate) fn watch() {
    WATCHED.store(true, Ordering::SeqCst);
}

/// Training is over and its results are on the disk: nothing that is left to do is worth waiting for.
pub(crate) fn done() {
    DONE.store(true, Ordering::SeqCst);
}

/// There is a point on the disk to resume from.
pub(crate) fn resumable() {
    RESUMABLE.store(true, Ordering::SeqCst);
}

/// Whether there is a point on the disk to resume from.
pub(crate) fn is_resumable() -> bool {
    RESUMABLE.load(Ordering::SeqCst)
}

/// The signal that asks the run to end, if one came.
pub(crate) fn received() -> Option<&'static str> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(name(signal)),
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        SIGTERM => NAMES[0],
        SIGINT => NAMES[1],
        SIGUSR1 => NAMES[2],
        _ => "a signal",
    }
}
