//! The functions of the C++ shim, as one table under one name: the linker keeps and shows only what Rust names. Signatures are those of
//! `cpp/nccl.cpp`; `kiwi-distributed` reads the table by a declaration of its own, in `nccl.rs`.

use std::ffi::{c_char, c_void};

type Message = *mut c_char;
type Tensors = *const *const c_void;

unsafe extern "C" {
    fn kiwi_nccl_join(place: *const c_void, out: *mut *mut c_void) -> Message;
    fn kiwi_nccl_leave(group: *mut c_void);
    fn kiwi_nccl_all_reduce(group: *mut c_void, tensors: Tensors, count: usize, largest: bool) -> Message;
    fn kiwi_nccl_broadcast(group: *mut c_void, tensors: Tensors, count: usize, from: i32) -> Message;
    fn kiwi_nccl_free(memory: *mut c_void);
}

/// All functions, and the version of the table.
#[repr(C)]
pub(crate) struct Table {
    version: u32,
    join: unsafe extern "C" fn(*const c_void, *mut *mut c_void) -> Message,
    leave: unsafe extern "C" fn(*mut c_void),
    all_reduce: unsafe extern "C" fn(*mut c_void, Tensors, usize, bool) -> Message,
    broadcast: unsafe extern "C" fn(*mut c_void, Tensors, usize, i32) -> Message,
    free: unsafe extern "C" fn(*mut c_void),
}

/// What is looked for in the library.
#[unsafe(no_mangle)]
pub(crate) static KIWI_NCCL: Table = Table {
    version: 1,
    join: kiwi_nccl_join,
    leave: kiwi_nccl_leave,
    all_reduce: kiwi_nccl_all_reduce,
    broadcast: kiwi_nccl_broadcast,
    free: kiwi_nccl_free,
};
