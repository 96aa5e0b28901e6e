//! Whether a component does what a host relies on: a suite of checks over a plugin that is built and opened.
//!
//! `kiwi-host plugins check` runs it in processes of its own, where a crash, a hang or memory without end is found too; a plugin's
//! own tests can run it as it stands:
//!
//! ```no_run
//! use kiwi_plugin_api::abi::host::Plugin;
//! use kiwi_plugin_api::testing::conformance::{Settings, check_plugin};
//!
//! let plugin = Plugin::open("target/debug/libmy_plugin.so".as_ref(), "my-plugin")?;
//! let report = check_plugin(&plugin, &Settings::default());
//! assert!(report.passed(), "{report}");
//! # Ok::<(), kiwi_plugin_api::abi::host::OpenError>(())
//! ```
//!
//! Sizes of encoders and heads are reduced for what is called often, unless options are given.
//!
//! `finding` is what comes of a check, `suite` the list of checks and their order. Checks of every kind of component are in
//! `config` (what is said about options; `schema` reads JSON Schemas), `repeated` (many calls: handles, memory, state of libtorch
//! left behind, time) and `threads`; those of one kind in `encoder`, `head`, `optimizer` and `metric`. They share `batches`
//! (generated sentences), `compare` (of tensors) and `gradients` (finite differences).

mod batches;
mod compare;
mod config;
mod encoder;
mod finding;
mod gradients;
mod head;
mod metric;
mod optimizer;
mod repeated;
mod report;
mod schema;
mod settings;
mod subject;
mod suite;
mod threads;

pub use finding::{Event, Finding, Outcome};
pub use report::{ComponentFinding, Report, check_plugin};
pub use settings::{Memory, Settings};
pub use suite::{Known, checks_of, run};
pub use threads::Threads;
