//! Processes that train together: the group in which they sum, broadcast and wait ([`Group`]), PyTorch's own c10d, and the watch by
//! which each learns that another one is lost ([`Watch`]). How each learns its
//! place from the launcher that started it is [`kiwi_core::place`]'s. On GPUs a group sums by NCCL, whose shim is a library of its own
//! ([`Nccl`]).
//!
//! The only `unsafe` code is that of `ffi.rs`, the calls of the C++ shim in `cpp/`, and of `nccl.rs`, those of the other one.

mod address;
mod ffi;
pub mod group;
pub mod nccl;
pub mod watch;

pub use group::{GiveUp, Group, GroupError};
pub use nccl::{Nccl, NcclError};
pub use watch::{How, Listener, Loss, Pace, Refusal, Watch, WatchError};
