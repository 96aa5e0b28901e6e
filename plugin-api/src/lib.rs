//! What authors of kiwi-host plugins depend on.
//!
//! A plugin is a shared library (`crate-type = ["cdylib"]`) that registers *components*:
//!
//! | kind | trait | does |
//! |---|---|---|
//! | encoder | [`Encoder`] | turns a [`Batch`] into [`Features`] |
//! | head | [`Head`] | turns features into a loss and what metrics need, a [`HeadOutput`] |
//! | optimizer | [`Optimizer`] | updates parameters |
//! | metric | [`Metric`] | turns what a head reports into a figure |
//!
//! An author writes a config struct that derives serde and schemars, implements one trait, and adds one line a component; no
//! `unsafe`, no handles, no JSON. A whole plugin:
//!
//! ```
//! use kiwi_plugin_api::prelude::*;
//!
//! /// Options under `system.metrics`: none.
//! #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
//! pub struct Config {}
//!
//! /// Share of tokens whose negative log-likelihood is under one nat.
//! pub struct Confident;
//!
//! impl Component for Confident {
//!     type Config = Config;
//!     const CLASS_NAME: &'static str = "Confident";
//!     const SUMMARY: &'static str = "Share of tokens predicted with less than one nat of surprise";
//! }
//!
//! impl Metric for Confident {
//!     const ORDERING: Ordering = Ordering::Max;
//!
//!     fn create(_config: Config) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn contribution(&self, output: &Output) -> Result<Tensor> {
//!         let nll = output.tensor(Output::NLL)?;
//!         let confident = nll.f_lt(1.0)?.f_sum(Kind::Double)?;
//!         Ok(Tensor::f_stack(&[confident, Tensor::from(nll.size()[0] as f64).f_to(nll.device())?], 0)?)
//!     }
//!
//!     fn value(&self, total: &[f64]) -> Option<f64> {
//!         (total[1] > 0.0).then(|| total[0] / total[1])
//!     }
//! }
//!
//! register!(metric Confident);
//! plugin!();
//! ```
//!
//! An encoder or a head can say what it needs before a corpus is read ([`Encoder::needs`], [`Head::needs`]): further fields of a
//! batch such as post-edits, the longest sentences it can take, the features it reads.
//!
//! [`testing`] runs components without a host, for an author's own tests. The guide for authors is `docs/plugins.md`, and `kiwi-host
//! plugins new` writes a plugin to begin with.
//!
//! Below the traits lies the boundary itself, in the module `abi`: the only `unsafe` code here. `abi::host` is its other side, used
//! by the host's engine. Neither is meant for authors, and neither is shown here.

#[doc(hidden)]
pub mod abi;
mod batch;
mod component;
mod config;
mod context;
mod error;
mod features;
pub mod init;
pub mod log;
mod needs;
mod output;
mod parameters;
mod register;
mod schedule;
pub mod testing;
mod transfer;

pub use batch::{Batch, Field};
pub use component::{
    Component, Encoder, Head, Metric, MetricRequest, Optimizer, Ordering, ParameterGroup, Pass,
};
pub use config::{ConfigProblem, ConfigReport};
pub use context::{EncoderContext, HeadContext, SpecialIds};
pub use error::{Error, Result};
pub use features::{Feature, Features, Projection};
pub use kiwi_torch_ext as torch_ext;
pub use needs::{EncoderNeeds, HeadNeeds, LongestSentence, NeededField, SparseGradient};
pub use output::{HeadOutput, Output};
pub use parameters::{NamedTensors, Parameter, Parameters};
pub use schedule::{Schedule, ScheduleContext, ScheduleKeys, Warmup};
pub use serde_json;
pub use transfer::to_device;

/// Version of this crate, which is the version of the ABI.
pub const API_VERSION: &str = kiwi_plugin_metadata::API_VERSION;

/// Oldest API version a host must have to run a plugin built with this crate: that of the newest `v1_x` feature which is on. What
/// an author may call without a feature, every host of the major version can do.
pub const MINIMUM_HOST_API: &str = if cfg!(feature = "v1_1") { "1.1.0" } else { "1.0.0" };

/// What nearly every plugin needs: `use kiwi_plugin_api::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Batch, Component, ConfigReport, Encoder, EncoderContext, EncoderNeeds, Error, Feature, Features,
        Field, Head, HeadContext, HeadNeeds, HeadOutput, LongestSentence, Metric, MetricRequest,
        NamedTensors, NeededField, Optimizer, Ordering, Output, Parameter, ParameterGroup, Parameters, Pass,
        Projection, Result, Schedule, ScheduleContext, ScheduleKeys, SparseGradient, SpecialIds, Warmup,
        init, log, plugin, register, to_device,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use tch::{Device, Kind, Tensor};
}

/// The guide for authors, whose examples are tested as those here.
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugins.md")]
mod guide {}

/// What the macros expand to; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use abi_stable;
    pub use inventory;
    pub use kiwi_plugin_metadata as metadata;

    pub use crate::register::{Registration, root_module};

    /// Version line of the compiler.
    pub const RUSTC: &str = env!("KIWI_RUSTC");
    /// Target triple.
    pub const TARGET: &str = env!("KIWI_TARGET");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_metadata_crate_carries_this_version() {
        assert_eq!(super::API_VERSION, env!("CARGO_PKG_VERSION"));
    }
}
