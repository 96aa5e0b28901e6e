//! What batches come to, summed: metrics, scalars and losses. A rank sums over its own shares of batches; [`Sums::total`] is what all
//! ranks have together.

use kiwi_core::diagnostic::Failure;
use kiwi_plugin_api::HeadOutput;
use kiwi_tracking::number::Number;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::losses::{Loss, LossSum};
use super::pass::failed;
use super::scalars::Scalars;
use crate::ranks::Ranks;
use crate::system::{MetricSet, Tally, running};

/// Sums over batches.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) tally: Tally,
    pub(super) scalars: Scalars,
    pub(super) losses: LossSum,
}

/// The sums of one rank as it tells the others.
#[derive(Serialize, Deserialize)]
struct Told {
    tally: Vec<Option<Vec<Number>>>,
    scalars: Vec<(String, Number, u32)>,
    /// Of losses that are sums.
    losses: Number,
    /// Of each batch whose loss is a mean: the mean of its share times its items, and these.
    means: Vec<Option<(Number, Number)>>,
}

impl Sums {
    /// Adds a batch, or this rank's share of it. Waits for no device.
    ///
    /// # Errors
    /// When a metric fails, or libtorch.
    pub(super) fn add(
        &mut self,
        metrics: &mut MetricSet,
        output: &HeadOutput,
        loss: &Loss,
        ranks: &Ranks,
    ) -> Result<(), Failure> {
        metrics.add(&mut self.tally, output).map_err(|error| running(&error))?;
        self.scalars.add(&output.scalars)?;
        match &output.averaged_over {
            Some(count) if ranks.is_group() => self.losses.add_mean(loss, count),
            _ if ranks.is_group() => self.losses.add_share(loss),
            _ => self.losses.add(loss),
        }
    }

    /// Adds a batch of which this rank has no pair.
    pub(super) fn add_nothing(&mut self) {
        self.losses.add_nothing();
    }

    /// Adds sums.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn absorb(&mut self, other: Self) -> Result<(), Failure> {
        self.tally.absorb(other.tally).map_err(failed)?;
        self.scalars.absorb(other.scalars)?;
        self.losses.absorb(&other.losses)
    }

    /// The same of all ranks together, on all of them. Called by all, and waits for the device.
    ///
    /// # Errors
    /// When libtorch fails, or a rank is gone.
    pub(super) fn total(self, ranks: &mut Ranks, device: Device) -> Result<Self, Failure> {
        if !ranks.is_group() {
            return Ok(self);
        }
        self.copied_total(ranks, device)
    }

    /// [`Self::total`], and these sums stay.
    ///
    /// # Errors
    /// As for it.
    pub(super) fn copied_total(&self, ranks: &mut Ranks, device: Device) -> Result<Self, Failure> {
        let of_all = ranks.exchange(self.told()?)?;
        let mut total = Self::default();
        let (mut means, mut losses) = (Vec::new(), 0.0);
        for told in of_all {
            let sums = told.tally.into_iter().map(|sum| {
                let numbers = sum.map(|sum| sum.into_iter().map(|number| number.0).collect::<Vec<_>>());
                numbers.map(|numbers| Tensor::from_slice(&numbers).f_to(device)).transpose()
            });
            let sums: Result<_, _> = sums.collect();
            total.tally.absorb(Tally::new(sums.map_err(|error| failed(error.into()))?)).map_err(failed)?;
            total.scalars.absorb(Scalars::restored(told.scalars, device)?)?;
            losses += told.losses.0;
            means.resize(means.len().max(told.means.len()), (0.0, 0.0));
            for (sum, mean) in means.iter_mut().zip(told.means) {
                if let Some((weighed, count)) = mean {
                    *sum = (sum.0 + weighed.0, sum.1 + count.0);
                }
            }
        }
        let of_batches = means.into_iter().filter(|(_, count)| *count != 0.0);
        losses += of_batches.map(|(weighed, count)| weighed / count).sum::<f64>();
        total.losses = LossSum::restored(losses);
        Ok(total)
    }

    fn told(&self) -> Result<Told, Failure> {
        let numbers = |sum: &Tensor| -> Result<Vec<Number>, Failure> {
            let numbers = Vec::<f64>::try_from(sum).map_err(|error| failed(error.into()))?;
            Ok(numbers.into_iter().map(Number).collect())
        };
        let tally = self.tally.sums().iter().map(|sum| sum.as_ref().map(numbers).transpose());
        Ok(Told {
            tally: tally.collect::<Result<_, _>>()?,
            scalars: self.scalars.sums()?,
            losses: Number(self.losses.total()?),
            means: self.losses.means()?,
        })
    }
}
