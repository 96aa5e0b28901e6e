//! Interchange with OpenKiwi: its saved systems are read ([`import`]) and written ([`export`]), and its configs are turned into
//! ours ([`config`]). Neither Python nor libtorch is
//! needed, and no code of a file runs: a pickle is read by [`pickle`], which builds values of the few types that such a file
//! has and refuses all else by name.
//!
//! ```text
//! file ─ torch_file ─► pickle and storages ─ pickle ─► Graph ─ openkiwi ─► SystemHeader and tensors ─► saved system
//! ```
//!
//! Whatever a file claims is checked against its size before memory is taken for it. Not here: whether the options of
//! components are right, which the components say when the system is built.

pub mod config;
mod create;
mod error;
pub mod openkiwi;
pub mod pickle;
mod tensor;
pub mod torch_file;

pub use create::create;
pub use error::Error;
pub use openkiwi::{Imported, Plugins, export, import};
