//! Automatic mixed precision for a scope, on the CPU or on CUDA devices.

use std::marker::PhantomData;

use tch::Kind;

use crate::TorchError;
use crate::ffi::{self, RawAutocast};

/// While it lives, operations of this thread that gain from it compute in a shorter type. When it is dropped, autocast
/// is as it was before, and with the outermost one the cache of cast parameters is emptied.
#[derive(Debug)]
#[must_use = "autocast ends when this is dropped"]
pub struct Autocast {
    previous: RawAutocast,
    /// It belongs to the thread that made it.
    of_thread: PhantomData<*const ()>,
}

/// libtorch's numbers of device types.
const CPU: i8 = 0;
const CUDA: i8 = 1;

impl Autocast {
    /// Autocast on the CPU, to `BFloat16` or `Half`.
    pub fn cpu(kind: Kind) -> Result<Self, TorchError> {
        Self::new(CPU, kind)
    }

    /// Autocast on CUDA devices, to `BFloat16` or `Half`.
    pub fn cuda(kind: Kind) -> Result<Self, TorchError> {
        Self::new(CUDA, kind)
    }

    fn new(device: i8, kind: Kind) -> Result<Self, TorchError> {
        let number = match kind {
            Kind::Half => 5,
            Kind::BFloat16 => 15,
            other => {
                return Err(TorchError(format!("autocast to {other:?}, expected BFloat16 or Half")));
            }
        };
        let mut previous = RawAutocast::default();
        // SAFETY: `previous` is of the layout that the shim writes; the numbers are a device type and a scalar type.
        unsafe { ffi::check(ffi::kiwi_torch_autocast_enter(device, number, &raw mut previous))? };
        Ok(Self { previous, of_thread: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: `previous` was written by the shim on this thread. What could fail here has succeeded before.
        let _ = unsafe { ffi::check(ffi::kiwi_torch_autocast_leave(&raw const self.previous)) };
    }
}
