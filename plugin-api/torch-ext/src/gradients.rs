//! The gradients of leaf tensors: computing, reading, setting, clearing to none, clipping, unscaling.

use std::ptr;

use tch::Tensor;

use crate::TorchError;
use crate::ffi;

/// Computes the gradients of `loss`, a scalar, and adds them to those that leaf tensors have, as tch's `f_backward`; but no
/// exception of C++ passes through, whatever its type. Only what a GPU's own thread throws, and is no `std::exception`, ends the
/// process all the same.
pub fn backward(loss: &Tensor) -> Result<(), TorchError> {
    // SAFETY: a live tensor.
    unsafe { ffi::check(ffi::kiwi_torch_backward(loss.as_ptr())) }
}

/// Scales the gradients of `parameters` down so that their total 2-norm is at most `max_norm`, and returns the norm from
/// before, as a scalar on their device. Nothing waits for the device. Parameters without a gradient count as zero; a sparse
/// gradient is coalesced and counts by the rows that it holds.
pub fn clip_grad_norm(parameters: &[Tensor], max_norm: f64) -> Result<Tensor, TorchError> {
    let pointers = ffi::pointers(parameters);
    let [mut out] = ffi::room::<1>();
    // SAFETY: as many live tensors as said; the shim writes an owned tensor to `out` when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_clip_grad_norm(
            pointers.as_ptr(),
            pointers.len(),
            max_norm,
            &raw mut out,
        ))?;
        Ok(ffi::own(out))
    }
}

/// A scalar: 0 if all gradients of `parameters` are finite, else the largest absolute value, which is not. Nothing waits for another
/// device than the CPU, and no gradient is changed. Of a sparse gradient the rows that it holds count.
pub fn not_finite(parameters: &[Tensor]) -> Result<Tensor, TorchError> {
    let pointers = ffi::pointers(parameters);
    let [mut out] = ffi::room::<1>();
    // SAFETY: as many live tensors as said; the shim writes an owned tensor to `out` when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_gradients_not_finite(pointers.as_ptr(), pointers.len(), &raw mut out))?;
        Ok(ffi::own(out))
    }
}

/// Divides the gradients of `parameters` by `scale`. Returns a scalar on their device, 1 if one of them is not finite, else 0; nothing
/// waits for the device.
pub fn unscale(parameters: &[Tensor], scale: f64) -> Result<Tensor, TorchError> {
    let pointers = ffi::pointers(parameters);
    let [mut out] = ffi::room::<1>();
    // SAFETY: as many live tensors as said; the shim writes an owned tensor to `out` when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_unscale_gradients(
            pointers.as_ptr(),
            pointers.len(),
            scale,
            &raw mut out,
        ))?;
        Ok(ffi::own(out))
    }
}

/// Takes the gradients off `tensors`, whose memory is freed: not zero but none.
pub fn clear_gradients(tensors: &[Tensor]) -> Result<(), TorchError> {
    let pointers = ffi::pointers(tensors);
    // SAFETY: as many live tensors as said.
    unsafe { ffi::check(ffi::kiwi_torch_clear_gradients(pointers.as_ptr(), pointers.len())) }
}

/// The gradient of a tensor, if it has one. It shares the memory of what backward accumulates into.
pub fn gradient(tensor: &Tensor) -> Result<Option<Tensor>, TorchError> {
    let [mut out] = ffi::room::<1>();
    // SAFETY: a live tensor; the shim writes null or an owned tensor to `out` when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_gradient(tensor.as_ptr(), &raw mut out))?;
        Ok(if out.is_null() { None } else { Some(ffi::own(out)) })
    }
}

/// Replaces the gradient of a tensor, which must be of its shape, type and device.
pub fn set_gradient(tensor: &Tensor, gradient: Option<&Tensor>) -> Result<(), TorchError> {
    let gradient = gradient.map_or(ptr::null(), Tensor::as_ptr);
    // SAFETY: live tensors, the second may be null.
    unsafe { ffi::check(ffi::kiwi_torch_set_gradient(tensor.as_ptr(), gradient)) }
}

/// Says whether backward shall compute the gradient of a leaf tensor of a floating-point type.
pub fn set_requires_grad(tensor: &Tensor, requires_grad: bool) -> Result<(), TorchError> {
    // SAFETY: a live tensor.
    unsafe { ffi::check(ffi::kiwi_torch_set_requires_grad(tensor.as_ptr(), requires_grad)) }
}
