//! libtorch's random number generators: seeding them all, and the state of the CPU's.

use tch::Tensor;

use crate::TorchError;
use crate::ffi;

/// Seeds the default generators of all devices.
pub fn manual_seed(seed: u64) -> Result<(), TorchError> {
    // SAFETY: takes a number and no pointer.
    unsafe { ffi::check(ffi::kiwi_torch_manual_seed(seed)) }
}

/// The whole state of the default CPU generator, as bytes.
pub fn cpu_generator_state() -> Result<Tensor, TorchError> {
    let [mut out] = ffi::room::<1>();
    // SAFETY: the shim writes an owned tensor to `out` when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_cpu_generator_state(&raw mut out))?;
        Ok(ffi::own(out))
    }
}

/// Puts the default CPU generator into a state that [`cpu_generator_state`] gave.
pub fn set_cpu_generator_state(state: &Tensor) -> Result<(), TorchError> {
    // SAFETY: a live tensor; libtorch checks type and size before it reads it.
    unsafe { ffi::check(ffi::kiwi_torch_set_cpu_generator_state(state.as_ptr())) }
}
