//! The end of the process in the middle of its work: by a crash, by `abort`, by `exit` of a library. It is told which plugin was being
//! called, what is on its way to the disk gets there, and a crash is left to whoever took care of it before.
//!
//! What runs in signal handlers here takes no lock and allocates nothing: a message is put together in an array and written as a
//! whole. The `unsafe` of this file is the C library's: handlers of signals and of `exit`, and ending without the latter.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::abi::host::{CallUnderWay, Phase, call_under_way};

use crate::signals;

mod text;

use text::Text;

/// Signals that end a process in the middle of an instruction, with what people call them.
const CRASHES: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "it used memory that is not its own (SIGSEGV)"),
    (libc::SIGBUS, "it used memory that is not there (SIGBUS)"),
    (libc::SIGILL, "it ran into an instruction that this processor does not have (SIGILL)"),
    (libc::SIGFPE, "it divided whole numbers by zero (SIGFPE)"),
    (libc::SIGABRT, "it called abort (SIGABRT)"),
];
/// What is said where there is a point on the disk to resume from.
const WAY_ON: &str = "  note: once the cause is gone, go on from the last resume point by --resume\n";
/// Bytes of the stack that handlers run on: the one that Rust gives a thread is too small for the texts that are put together there.
const STACK: usize = 1 << 16;
/// For how long what is being written may take to get to the disk.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at whether it is there.
const PAUSE: Duration = Duration::from_millis(10);

/// What took care of each of [`CRASHES`] before.
static BEFORE: [OnceLock<libc::sigaction>; CRASHES.len()] = [const { OnceLock::new() }; CRASHES.len()];
/// The thread that calls plugins.
static THREAD: AtomicI32 = AtomicI32::new(0);
/// The command, as `train`.
static COMMAND: OnceLock<&'static str> = OnceLock::new();
/// The exit code of the work that is done; -1 before.
static DONE: AtomicI32 = AtomicI32::new(-1);
/// The log of the run, if it has one.
static LOG: AtomicI32 = AtomicI32::new(-1);
/// Whether something is on its way to the disk.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);
/// Whether an end was told of.
static TOLD: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}

/// Takes care of such ends from now on, for a command such as `train` whose plugins this thread calls. libtorch is loaded by now, so
/// that its own exit handlers come later.
pub(crate) fn take_care(command: &'static str) {
    // SAFETY: it takes nothing and only returns a number.
    THREAD.store(unsafe { libc::gettid() }, Ordering::SeqCst);
    DONE.store(-1, Ordering::SeqCst);
    if COMMAND.set(command).is_err() {
        return;
    }
    let stack = Box::leak(vec![0_u8; STACK].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK };
    // SAFETY: memory of that size that nothing else uses and that is never freed. Without it the thread keeps the stack it has.
    let _ = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    for ((signal, _), before) in CRASHES.iter().zip(&BEFORE) {
        // SAFETY: a `sigaction` of zeros is one: no handler, no flags, an empty set.
        let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
        new.sa_sigaction = crashed as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        // On a stack of its own where the thread has one: the thread's may be what ran out.
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: both are valid, and the handler is of the form that `SA_SIGINFO` asks for. What was there before is kept before the
        // handler can run for want of it: where it is missing, the handler falls back on the system's own.
        if unsafe { libc::sigaction(*signal, &raw const new, &raw mut old) } == 0 {
            before.get_or_init(|| old);
        }
    }
    // SAFETY: the function stays loaded, as this library does, and takes a null pointer.
    let _ = unsafe { on_exit(exited, ptr::null_mut()) };
}

/// The work is done, with this exit code: what happens now is no end in the middle.
pub(crate) fn done(code: i32) {
    DONE.store(code, Ordering::SeqCst);
}

/// Has the last words written into this file as well.
pub(crate) fn log_to(file: &File) {
    // Held open for ever: a handler cannot ask whether it still is.
    if let Ok(copy) = file.try_clone() {
        LOG.store(copy.into_raw_fd(), Ordering::SeqCst);
    }
}

/// Whether something is on its way to the disk, which is waited for at a sudden end.
pub(crate) fn set_unwritten(unwritten: bool) {
    UNWRITTEN.store(unwritten, Ordering::SeqCst);
}

