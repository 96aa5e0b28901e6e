//! The functions of the C++ shim. Signatures are those of `cpp/group.cpp`. Those of the shim over NCCL are in `nccl.rs`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use tch::Tensor;
use torch_sys::C_tensor;

pub(crate) type Message = *mut c_char;

#[repr(C)]
struct RawMeeting {
    host: *const c_char,
    port: u16,
    serves: bool,
    rank: i32,
    ranks: i32,
    timeout_ms: i64,
    name: *const c_char,
    listening: i32,
    address: *const c_char,
    interface: *const c_char,
}

/// What a group over NCCL has of this one.
#[repr(C)]
pub(crate) struct Shared {
    pub(crate) store: *const c_void,
    pub(crate) given_up: *const c_void,
}

unsafe extern "C" {
    fn kiwi_group_meet(meeting: *const RawMeeting, out: *mut *mut c_void) -> Message;
    fn kiwi_group_leave(group: *mut c_void);
    fn kiwi_group_give_up(group: *mut c_void);
    fn kiwi_group_share(group: *const c_void) -> Shared;
    fn kiwi_group_all_reduce(
        group: *mut c_void,
        tensors: *const *const C_tensor,
        count: usize,
        largest: bool,
    ) -> Message;
    fn kiwi_group_broadcast(
        group: *mut c_void,
        tensors: *const *const C_tensor,
        count: usize,
        from: i32,
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
    pub(crate) listening: Option<i32>,
    pub(crate) reached_at: &'a ReachedAt,
}

/// Where on this machine the others reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReachedAt {
    /// At an address.
    Address(std::net::IpAddr),
    /// At a network interface of this name.
    Interface(String),
}

/// A group of the shim.
pub(crate) struct RawGroup(NonNull<c_void>);

// SAFETY: nothing of it belongs to a thread.
unsafe impl Send for RawGroup {}
// SAFETY: what several threads may call at once, `give_up`, sets an atomic variable; the other functions are called by the only
// `Group` that there is of it, through `&mut`.
unsafe impl Sync for RawGroup {}

impl RawGroup {
    pub(crate) fn meet(meeting: &Meeting<'_>) -> Result<Self, String> {
        let (host, name) = (text(meeting.host)?, text(meeting.name)?);
        let (address, interface) = match meeting.reached_at {
            ReachedAt::Address(address) => (Some(text(&address.to_string())?), None),
            ReachedAt::Interface(name) => (None, Some(text(name)?)),
        };
        let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        let raw = RawMeeting {
            host: host.as_ptr(),
            port: meeting.port,
            serves: meeting.serves,
            rank: meeting.rank,
            ranks: meeting.ranks,
            timeout_ms: i64::try_from(meeting.timeout.as_millis()).unwrap_or(i64::MAX),
            name: name.as_ptr(),
            listening: meeting.listening.unwrap_or(-1),
            address: pointer(&address),
            interface: pointer(&interface),
        };
        let mut group = ptr::null_mut();
        // SAFETY: the texts live until the call returns, and `group` takes what it writes when it succeeds.
        said(unsafe { kiwi_group_meet(&raw const raw, &raw mut group) })?;
        NonNull::new(group).map(Self).ok_or_else(|| "no group was made".to_owned())
    }

    pub(crate) fn give_up(&self) {
        // SAFETY: a live group.
        unsafe { kiwi_group_give_up(self.0.as_ptr()) }
    }

    /// What lasts as long as the group.
    pub(crate) fn share(&self) -> Shared {
        // SAFETY: a live group.
        unsafe { kiwi_group_share(self.0.as_ptr()) }
    }

    pub(crate) fn all_reduce(&self, tensors: &[&Tensor], largest: bool) -> Result<(), String> {
        let pointers: Vec<_> = tensors.iter().map(|tensor| tensor.as_ptr()).collect();
        // SAFETY: a live group, and as many live tensors as said; unfinished work has handles of its own to them.
        said(unsafe { kiwi_group_all_reduce(self.0.as_ptr(), pointers.as_ptr(), pointers.len(), largest) })
    }

    pub(crate) fn broadcast(&self, tensors: &[&Tensor], from: i32) -> Result<(), String> {
        let pointers: Vec<_> = tensors.iter().map(|tensor| tensor.as_ptr()).collect();
        // SAFETY: as above.
        said(unsafe { kiwi_group_broadcast(self.0.as_ptr(), pointers.as_ptr(), pointers.len(), from) })
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
    said_and_freed(message, kiwi_group_free)
}

/// What a call of a shim said, whose `free` it is.
pub(crate) fn said_and_freed(
    message: Message,
    free: unsafe extern "C" fn(*mut c_void),
) -> Result<(), String> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a text that ends in zero and is the caller's to free.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: as above; it was copied.
    unsafe { free(message.cast()) };
    Err(text)
}
