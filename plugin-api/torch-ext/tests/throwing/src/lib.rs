//! C++ functions that throw, and a tensor that tch cannot make, for the tests of kiwi-torch-ext and of the host: a crate of its own so that nobody else compiles them.
//! Whoever calls one of them outside a guard loses the process.

use std::ffi::c_void;

use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C-unwind" {
    fn throwing_runtime_error();
    fn throwing_int();
    fn throwing_string();
    fn throwing_unprintable();
    fn throwing_product(a: *const C_tensor, b: *const C_tensor);
    fn throwing_in_backward(x: *const C_tensor) -> *mut C_tensor;
    fn throwing_on_meta(like: *const C_tensor) -> *mut C_tensor;
    fn throwing_uncaught_exceptions() -> i32;
    fn throwing_in_handler(call: extern "C-unwind" fn(*mut c_void), data: *mut c_void) -> bool;
}

/// Throws a `std::runtime_error`.
pub fn runtime_error() {
    // SAFETY: takes nothing; it unwinds, which its declaration allows.
    unsafe { throwing_runtime_error() }
}

/// Throws the `int` 42.
pub fn int() {
    // SAFETY: takes nothing; it unwinds, which its declaration allows.
    unsafe { throwing_int() }
}

/// Throws a `std::string`.
pub fn string() {
    // SAFETY: takes nothing; it unwinds, which its declaration allows.
    unsafe { throwing_string() }
}

/// Throws a value of an empty type called `Unprintable`.
pub fn unprintable() {
    // SAFETY: takes nothing; it unwinds, which its declaration allows.
    unsafe { throwing_unprintable() }
}

/// Multiplies two matrices: throws a `c10::Error` if they do not fit.
pub fn product(a: &Tensor, b: &Tensor) {
    // SAFETY: live tensors; it unwinds, which its declaration allows.
    unsafe { throwing_product(a.as_ptr(), b.as_ptr()) }
}

/// The same as `x`; its backward throws the `int` 42.
pub fn in_backward(x: &Tensor) -> Tensor {
    // SAFETY: a live tensor going in, and an owned one coming out that nobody else has.
    unsafe { Tensor::from_ptr(throwing_in_backward(x.as_ptr())) }
}

/// A tensor like `like` that has no memory: on libtorch's device `meta`.
pub fn on_meta(like: &Tensor) -> Tensor {
    // SAFETY: a live tensor going in, and an owned one coming out that nobody else has.
    unsafe { Tensor::from_ptr(throwing_on_meta(like.as_ptr())) }
}

/// How many exceptions of this thread the C++ runtime takes to be on their way.
pub fn uncaught_exceptions() -> i32 {
    // SAFETY: takes nothing.
    unsafe { throwing_uncaught_exceptions() }
}

/// Runs `function` from within a C++ exception handler: whether that handler's exception is still the current one
/// afterwards.
pub fn in_handler<F: FnMut()>(mut function: F) -> bool {
    extern "C-unwind" fn call<F: FnMut()>(data: *mut c_void) {
        // SAFETY: the address of `function` below, which is not used meanwhile.
        unsafe { (*data.cast::<F>())() }
    }
    // SAFETY: `call::<F>` gets the closure that it expects, alive for the whole call.
    unsafe { throwing_in_handler(call::<F>, (&raw mut function).cast()) }
}
