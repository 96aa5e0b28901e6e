//! What a run leaves on disk: its directory, the best systems with the index that ranks them, and the points from which it can be
//! resumed.
//!
//! [`keeper`] decides what is kept, [`snapshot`] is the content of a file in memory, [`resume_point`] what a resume point holds, and
//! [`writer`] brings all of it to the disk while training goes on.

mod directory;
mod files;
mod keeper;
pub(crate) mod resume_point;
mod snapshot;
mod writer;

pub(crate) use directory::RunDirectory;
pub(crate) use files::write_text;
pub(crate) use keeper::{Decided, Keeper, Slot};
pub(crate) use resume_point::ResumePoint;
pub(crate) use snapshot::{CopiedTensors, Snapshot};
pub(crate) use writer::{Notice, Work, Writer};
