//! Scalars that a head gives besides its loss, for the log: means over batches, summed where they were computed; in a
//! group of ranks over the shares of batches.

use kiwi_core::diagnostic::Failure;
use kiwi_tracking::number::Number;
use tch::{Device, Kind, Tensor};

use super::events::Values;
use super::pass::failed;

/// Sums by name, and over how many batches, in the order in which the names came.
#[derive(Default)]
pub(super) struct Scalars {
    sums: Vec<(String, Tensor, u32)>,
}

impl Scalars {
    /// Adds those of a batch, each a single number. Waits for no device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn add(&mut self, scalars: &[(String, Tensor)]) -> Result<(), Failure> {
        for (name, scalar) in scalars {
            let number = || scalar.f_detach()?.f_to_kind(Kind::Double)?.f_view([] as [i64; 0]);
            let number = number().map_err(|error| failed(error.into()))?;
            match self.sums.iter_mut().find(|(known, _, _)| known == name) {
                Some((_, sum, count)) => {
                    *sum = sum.f_add(&number).map_err(|error| failed(error.into()))?;
                    *count += 1;
                }
                None => self.sums.push((name.clone(), number, 1)),
            }
        }
        Ok(())
    }

    /// Adds sums. Waits for no device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn absorb(&mut self, other: Self) -> Result<(), Failure> {
        for (name, more, batches) in other.sums {
            match self.sums.iter_mut().find(|(known, _, _)| *known == name) {
                Some((_, sum, count)) => {
                    *sum = sum.f_add(&more).map_err(|error| failed(error.into()))?;
                    *count += batches;
                }
                None => self.sums.push((name, more, batches)),
            }
        }
        Ok(())
    }

    /// Each sum with how many batches it is over.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn sums(&self) -> Result<Vec<(String, Number, u32)>, Failure> {
        let sum = |(name, sum, count): &(String, Tensor, u32)| {
            Ok((name.clone(), Number(super::pass::scalar(sum)?), *count))
        };
        self.sums.iter().map(sum).collect()
    }

    /// From what [`Self::sums`] gave.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn restored(sums: Vec<(String, Number, u32)>, device: Device) -> Result<Self, Failure> {
        let restore = |(name, sum, count): (String, Number, u32)| {
            let sum = Tensor::from(sum.0).f_to(device).map_err(|error| failed(error.into()))?;
            Ok((name, sum, count))
        };
        Ok(Self { sums: sums.into_iter().map(restore).collect::<Result<_, Failure>>()? })
    }

    /// The mean of each.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn means(&self) -> Result<Values, Failure> {
        let mean = |(name, sum, count): &(String, Tensor, u32)| {
            let sum = super::pass::scalar(sum)?;
            Ok((name.clone(), Some(sum / f64::from(*count))))
        };
        self.sums.iter().map(mean).collect()
    }
}
