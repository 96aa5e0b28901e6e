//! What ends the process, or outlives its work.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kiwi_plugin_api::prelude::*;

/// Calls of a component's work before it ends the process: an epoch of a test and its validation, and those that are tried before.
const A_WHILE: u64 = 16;

static KEPT: Mutex<Vec<Tensor>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

/// Ends the process by `exit(0)`, as if all were well, after a while.
pub(crate) fn exit_after_a_while() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed) >= A_WHILE {
        std::process::exit(0);
    }
}

/// Writes to memory that is not there.
pub(crate) fn crash() {
    // SAFETY: none. Nothing is mapped at this address, and the system ends the process.
    unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) }
}

/// Calls itself until there is no more room for it.
#[expect(unconditional_recursion, reason = "that is what is asked for")]
pub(crate) fn overflow(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    room[1].wrapping_add(overflow(std::hint::black_box(depth + 1)))
}

/// Computes on a thread of its own for as long as there is a process.
pub(crate) fn compute_for_ever() {
    std::thread::spawn(|| {
        loop {
            let one = Tensor::ones([64, 64], (Kind::Float, Device::Cpu));
            log::debug(format!("still there: {}", one.matmul(&one).double_value(&[0, 0])));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
}

/// Crashes when the process ends.
pub(crate) fn crash_at_exit() {
    extern "C" fn at_exit() {
        crash();
    }
    // SAFETY: the function stays loaded, since plugins are never unloaded.
    let _ = unsafe { atexit(at_exit) };
}

/// The handle that was lent, as if it were the component's own.
pub(crate) fn as_if_owned(lent: &Tensor) -> Tensor {
    // SAFETY: none. Two tensors have one handle, and both free it.
    unsafe { Tensor::from_ptr(lent.as_ptr().cast_mut()) }
}

/// Keeps a tensor for as long as there is a process.
pub(crate) fn keep(tensor: Tensor) {
    if let Ok(mut kept) = KEPT.lock() {
        kept.push(tensor);
    }
}
