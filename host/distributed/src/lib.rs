//! Processes that train together: how each learns its place from the launcher that started it ([`Place`]), and the group in which
//! they sum, broadcast and wait ([`Group`]), PyTorch's own c10d.
//!
//! | module | has |
//! |---|---|
//! | [`place`] | rank, number of ranks and meeting point, from the variables of `torchrun` or `srun` |
//! | [`nodes`] | lists of nodes as SLURM writes them |
//! | [`group`] | the group itself |
//!
//! The only `unsafe` code is that of `ffi.rs`, the calls of the C++ shim in `cpp/`.

mod ffi;
pub mod group;
pub mod nodes;
pub mod place;

pub use group::{Group, GroupError};
pub use place::{Launcher, Place, PlaceError};
