//! Calls of plugins that take long are told of: one that never ends would otherwise look like a program that hangs.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kiwi_plugin_api::abi::host::{CallUnderWay, Phase, call_under_way};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a plugin may open before it is told of.
const OPENING: Duration = Duration::from_secs(5);
/// How long any other call may take.
const CALL: Duration = Duration::from_secs(120);

static OVER: AtomicBool = AtomicBool::new(false);

/// Tells of calls that take long, from now on and until [`over`].
///
/// # Errors
/// When the operating system gives no more threads.
pub(crate) fn watch() -> io::Result<()> {
    OVER.store(false, Ordering::Relaxed);
    thread::Builder::new().name("patience".to_owned()).spawn(|| {
        let mut watched: Option<(u64, Instant)> = None;
        while !OVER.load(Ordering::Relaxed) {
            let call = call_under_way();
            watched = match (call, watched) {
                (None, _) => None,
                (Some(call), Some((number, since))) if call.number == number => {
                    let (before, now) = (since.elapsed().saturating_sub(PAUSE), since.elapsed());
                    if (before..now).contains(&limit(call.phase)) {
                        // Standard error that is closed must not keep the process.
                        let _ = io::stderr().write_all(told(&call).as_bytes());
                    }
                    Some((number, since))
                }
                (Some(call), _) => Some((call.number, Instant::now())),
            };
            thread::sleep(PAUSE);
        }
    })?;
    Ok(())
}

/// The work is done.
pub(crate) fn over() {
    OVER.store(true, Ordering::Relaxed);
}

fn limit(phase: Phase) -> Duration {
    if phase == Phase::Open { OPENING } else { CALL }
}

fn told(call: &CallUnderWay) -> String {
    let CallUnderWay { plugin, class, phase, .. } = call;
    let seconds = limit(*phase).as_secs();
    match class.is_empty() {
        true => format!(
            "the plugin `{plugin}` has not finished opening for {seconds} seconds: something in its file runs before it is asked for \
             anything; Ctrl-C ends the program\n"
        ),
        false => format!(
            "`{class}` of the plugin `{plugin}` has been in {phase} for {seconds} seconds; Ctrl-C twice ends the program\n"
        ),
    }
}