/// The handler of [`CRASHES`].
extern "C" fn crashed(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let place = CRASHES.iter().position(|(known, _)| *known == signal);
    let (what, before) = match place {
        Some(place) => (CRASHES[place].1, BEFORE[place].get()),
        None => ("it crashed", None),
    };
    // Whatever happens from here on, a second crash is not taken care of here.
    // SAFETY: a `sigaction` of zeros is the system's own way with a signal.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    let old = before.unwrap_or(&default);
    // SAFETY: `old` is valid: zeros, or what the system gave; where the new one would go is null.
    let _ = unsafe { libc::sigaction(signal, old, ptr::null_mut()) };

    let done = DONE.load(Ordering::SeqCst);
    if done >= 0 {
        // Everything is written and said: an exit handler or a thread of a library is at fault, and spoils nothing.
        let mut text = Text::new();
        text.add("warning[W0612]: a library crashed while the program ended, after its work was done: ")
            .add(what)
            .next_line();
        write(libc::STDERR_FILENO, text.as_str());
        // SAFETY: it takes a number and does not return.
        unsafe { libc::_exit(done) }
    }
    // What took care of it before may call `abort`: an end is told once.
    if !TOLD.swap(true, Ordering::SeqCst) {
        tell_of_crash(what);
        finish_writing();
        if signals::is_resumable() {
            write(libc::STDERR_FILENO, WAY_ON);
        }
    }
    // SAFETY: the system hands a valid record to a handler that asks for one, as `SA_SIGINFO` does.
    let code = unsafe { info.as_ref() }.map_or(0, |info| info.si_code);
    // What came by an instruction comes again as soon as this returns, and goes to who took care of it before. What was sent does
    // not, but for that of `abort`.
    if code <= 0 {
        // SAFETY: it takes a number; the signal is blocked until this returns.
        let _ = unsafe { libc::raise(signal) };
    }
}

fn tell_of_crash(what: &str) {
    // SAFETY: it takes nothing and only returns a number.
    let thread = unsafe { libc::gettid() };
    let mut text = Text::new();
    match call_under_way() {
        Some(call) => {
            text.add("error[E0308]: ").add_caller(&call);
            if thread == THREAD.load(Ordering::SeqCst) {
                text.add(" crashed in ").add(call.phase.name()).add(": ").add(what);
            } else {
                text.add(" was in ").add(call.phase.name()).add(" when another thread crashed: ").add(what);
            }
            text.next_line().add_fault_of(&call);
        }
        None => {
            text.add("error[E0612]: the program crashed outside any call of a plugin: ").add(what);
        }
    }
    text.next_line();
    say(&text);
}

/// What `exit` calls.
extern "C" fn exited(status: c_int, _argument: *mut c_void) {
    let done = DONE.load(Ordering::SeqCst);
    if done >= 0 {
        // The exit handlers of libtorch are left out: they take away what threads of plugins may still use.
        // SAFETY: it writes what the C library's streams hold back.
        let _ = unsafe { libc::fflush(ptr::null_mut()) };
        // SAFETY: it takes a number and does not return.
        unsafe { libc::_exit(status) }
    }
    TOLD.store(true, Ordering::SeqCst);
    finish_writing();
    let call = call_under_way();
    let code = match call {
        Some(CallUnderWay { phase: Phase::Open, .. }) => ExitCode::Plugin,
        _ => ExitCode::RunFailed,
    };
    let mut message = Text::new();
    match &call {
        Some(call) => message.add_caller(call).add(" ended the process in ").add(call.phase.name()),
        None => message.add("a library ended the process outside any call of a plugin"),
    };
    message.add(", by exit with status ").add_number(status);
    let mut text = Text::new();
    text.add(if call.is_some() { "error[E0308]: " } else { "error[E0612]: " })
        .add(message.as_str())
        .next_line();
    if let Some(call) = &call {
        text.add_fault_of(call).next_line();
    }
    if signals::is_resumable() {
        text.add(WAY_ON);
    }
    text.add("kiwi-host ");
    if let Some(command) = COMMAND.get().filter(|command| !command.is_empty()) {
        text.add(command).add(" ");
    }
    text.add("failed with exit code ");
    text.add_number(code.number()).add(": ").add(message.as_str()).next_line();
    say(&text);
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(code.number()) }
}

/// Writes to standard error, and the first line to the log.
fn say(text: &Text) {
    write(libc::STDERR_FILENO, text.as_str());
    let log = LOG.load(Ordering::SeqCst);
    if log >= 0 {
        let first = text.as_str().lines().next().unwrap_or_default();
        let mut time = Text::new();
        write(log, time.add_time().add(" ERROR ").as_str());
        write(
            log,
            first.strip_prefix("error[").and_then(|rest| Some(rest.split_once("]: ")?.1)).unwrap_or(first),
        );
        write(log, "\n");
    }
}

fn write(file: c_int, text: &str) {
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        // SAFETY: as many readable bytes as said.
        let written = unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            // Nothing can be done where nothing can be written.
            Err(_) | Ok(0) => return,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
}

/// Waits, for as long as there is hope, until what is being written is on the disk.
fn finish_writing() {
    let mut waited = Duration::ZERO;
    while UNWRITTEN.load(Ordering::SeqCst) && waited < PATIENCE {
        std::thread::sleep(PAUSE);
        waited += PAUSE;
    }
}
