//! Small components of each kind, which take the place of those that are not under test. They compute what their names say and
//! learn, but are for tests: small, and without fused operations.

mod adam;
mod mean_nll;
mod word_sums;
mod words;

pub use adam::Adam;
pub use mean_nll::MeanNll;
pub use word_sums::{WordSums, WordSumsOptions};
pub use words::Words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoOptions {}
