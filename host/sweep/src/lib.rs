//! Searching hyper-parameters: which trials a sweep has, which of them comes next, what became of them, and the files that say so
//! after whatever ends the program. No process is started here and no libtorch needed; that is the program's.
//!
//! ```text
//! Sweep ─ draw ─► trials ─┐
//! (kiwi_core::config)     ├ schedule ─► the next to start ─ (the program) ─► its run ─ measured ─► Ended ─┐
//! trials.jsonl ─ record ─► states ◄────────────────────────────────────────────────────────────────────────┘
//!                            └ ranking ─► tables, best.json
//! ```

pub mod directory;
pub mod draw;
pub mod error;
pub mod measured;
pub mod ranking;
pub mod record;
pub mod schedule;
pub mod table;

pub use directory::Directory;
pub use error::Error;
pub use measured::{Measured, measure};
pub use record::{Ended, Entry, Event, Phase, State, Status};
pub use schedule::{Next, Rung, Schedule};
pub use table::Table;
