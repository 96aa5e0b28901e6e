//! The host's side of the boundary in plain C ([`crate::abi::c`]): a plugin that is not written in Rust, behind the same
//! instances as any other.
//!
//! [`open`] reads what a plugin hands out. [`given`] is what it is given: [`sinks`] take results, [`reading`] reads options. [`call`]
//! makes a call, [`lend`] lays out what goes in, [`results`] is what came of it, [`options`] checks options by their schema. Then one
//! kind of component a file.

mod call;
mod encoder;
mod given;
mod head;
mod lend;
mod metric;
mod open;
mod optimizer;
mod options;
mod reading;
mod results;
mod sinks;
#[cfg(test)]
mod tests;

pub(super) use encoder::Encoder;
pub(super) use head::Head;
pub(super) use metric::Metric;
pub(super) use open::{Component, components};
pub(super) use optimizer::{Optimizer, Schedule};
