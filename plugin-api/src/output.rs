//! What a head gives back: the loss to minimise, and for each of its outputs the per-token figures that metrics read.

use tch::Tensor;

use crate::abi::tensor::OfTensors;
use crate::batch::{find, names};
use crate::{Error, Result};

/// What a head computed for one batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct HeadOutput {
    /// Scalar, differentiable: what training minimises.
    pub loss: Tensor,
    /// Scalar: how many items `loss` is the mean over; `None` where it is a sum. See [`HeadOutput::averaged_over`].
    pub averaged_over: Option<Tensor>,
    /// One for each output (`target`, `pe`).
    pub outputs: Vec<Output>,
    /// Further scalars for log and progress bar, by name.
    pub scalars: Vec<(String, Tensor)>,
}

impl HeadOutput {
    /// A loss that is a sum over the batch, and one output for each of `target`, `pe` and the like.
    #[must_use]
    pub fn new(loss: Tensor, outputs: Vec<Output>) -> Self {
        Self { loss, averaged_over: None, outputs, scalars: Vec::new() }
    }

    /// The same with a further scalar for log and progress bar.
    #[must_use]
    pub fn with_scalar(mut self, name: impl Into<String>, scalar: Tensor) -> Self {
        self.scalars.push((name.into(), scalar));
        self
    }

    /// The same, whose loss is not a sum but the mean over `count` items (a scalar tensor, on the loss's device).
    ///
    /// Where several batches make one optimizer step, the gradient is then that of the mean over all their items, however many
    /// each batch has; the losses of heads that do not say so are each divided by the number of batches.
    #[must_use]
    pub fn averaged_over(mut self, count: Tensor) -> Self {
        self.averaged_over = Some(count);
        self
    }
}

/// The figures of one output of a head, over the N positions that its loss counts.
#[derive(Debug)]
#[non_exhaustive]
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

    /// Its name and its tensors.
    pub(crate) fn into_parts(self) -> (String, Vec<(String, Tensor)>) {
        (self.name, self.tensors)
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

impl OfTensors for Output {
    fn into_tensors(self) -> impl Iterator<Item = Tensor> {
        self.tensors.into_iter().map(|(_, tensor)| tensor)
    }
}
