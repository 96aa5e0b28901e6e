//! Test support for authors: components created, run and trained without a host and without files of their own.
//!
//! Everything here returns this crate's [`Result`], so that a test is a function that ends in `Ok(())`; [`assert_close`] alone
//! panics. What a host does before it calls a component is done here too, by the same code where there is one: options are
//! checked as those of a config, generators are seeded, features are compared with what the encoder said of them.
//!
//! | module | has |
//! |---|---|
//! | [`Setting`] | the run that components are part of: vocabularies, contexts, creating them from options |
//! | [`batch`], [`RandomBatches`] | batches of given sentences, or drawn under a seed |
//! | [`encode`], [`predict`], [`measure`] | one call of a component, with a check of what it gives |
//! | [`train`], [`descend`] | many steps: of a whole system, or of an optimizer alone |
//! | [`compare`], [`assert_close`], [`golden`] | tensors against others, or against a file |
//! | [`check_gradients`] | backward against differences |
//! | [`conformance`] | the suite of `kiwi-host plugins check`, for a built plugin |
//! | [`stand_ins`] | small components of each kind, in the place of those that are not under test |
//!
//! A test of an encoder that lives in a plugin:
//!
//! ```
//! use kiwi_plugin_api::prelude::*;
//! use kiwi_plugin_api::serde_json::json;
//! use kiwi_plugin_api::testing::{self, Setting, stand_ins};
//! # use stand_ins::WordSums as MyEncoder;
//!
//! # fn main() -> Result<()> {
//! let setting = Setting::new().vocabulary("source", 12).vocabulary("target", 15);
//! let mut encoder = setting.encoder::<MyEncoder>(json!({"size": 8}))?;
//! let mut head = setting.head::<stand_ins::Words, _>(json!({}), &encoder)?;
//! let mut adam = setting.optimizer::<stand_ins::Adam>(json!({}), testing::groups(&encoder, &head))?;
//! let batches = setting.batches(1).take(4).collect::<Result<Vec<_>>>()?;
//! let losses = testing::train(&mut encoder, &mut head, &mut adam, &batches, testing::Training::default())?;
//! assert!(losses.last() < losses.first());
//! # Ok(())
//! # }
//! ```
//!
//! A component that logs logs into the void here, and [`crate::log::cancelled`] is false: both are the host's.

mod batches;
mod calls;
mod compare;
pub mod conformance;
mod golden;
mod gradients;
mod options;
mod seeded;
mod setting;
pub mod stand_ins;
#[cfg(test)]
mod tests;
mod training;

pub use batches::{RandomBatches, batch};
pub use calls::{encode, measure, output, predict};
pub use compare::{Tolerance, assert_close, compare, compare_all};
pub use golden::{golden, read_golden, write_golden};
pub use gradients::{GradientCheck, check_gradients};
pub use options::{config, report};
pub use seeded::seeded;
pub use setting::Setting;
pub use training::{Training, descend, groups, train};
