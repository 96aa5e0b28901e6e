//! What a head gives back: the loss to minimise, and for each of its outputs the per-token figures that metrics read.

use tch::Tensor;

use crate::batch::{find, names};
use crate::{Error, Result};

/// What a head computed for one batch.
#[derive(Debug)]
pub struct HeadOutput {
    /// Scalar, differentiable: what training minimises.
    pub loss: Tensor,
    /// One for each output (`target`, `pe`).
    pub outputs: Vec<Output>,
    /// Further scalars for log and progress bar, by name.
    pub scalars: Vec<(String, Tensor)>,
}

/// The figures of one output of a head, over the N positions that its loss counts.
#[derive(Debug)]
pub struct Output {
    /// Its name, the prefix of its metrics: `target` in `target_PERP`.
    pub name: String,
    tensors: Vec<(String, Tensor)>,
}

impl Output {
    /// `[N]` int64: the flat positions `b * T + t` in the batch's field of the output's name.
    pub const POSITIONS: &'static str = "positions";
    /// `[N]` float32: negative log-likelihood of the gold token, in nats.
    pub const NLL: &'static str = "nll";
    /// `[N]` float32: probability of the gold token.
    pub const PROBABILITY: &'static str = "probability";
    /// `[N]` bool: whether the most probable class is the gold one (of equals, the first).
    pub const CORRECT: &'static str = "correct";

    /// An output of these named tensors.
    #[must_use]
    pub fn new(name: impl Into<String>, tensors: Vec<(String, Tensor)>) -> Self {
        Self { name: name.into(), tensors }
    }

    /// All its tensors, by name.
    pub fn tensors(&self) -> &[(String, Tensor)] {
        &self.tensors
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// When the output has none, naming those it has.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        find(&self.tensors, name).ok_or_else(|| {
            Error::new(format!(
                "output `{}` has no tensor `{name}`, only {}",
                self.name,
                names(&self.tensors)
            ))
        })
    }
}
