//! libtorch's generator belongs to the process, and tests of a process run side by side: whoever draws from it takes turns.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use kiwi_torch_ext::generator::manual_seed;

use crate::Result;

static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with libtorch's generators seeded, and keeps others that draw through this module from doing so meanwhile. Of calls
/// within one another each seeds anew.
///
/// # Errors
/// What `f` returns, or when libtorch cannot be seeded.
pub fn seeded<T>(seed: u64, f: impl FnOnce() -> Result<T>) -> Result<T> {
    struct End(bool);
    impl Drop for End {
        fn drop(&mut self) {
            HAS_TURN.set(self.0);
        }
    }
    // A test that panicked within its turn has left nothing that the next would see: that seeds first.
    let outer = HAS_TURN.get();
    let _turn = (!outer).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    let _end = End(outer);
    HAS_TURN.set(true);
    manual_seed(seed)?;
    f()
}
