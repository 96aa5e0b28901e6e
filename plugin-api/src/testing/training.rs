//! Many steps: of a whole system, or of an optimizer alone.

use kiwi_torch_ext::gradients::{backward, clear_gradients};
use tch::{Kind, Tensor};

use super::{encode, predict, seeded};
use crate::{Batch, Encoder, Error, Head, Optimizer, ParameterGroup, Result};

/// How [`train`] trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// How often the batches are gone through.
    pub epochs: usize,
    /// The learning rate, the same in every step.
    pub learning_rate: f64,
    /// What is drawn on the way (dropout) is drawn by it.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self { epochs: 20, learning_rate: 0.01, seed: 1 }
    }
}

/// The parameters of encoder and head that train, as one group, named as in a run: `encoder.` and `head.` stand before them.
#[must_use]
pub fn groups(encoder: &impl Encoder, head: &impl Head) -> Vec<ParameterGroup> {
    let parts = [("encoder", encoder.parameters()), ("head", head.parameters())];
    let trained = parts.into_iter().flat_map(|(part, parameters)| {
        let trained = parameters.iter().filter(|entry| entry.trainable);
        trained.map(move |entry| (format!("{part}.{}", entry.name), entry.tensor.shallow_clone()))
    });
    vec![ParameterGroup::new("default", trained.collect())]
}

/// Trains on these batches and returns the loss of each epoch: the mean over its batches of what the head gives.
///
/// State that the encoder carries is forgotten before each batch, as it is in a run without `trainer.truncated_bptt_steps`.
///
/// # Errors
/// When a component returns an error or gives what it should not, or there is no batch.
pub fn train<E: Encoder, H: Head, O: Optimizer>(
    encoder: &mut E,
    head: &mut H,
    optimizer: &mut O,
    batches: &[Batch],
    training: Training,
) -> Result<Vec<f64>> {
    if batches.is_empty() {
        return Err(Error::new("training needs at least one batch"));
    }
    let parameters: Vec<Tensor> = groups(encoder, head)
        .into_iter()
        .flat_map(|group| group.parameters)
        .map(|(_, tensor)| tensor)
        .collect();
    seeded(training.seed, || {
        let mut losses = Vec::new();
        for _ in 0..training.epochs {
            let mut sum = 0.0;
            for batch in batches {
                clear_gradients(&parameters)?;
                encoder.reset_state(true)?;
                let features = encode(encoder, batch, true)?;
                let output = predict(head, &features, batch, true)?;
                backward(&output.loss)?;
                optimizer.step(&[training.learning_rate])?;
                sum += f64::try_from(&output.loss.f_to_kind(Kind::Double)?)?;
            }
            losses.push(sum / batches.len() as f64);
        }
        clear_gradients(&parameters)?;
        Ok(losses)
    })
}

/// Has an optimizer of one group make so many steps down `loss` and returns the loss before each step. `parameters` are those
/// that it was created over.
///
/// # Errors
/// When the optimizer returns an error, or the loss cannot be computed.
pub fn descend<O: Optimizer>(
    optimizer: &mut O,
    parameters: &[Tensor],
    learning_rate: f64,
    steps: usize,
    mut loss: impl FnMut() -> Result<Tensor>,
) -> Result<Vec<f64>> {
    (0..steps)
        .map(|_| {
            clear_gradients(parameters)?;
            let loss = loss()?;
            backward(&loss)?;
            optimizer.step(&[learning_rate])?;
            Ok(f64::try_from(&loss.f_to_kind(Kind::Double)?)?)
        })
        .collect()
}
