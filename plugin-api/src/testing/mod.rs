//! What authors of plugins test them with, without the host.
//!
//! [`conformance`] checks a built plugin for what a host relies on.

pub mod conformance;
