//! The boundary between host and plugins: the only `unsafe` code of this crate.
//!
//! [`root`] is what a plugin exports; [`component`] the tables of functions, one kind of component a file, with the
//! plugin's side of each call; [`tensor`] how tensors cross; [`guard`] how panics and C++ exceptions are stopped;
//! [`callbacks`] what a plugin asks of its host; [`host`] the other side: opening a plugin and calling it safely. [`c`] is the same
//! boundary in plain C, for plugins in other languages.
//!
//! Everything but [`c`] is `#[repr(C)]` and checked by abi_stable when a plugin is opened. Tables are *prefix types*: fields are only
//! ever appended. Structured facts that are not read in every step (contexts, descriptions, configs) cross as JSON, which
//! can grow without a new layout.
//!
//! What is promised of this module is the binary layout, of which `abi/` beside the sources has a description for each minor
//! version (a test compares them), not the Rust items, which are the host's and may change.

pub mod c;
pub mod callbacks;
pub mod component;
#[cfg(test)]
mod documents;
pub mod guard;
pub mod host;
mod layout;
pub mod root;
pub mod tensor;
