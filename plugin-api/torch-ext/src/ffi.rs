//! The functions of the C++ shim, and the conversions between its types and ours. Signatures are those of `cpp/*.cpp`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::TorchError;

/// A message, or null after success.
pub(crate) type Message = *mut c_char;
/// A list of borrowed tensors.
pub(crate) type Pointers = *const *const C_tensor;
/// Where the shim puts tensors that the caller then owns.
pub(crate) type Out = *mut *mut C_tensor;

/// The backward of a custom function, as C++ calls it: closure, saved tensors, gradients, results.
pub(crate) type BackwardCall =
    unsafe extern "C" fn(*const c_void, Out, usize, Out, usize, Out, usize) -> Message;

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RawState {
    pub(crate) dispatch_included: u64,
    pub(crate) dispatch_excluded: u64,
    pub(crate) cpu_seed: u64,
    pub(crate) cuda_device: i32,
    pub(crate) cpu_autocast_type: i8,
    pub(crate) cuda_autocast_type: i8,
    pub(crate) cpu_autocast: bool,
    pub(crate) cuda_autocast: bool,
    pub(crate) autocast_cache: bool,
    pub(crate) grad_mode: bool,
    pub(crate) inference_mode: bool,
    pub(crate) forward_grad_mode: bool,
    pub(crate) multithreading: bool,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RawFacts {
    pub(crate) elements: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) rank: i32,
    pub(crate) device_index: i16,
    pub(crate) device_type: i8,
    pub(crate) scalar_type: i8,
    pub(crate) defined: bool,
    pub(crate) dense: bool,
    pub(crate) leaf: bool,
    pub(crate) requires_grad: bool,
    pub(crate) overlaps: bool,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RawAutocast {
    pub(crate) device: i8,
    pub(crate) kind: i8,
    pub(crate) enabled: bool,
}

#[repr(C)]
pub(crate) struct RawAdam {
    pub(crate) learning_rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) epsilon: f64,
    pub(crate) amsgrad: bool,
    pub(crate) maximize: bool,
}

#[repr(C)]
pub(crate) struct RawSgd {
    pub(crate) learning_rate: f64,
    pub(crate) momentum: f64,
    pub(crate) dampening: f64,
    pub(crate) weight_decay: f64,
    pub(crate) nesterov: bool,
    pub(crate) maximize: bool,
    pub(crate) first_step: bool,
}

// The only function that unwinds: Rust panics pass through it.
unsafe extern "C-unwind" {
    pub(crate) fn kiwi_torch_guard(
        call: extern "C-unwind" fn(*mut c_void),
        data: *mut c_void,
        type_name: *mut Message,
        message: *mut Message,
    ) -> c_int;
}

