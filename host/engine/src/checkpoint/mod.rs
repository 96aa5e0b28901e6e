//! What a run leaves on disk: its directory, the best systems, and the index that ranks them.

mod directory;
mod keeper;
mod save;

pub(crate) use directory::RunDirectory;
pub(crate) use keeper::Keeper;
