//! The functions of the C++ shim. Signatures are those of `cpp/group.cpp`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use tch::Tensor;
use torch_sys::C_tensor;

type Message = *mut c_char;

#[repr(C)]
struct RawMeeting {
    host: *const c_char,
    port: u16,
    serves: bool,
    rank: i32,
    ranks: i32,
    timeout_ms: i64,
    name: *const c_char,
}

unsafe extern "C" {
    fn kiwi_group_meet(meeting: *const RawMeeting, out: *mut *mut c_void) -> Message;
    fn kiwi_group_leave(group: *mut c_void);
    fn kiwi_group_all_reduce(group: *mut c_void, tensors: *const *const C_tensor, count: usize) -> Message;
    fn kiwi_group_broadcast(
        group: *mut c_void,
        tensors: *const *const C_tensor,
        count: usize,
        from: i32,
    ) -> Message;
    fn kiwi_group_barrier(group: *mut c_void) -> Message;
    fn kiwi_group_set(group: *mut c_void, key: *const c_char, data: *const u8, length: usize) -> Message;
    fn kiwi_group_get(
        group: *mut c_void,
        key: *const c_char,
        data: *mut *mut u8,
        length: *mut usize,
    ) -> Message;
    fn kiwi_group_free(memory: *mut c_void);
}

/// Where and as what a process meets the others.
pub(crate) struct Meeting<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) serves: bool,
    pub(crate) rank: i32,
    pub(crate) ranks: i32,
    pub(crate) timeout: Duration,
    pub(crate) name: &'a str,
}

/// A group of the shim.
pub(crate) struct RawGroup(NonNull<c_void>);

// SAFETY: nothing of it belongs to a thread; `&mut` keeps calls from overlapping.
unsafe impl Send for RawGroup {}

impl RawGroup {
    pub(crate) fn meet(meeting: &Meeting<'_>) -> Result<Self, String> {
        let (host, name) = (text(meeting.host)?, text(meeting.name)?);
        let raw = RawMeeting {
            host: host.as_ptr(),
            port: meeting.port,
            serves: meeting.serves,
            rank: meeting.rank,
            ranks: meeting.ranks,
            timeout_ms: i64::try_from(meeting.timeout.as_millis()).unwrap_or(i64::MAX),
            name: name.as_ptr(),
        };
        let mut group = ptr::null_mut();
        // SAFETY: both texts live until the call returns, and `group` takes what it writes when it succeeds.
        said(unsafe { kiwi_group_meet(&raw const raw, &raw mut group) })?;
        NonNull::new(group).map(Self).ok_or_else(|| "no group was made".to_owned())
    }

    pub(crate) fn all_reduce(&mut self, tensors: &[&Tensor]) -> Result<(), String> {
        let pointers: Vec<_> = tensors.iter().map(|tensor| tensor.as_ptr()).collect();
        // SAFETY: a live group, and as many live tensors as said; all work on them has ended when it returns.
        said(unsafe { kiwi_group_all_reduce(self.0.as_ptr(), pointers.as_ptr(), pointers.len()) })
    }

    pub(crate) fn broadcast(&mut self, tensors: &[&Tensor], from: i32) -> Result<(), String> {
        let pointers: Vec<_> = tensors.iter().map(|tensor| tensor.as_ptr()).collect();
        // SAFETY: as above.
        said(unsafe { kiwi_group_broadcast(self.0.as_ptr(), pointers.as_ptr(), pointers.len(), from) })
    }

    pub(crate) fn barrier(&mut self) -> Result<(), String> {
        // SAFETY: a live group.
        said(unsafe { kiwi_group_barrier(self.0.as_ptr()) })
    }

    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        let key = text(key)?;
        // SAFETY: a live group, a text, and as many bytes as said.
        said(unsafe { kiwi_group_set(self.0.as_ptr(), key.as_ptr(), value.as_ptr(), value.len()) })
    }

    pub(crate) fn get(&mut self, key: &str) -> Result<Vec<u8>, String> {
        let key = text(key)?;
        let (mut data, mut length) = (ptr::null_mut(), 0);
        // SAFETY: a live group and a text; what it writes when it succeeds is read and freed below.
        said(unsafe { kiwi_group_get(self.0.as_ptr(), key.as_ptr(), &raw mut data, &raw mut length) })?;
        // SAFETY: it wrote as many bytes there as it says.
        let value = unsafe { std::slice::from_raw_parts(data, length) }.to_vec();
        // SAFETY: it is the caller's to free.
        unsafe { kiwi_group_free(data.cast()) };
        Ok(value)
    }
}

impl Drop for RawGroup {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { kiwi_group_leave(self.0.as_ptr()) }
    }
}

fn text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} has a zero byte"))
}

/// What a call said.
fn said(message: Message) -> Result<(), String> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a text that ends in zero and is the caller's to free.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: as above; it was copied.
    unsafe { kiwi_group_free(message.cast()) };
    Err(text)
}
