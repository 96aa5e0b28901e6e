//! The C++ functions that throw.

unsafe extern "C-unwind" {
    fn kiwi_misbehaving_throw_int();
    fn kiwi_misbehaving_throw_runtime_error();
}

/// Throws the `int` 42.
pub(crate) fn int() {
    // SAFETY: takes nothing; it unwinds, which its declaration allows.
    unsafe { kiwi_misbehaving_throw_int() }
}

/// Throws a `std::runtime_error`.
pub(crate) fn runtime_error() {
    // SAFETY: takes nothing; it unwinds, which its declaration allows.
    unsafe { kiwi_misbehaving_throw_runtime_error() }
}