unsafe extern "C" {
    pub(crate) fn kiwi_torch_string_new(text: *const c_char, length: usize) -> Message;
    fn kiwi_torch_string_free(text: Message);

    pub(crate) fn kiwi_torch_use_count(tensor: *const C_tensor) -> i64;

    pub(crate) fn kiwi_torch_state_capture(state: *mut RawState) -> Message;
    pub(crate) fn kiwi_torch_state_restore(state: *const RawState) -> Message;
    pub(crate) fn kiwi_torch_set_cuda_device(index: i32) -> Message;
    pub(crate) fn kiwi_torch_manual_seed(seed: u64) -> Message;
    pub(crate) fn kiwi_torch_cpu_generator_state(out: Out) -> Message;
    pub(crate) fn kiwi_torch_set_cpu_generator_state(state: *const C_tensor) -> Message;
    pub(crate) fn kiwi_torch_autocast_enter(device: i8, kind: i8, previous: *mut RawAutocast) -> Message;
    pub(crate) fn kiwi_torch_autocast_leave(previous: *const RawAutocast) -> Message;

    pub(crate) fn kiwi_torch_fused_adam(
        all: Pointers,
        n: usize,
        settings: *const RawAdam,
        decoupled: bool,
    ) -> Message;
    pub(crate) fn kiwi_torch_fused_sgd(all: Pointers, n: usize, settings: *const RawSgd) -> Message;
    pub(crate) fn kiwi_torch_foreach_add(this: Pointers, other: Pointers, n: usize, alpha: f64) -> Message;
    pub(crate) fn kiwi_torch_foreach_add_scalar(this: Pointers, n: usize, value: f64) -> Message;
    pub(crate) fn kiwi_torch_foreach_mul(this: Pointers, other: Pointers, n: usize) -> Message;
    pub(crate) fn kiwi_torch_foreach_mul_scalar(this: Pointers, n: usize, value: f64) -> Message;
    pub(crate) fn kiwi_torch_foreach_div(this: Pointers, other: Pointers, n: usize) -> Message;
    pub(crate) fn kiwi_torch_foreach_maximum(this: Pointers, other: Pointers, n: usize) -> Message;
    pub(crate) fn kiwi_torch_foreach_copy(this: Pointers, other: Pointers, n: usize) -> Message;
    pub(crate) fn kiwi_torch_foreach_lerp(this: Pointers, end: Pointers, n: usize, weight: f64) -> Message;
    pub(crate) fn kiwi_torch_foreach_addcmul(
        this: Pointers,
        one: Pointers,
        two: Pointers,
        n: usize,
        value: f64,
    ) -> Message;
    pub(crate) fn kiwi_torch_foreach_addcdiv(
        this: Pointers,
        one: Pointers,
        two: Pointers,
        n: usize,
        value: f64,
    ) -> Message;
    pub(crate) fn kiwi_torch_foreach_zero(this: Pointers, n: usize) -> Message;
    pub(crate) fn kiwi_torch_foreach_abs(this: Pointers, n: usize, out: Out) -> Message;
    pub(crate) fn kiwi_torch_foreach_sqrt(this: Pointers, n: usize, out: Out) -> Message;
    pub(crate) fn kiwi_torch_foreach_norm(this: Pointers, n: usize, order: f64, out: Out) -> Message;

    pub(crate) fn kiwi_torch_clip_grad_norm(
        parameters: Pointers,
        n: usize,
        max_norm: f64,
        out: Out,
    ) -> Message;
    pub(crate) fn kiwi_torch_gradients_not_finite(
        parameters: Pointers,
        n: usize,
        out: *mut *mut C_tensor,
    ) -> Message;
    pub(crate) fn kiwi_torch_unscale_gradients(
        parameters: Pointers,
        n: usize,
        scale: f64,
        out: Out,
    ) -> Message;
    pub(crate) fn kiwi_torch_clear_gradients(tensors: Pointers, n: usize) -> Message;
    pub(crate) fn kiwi_torch_gradient(tensor: *const C_tensor, out: Out) -> Message;
    pub(crate) fn kiwi_torch_set_gradient(tensor: *const C_tensor, gradient: *const C_tensor) -> Message;
    pub(crate) fn kiwi_torch_set_requires_grad(tensor: *const C_tensor, requires_grad: bool) -> Message;

    pub(crate) fn kiwi_torch_needs_graph(tensors: Pointers, n: usize) -> bool;
    pub(crate) fn kiwi_torch_attach_backward(
        inputs: Pointers,
        inputs_length: usize,
        outputs: Pointers,
        outputs_length: usize,
        saved: Pointers,
        saved_length: usize,
        closure: *mut c_void,
        backward: BackwardCall,
        drop: unsafe extern "C" fn(*mut c_void),
        out: Out,
    ) -> Message;
    pub(crate) fn kiwi_torch_backward(loss: *const C_tensor) -> Message;
    pub(crate) fn kiwi_torch_facts(tensor: *const C_tensor, facts: *mut RawFacts) -> Message;
    pub(crate) fn kiwi_torch_described(tensor: *const C_tensor) -> Message;
    pub(crate) fn kiwi_torch_projection_cross_entropy(
        input: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        gold: *const C_tensor,
        out: Out,
    ) -> Message;
    pub(crate) fn kiwi_torch_dropout_factors(
        rows: *const C_tensor,
        width: i64,
        probability: f64,
        kind: i8,
        out: Out,
    ) -> Message;
    pub(crate) fn kiwi_torch_lstm_both_ways(
        tensors: Pointers,
        batch_sizes: *const C_tensor,
        out: Out,
    ) -> Message;
    pub(crate) fn kiwi_torch_additive_attention(
        tensors: Pointers,
        query_starts: *const C_tensor,
        key_starts: *const C_tensor,
        key_rows: *const C_tensor,
        out: Out,
    ) -> Message;
}

/// Takes over a string that the shim allocated.
///
/// # Safety
/// `text` is null or a string of the shim that nobody else frees.
pub(crate) unsafe fn take_string(text: Message) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, so a NUL-terminated string of the shim; it is copied before it is freed, once.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        kiwi_torch_string_free(text);
        Some(copy)
    }
}

/// What a function of the shim returned, as a `Result`.
///
/// # Safety
/// `message` was just returned by a function of the shim.
pub(crate) unsafe fn check(message: Message) -> Result<(), TorchError> {
    // SAFETY: as the caller says, null or a string that is ours now.
    match unsafe { take_string(message) } {
        None => Ok(()),
        Some(text) => Err(TorchError(text)),
    }
}

/// The addresses of tensors, valid while the tensors are.
pub(crate) fn pointers(tensors: &[Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(Tensor::as_ptr).collect()
}

/// Room for `N` tensors of the shim.
pub(crate) fn room<const N: usize>() -> [*mut C_tensor; N] {
    [ptr::null_mut(); N]
}

/// Takes over a tensor that the shim handed out.
///
/// # Safety
/// `tensor` is not null and owned by nobody else.
pub(crate) unsafe fn own(tensor: *mut C_tensor) -> Tensor {
    // SAFETY: as the caller says.
    unsafe { Tensor::from_ptr(tensor) }
}

/// Gives a tensor to C++, which frees it.
pub(crate) fn disown(tensor: Tensor) -> *mut C_tensor {
    ManuallyDrop::new(tensor).as_mut_ptr()
}
