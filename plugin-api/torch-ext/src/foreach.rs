//! The same operation over each item of a list of tensors, in few kernels: what optimizers are written with.
//!
//! A name that ends in `_` changes its first list in place, although it is borrowed. Nothing is recorded for backward.
//! An empty list is no error. `tch` has the single-tensor forms of all of these.

use tch::Tensor;

use crate::TorchError;
use crate::ffi::{self, Message, Pointers};

type Two = unsafe extern "C" fn(Pointers, Pointers, usize) -> Message;
type TwoScaled = unsafe extern "C" fn(Pointers, Pointers, usize, f64) -> Message;
type ThreeScaled = unsafe extern "C" fn(Pointers, Pointers, Pointers, usize, f64) -> Message;

/// `a += alpha * b`.
pub fn add_(a: &[Tensor], b: &[Tensor], alpha: f64) -> Result<(), TorchError> {
    two_scaled("add_", ffi::kiwi_torch_foreach_add, a, b, alpha)
}

/// `a += value`.
pub fn add_scalar_(a: &[Tensor], value: f64) -> Result<(), TorchError> {
    if a.is_empty() {
        return Ok(());
    }
    // SAFETY: as many live tensors as said.
    unsafe { ffi::check(ffi::kiwi_torch_foreach_add_scalar(ffi::pointers(a).as_ptr(), a.len(), value)) }
}

/// `a *= b`.
pub fn mul_(a: &[Tensor], b: &[Tensor]) -> Result<(), TorchError> {
    two("mul_", ffi::kiwi_torch_foreach_mul, a, b)
}

/// `a *= value`.
pub fn mul_scalar_(a: &[Tensor], value: f64) -> Result<(), TorchError> {
    if a.is_empty() {
        return Ok(());
    }
    // SAFETY: as many live tensors as said.
    unsafe { ffi::check(ffi::kiwi_torch_foreach_mul_scalar(ffi::pointers(a).as_ptr(), a.len(), value)) }
}

/// `a /= b`.
pub fn div_(a: &[Tensor], b: &[Tensor]) -> Result<(), TorchError> {
    two("div_", ffi::kiwi_torch_foreach_div, a, b)
}

/// `a = max(a, b)`.
pub fn maximum_(a: &[Tensor], b: &[Tensor]) -> Result<(), TorchError> {
    two("maximum_", ffi::kiwi_torch_foreach_maximum, a, b)
}

/// `a = b`.
pub fn copy_(a: &[Tensor], b: &[Tensor]) -> Result<(), TorchError> {
    two("copy_", ffi::kiwi_torch_foreach_copy, a, b)
}

/// `a += weight * (end - a)`.
pub fn lerp_(a: &[Tensor], end: &[Tensor], weight: f64) -> Result<(), TorchError> {
    two_scaled("lerp_", ffi::kiwi_torch_foreach_lerp, a, end, weight)
}

/// `a += value * b * c`.
pub fn addcmul_(a: &[Tensor], b: &[Tensor], c: &[Tensor], value: f64) -> Result<(), TorchError> {
    three_scaled("addcmul_", ffi::kiwi_torch_foreach_addcmul, a, b, c, value)
}

/// `a += value * b / c`.
pub fn addcdiv_(a: &[Tensor], b: &[Tensor], c: &[Tensor], value: f64) -> Result<(), TorchError> {
    three_scaled("addcdiv_", ffi::kiwi_torch_foreach_addcdiv, a, b, c, value)
}

/// `a = 0`.
pub fn zero_(a: &[Tensor]) -> Result<(), TorchError> {
    if a.is_empty() {
        return Ok(());
    }
    // SAFETY: as many live tensors as said.
    unsafe { ffi::check(ffi::kiwi_torch_foreach_zero(ffi::pointers(a).as_ptr(), a.len())) }
}

/// The absolute values.
pub fn abs(a: &[Tensor]) -> Result<Vec<Tensor>, TorchError> {
    new_list(a, |a, n, out| {
        // SAFETY: `new_list` passes as many live tensors as it says, and as much room.
        unsafe { ffi::kiwi_torch_foreach_abs(a, n, out) }
    })
}

/// The square roots.
pub fn sqrt(a: &[Tensor]) -> Result<Vec<Tensor>, TorchError> {
    new_list(a, |a, n, out| {
        // SAFETY: `new_list` passes as many live tensors as it says, and as much room.
        unsafe { ffi::kiwi_torch_foreach_sqrt(a, n, out) }
    })
}

/// The norm of each tensor, as scalars; `order` is 2 for the Euclidean, infinity for the largest absolute value.
pub fn norm(a: &[Tensor], order: f64) -> Result<Vec<Tensor>, TorchError> {
    new_list(a, |a, n, out| {
        // SAFETY: `new_list` passes as many live tensors as it says, and as much room.
        unsafe { ffi::kiwi_torch_foreach_norm(a, n, order, out) }
    })
}

fn new_list(
    a: &[Tensor],
    run: impl FnOnce(Pointers, usize, ffi::Out) -> Message,
) -> Result<Vec<Tensor>, TorchError> {
    if a.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![std::ptr::null_mut(); a.len()];
    let message = run(ffi::pointers(a).as_ptr(), a.len(), out.as_mut_ptr());
    // SAFETY: `run` calls one function of the shim, which fills `out` with owned tensors when it succeeds.
    unsafe {
        ffi::check(message)?;
        Ok(out.into_iter().map(|tensor| ffi::own(tensor)).collect())
    }
}

fn two(name: &str, run: Two, a: &[Tensor], b: &[Tensor]) -> Result<(), TorchError> {
    if same_length(name, a, b)? == 0 {
        return Ok(());
    }
    let (one, other) = (ffi::pointers(a), ffi::pointers(b));
    // SAFETY: both lists are of the length said, of live tensors.
    unsafe { ffi::check(run(one.as_ptr(), other.as_ptr(), a.len())) }
}

fn two_scaled(name: &str, run: TwoScaled, a: &[Tensor], b: &[Tensor], scale: f64) -> Result<(), TorchError> {
    if same_length(name, a, b)? == 0 {
        return Ok(());
    }
    let (one, other) = (ffi::pointers(a), ffi::pointers(b));
    // SAFETY: both lists are of the length said, of live tensors.
    unsafe { ffi::check(run(one.as_ptr(), other.as_ptr(), a.len(), scale)) }
}

fn three_scaled(
    name: &str,
    run: ThreeScaled,
    a: &[Tensor],
    b: &[Tensor],
    c: &[Tensor],
    scale: f64,
) -> Result<(), TorchError> {
    same_length(name, a, b)?;
    if same_length(name, a, c)? == 0 {
        return Ok(());
    }
    let (first, second, third) = (ffi::pointers(a), ffi::pointers(b), ffi::pointers(c));
    // SAFETY: all three lists are of the length said, of live tensors.
    unsafe { ffi::check(run(first.as_ptr(), second.as_ptr(), third.as_ptr(), a.len(), scale)) }
}

fn same_length(name: &str, a: &[Tensor], b: &[Tensor]) -> Result<usize, TorchError> {
    if a.len() == b.len() {
        return Ok(a.len());
    }
    Err(TorchError(format!(
        "foreach::{name}: lists of {} and {} tensors, expected equal lengths",
        a.len(),
        b.len()
    )))
}
