//! The one error of this crate: what libtorch said.

/// What libtorch, or the shim's own check of its arguments, said about a call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TorchError(pub String);
