//! The few things of libtorch that `tch` does not offer, as a small C++ shim with a safe Rust API.
//!
//! - [`guard`]: runs a closure so that neither a Rust panic nor a C++ exception leaves it.
//! - [`GlobalState`]: the modes, autocast, current device and seed that libtorch keeps for the process or thread.
//! - [`TensorFacts`], [`described`]: what a tensor is, of whatever type and on whatever device.
//! - [`generator`]: seeding all devices, saving and restoring the CPU generator.
//! - [`use_count`]: how many handles a tensor has.
//! - [`Autocast`]: automatic mixed precision for a scope, on the CPU as well.
//! - [`optim`], [`foreach`], [`gradients`]: what an optimizer needs over lists of tensors.
//! - [`custom_function`]: a differentiable operation with a backward of its own.
//! - [`projection_cross_entropy`], [`lstm_both_ways`], [`additive_attention`]: operations that libtorch has in several pieces, each
//!   in one; [`plain_operations`]: whether a user wants the pieces.
//!
//! The crate is linked statically into each shared library that uses it and exports no symbol. It knows nothing of
//! plugins, and wraps no operator that `tch` has.

mod attention;
mod autocast;
mod dropout;
mod error;
mod facts;
mod ffi;
pub mod foreach;
mod function;
pub mod generator;
pub mod gradients;
mod guard;
mod handles;
mod lstm;
pub mod optim;
mod plain;
mod projection;
mod state;

pub use attention::{AdditiveAttention, additive_attention};
pub use autocast::Autocast;
pub use dropout::dropout_factors;
pub use error::TorchError;
pub use facts::{TensorFacts, described};
pub use function::{Evaluated, custom_function};
pub use guard::{Caught, guard, install_panic_hook};
pub use handles::use_count;
pub use lstm::{LstmOutput, LstmWay, lstm_both_ways};
pub use plain::plain_operations;
pub use projection::{ProjectionLoss, projection_cross_entropy};
pub use state::{GlobalState, StateChange, StateItem, set_cuda_device};
