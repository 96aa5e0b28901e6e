//! A system: an encoder and a head from opened plugins, with the metrics the head asks for.

mod build;
mod components;
mod error;
mod metrics;
mod needs;
pub(crate) mod opening;
mod parameters;
pub(crate) mod sparse_gradients;

pub(crate) use build::{Parts, System, Vocabulary};
pub(crate) use components::{Checked, Components, described};
pub(crate) use error::{Setup, freed, running};
pub(crate) use metrics::{MetricSet, Tally, ordering_name, refused};
pub(crate) use needs::{Limit, Needs, Reason, SparseParameter};
pub(crate) use parameters::ENCODER;
