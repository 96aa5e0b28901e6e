//! Pickles as `torch.save` writes them: protocol 2, a dozen types. [`read`] makes a [`Graph`] of one, [`Writer`] makes one.
//!
//! A pickle is a program for a stack machine that may call any Python function. Here it may build only what stands in
//! [`Class`]; every other name is refused before anything is made of it.

mod calls;
mod class;
mod error;
mod graph;
mod opcode;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use class::{Class, ElementType};
pub use error::{Error, Problem};
pub use graph::{DictClass, Graph, Id, Object, StorageRef, TensorView, Value};
pub use reader::read;
pub use writer::{Memo, Writer};
