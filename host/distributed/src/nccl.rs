//! Groups of processes over NCCL, for tensors on GPUs. Their C++ shim, over libtorch's CUDA part, is a library of its own, so that who
//! computes on the CPU needs neither: it is opened where it is asked for. Signatures are those of `host/nccl/cpp/nccl.cpp`, by the table
//! of `host/nccl/src/table.rs`.

use std::error::Error as _;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use kiwi_core::place::Place;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use tch::Tensor;
use torch_sys::C_tensor;

use crate::ffi::{Message, RawGroup, said_and_freed};

/// The name of the table in the library.
const TABLE: &str = "KIWI_NCCL";
/// The version of the table.
const VERSION: u32 = 1;

type Tensors = *const *const C_tensor;

#[repr(C)]
struct Table {
    version: u32,
    join: unsafe extern "C" fn(*const RawPlace, *mut *mut c_void) -> Message,
    leave: unsafe extern "C" fn(*mut c_void),
    all_reduce: unsafe extern "C" fn(*mut c_void, Tensors, usize, bool) -> Message,
    broadcast: unsafe extern "C" fn(*mut c_void, Tensors, usize, i32) -> Message,
    free: unsafe extern "C" fn(*mut c_void),
}

#[repr(C)]
struct RawPlace {
    store: *const c_void,
    given_up: *const c_void,
    rank: i32,
    ranks: i32,
    device: i32,
    timeout_ms: i64,
}

/// Why there is no NCCL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NcclError {
    /// The library is not there.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// It was built without the feature `nccl`.
    #[error("{} was built without NCCL", .0.display())]
    Empty(PathBuf),
    /// It is that of another version of the program.
    #[error("{} is that of another version of kiwi-host", .0.display())]
    OtherVersion(PathBuf),
    /// It does not fit to libtorch, or that has no CUDA part.
    #[error("{} cannot be opened: {message}", library.display())]
    Unopened {
        /// Which.
        library: PathBuf,
        /// What the dynamic loader says.
        message: String,
    },
}

/// The library of groups over NCCL, opened.
#[derive(Clone, Copy)]
pub struct Nccl(&'static Table);

impl Nccl {
    /// Opens the library, for ever. libtorch's CUDA part must be open, for all.
    ///
    /// # Errors
    /// It is not there, was built without NCCL, or does not fit.
    pub fn open(library: &Path) -> Result<Self, NcclError> {
        if !library.is_file() {
            return Err(NcclError::Missing(library.to_owned()));
        }
        // SAFETY: opening runs initialisers, of libstdc++'s streams only. The library is one that is installed with this program.
        let opened = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) };
        let opened = opened.map_err(|error| {
            let message = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            NcclError::Unopened { library: library.to_owned(), message }
        })?;
        // It stays, as libtorch does: what it has made may outlast whoever opened it.
        let opened = ManuallyDrop::new(opened);
        // SAFETY: a library that has this name has it for such a table, whose first field is its version.
        let table = unsafe { opened.get::<*const Table>(TABLE) };
        let table = table.map_err(|_| NcclError::Empty(library.to_owned()))?;
        // SAFETY: the address of a static variable, in a library that is never closed; every version begins with its number.
        let version = unsafe { ptr::read((*table).cast::<u32>()) };
        if version != VERSION {
            return Err(NcclError::OtherVersion(library.to_owned()));
        }
        // SAFETY: as above, and of the version that is declared here.
        Ok(Self(unsafe { &**table }))
    }

    /// Joins the GPUs of all ranks of a group.
    pub(crate) fn join(
        self,
        group: &Arc<RawGroup>,
        place: &Place,
        gpu: usize,
        time_limit: Duration,
    ) -> Result<OnGpus, String> {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let shared = group.share();
        let raw = RawPlace {
            store: shared.store,
            given_up: shared.given_up,
            rank: number(place.rank),
            ranks: number(place.ranks),
            device: i32::try_from(gpu).unwrap_or(i32::MAX),
            timeout_ms: i64::try_from(time_limit.as_millis()).unwrap_or(i64::MAX),
        };
        let mut joined = ptr::null_mut();
        // SAFETY: what `raw` points to lives as long as the group, which the result keeps.
        said_and_freed(unsafe { (self.0.join)(&raw const raw, &raw mut joined) }, self.0.free)?;
        let joined = NonNull::new(joined).ok_or_else(|| "no group was made".to_owned())?;
        Ok(OnGpus { table: self.0, joined, gpu, _group: Arc::clone(group) })
    }
}

impl std::fmt::Debug for Nccl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nccl").finish_non_exhaustive()
    }
}

/// A group of the shim.
pub(crate) struct OnGpus {
    table: &'static Table,
    joined: NonNull<c_void>,
    gpu: usize,
    /// Whose store and flag it uses.
    _group: Arc<RawGroup>,
}

// SAFETY: nothing of it belongs to a thread.
unsafe impl Send for OnGpus {}
// SAFETY: its functions are called by the only `Group` that has it, through `&mut`.
unsafe impl Sync for OnGpus {}

impl OnGpus {
    /// The number of this rank's GPU.
    pub(crate) fn gpu(&self) -> usize {
        self.gpu
    }

    pub(crate) fn all_reduce(&self, tensors: &[&Tensor], largest: bool) -> Result<(), String> {
        let pointers = pointers(tensors);
        // SAFETY: a live group, and as many live tensors as said; unfinished work has handles of its own to them.
        let message = unsafe {
            (self.table.all_reduce)(self.joined.as_ptr(), pointers.as_ptr(), pointers.len(), largest)
        };
        said_and_freed(message, self.table.free)
    }

    pub(crate) fn broadcast(&self, tensors: &[&Tensor], from: i32) -> Result<(), String> {
        let pointers = pointers(tensors);
        // SAFETY: as above.
        let message =
            unsafe { (self.table.broadcast)(self.joined.as_ptr(), pointers.as_ptr(), pointers.len(), from) };
        said_and_freed(message, self.table.free)
    }
}

impl Drop for OnGpus {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { (self.table.leave)(self.joined.as_ptr()) }
    }
}

fn pointers(tensors: &[&Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr()).collect()
}
