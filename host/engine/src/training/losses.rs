//! The losses of batches, and the norms of gradients: on the CPU read at once, on another device left there until somebody needs the numbers, so that no
//! step waits for it.

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_text::{EncodedCorpus, Field};
use kiwi_tracking::number::Number;
use tch::{Device, Kind, Tensor};

use super::pass::{failed, scalar};

/// Unread losses that are kept at most, each a number on the device.
const UNREAD: usize = 1000;

/// The loss of a batch.
pub(super) enum Loss {
    /// Its number.
    Read(f64),
    /// A float64 scalar on the device.
    Unread(Tensor),
}

impl Loss {
    /// The same as a number. Waits for the device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn read(self) -> Result<Self, Failure> {
        match self {
            Self::Read(number) => Ok(Self::Read(number)),
            Self::Unread(number) => scalar(&number).map(Self::Read),
        }
    }

    /// Where its number is, if not here.
    fn device(&self) -> Option<Device> {
        match self {
            Self::Read(_) => None,
            Self::Unread(number) => Some(number.device()),
        }
    }

    fn tensor(&self, device: Device) -> Result<Tensor, tch::TchError> {
        match self {
            Self::Read(number) => Tensor::f_full([] as [i64; 0], *number, (Kind::Double, device)),
            Self::Unread(number) => number.f_to(device),
        }
    }

    /// That of a batch, from the head's tensor of one element; or a norm.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn of(loss: &Tensor) -> Result<Self, Failure> {
        if loss.device() == Device::Cpu {
            return scalar(loss).map(Self::Read);
        }
        let unread = || loss.f_detach()?.f_to_kind(Kind::Double)?.f_view([] as [i64; 0]);
        unread().map(Self::Unread).map_err(|error| failed(error.into()))
    }
}

/// A sum of losses.
#[derive(Default)]
pub(super) struct LossSum {
    read: f64,
    unread: Option<Tensor>,
    /// In a group of ranks, of each batch whose loss is a mean over items: the mean over this rank's items times these, and these.
    means: Vec<Option<(Loss, Loss)>>,
}

impl LossSum {
    /// A sum that was kept.
    pub(super) fn restored(total: f64) -> Self {
        Self { read: total, ..Self::default() }
    }

    /// Adds the loss of a share of a batch that is a sum over its items. Waits for no device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn add_share(&mut self, loss: &Loss) -> Result<(), Failure> {
        self.means.push(None);
        self.add(loss)
    }

    /// Adds the loss of a share of a batch that is the mean over `count` items. Waits for no other device than the CPU.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn add_mean(&mut self, loss: &Loss, count: &Tensor) -> Result<(), Failure> {
        let count = count.f_detach().map_err(|error| failed(error.into()))?;
        let count = Loss::of(&count)?;
        let weighed = match (loss, &count) {
            (Loss::Read(loss), Loss::Read(count)) => Loss::Read(loss * count),
            (loss, count) => {
                let device = [loss, count].into_iter().find_map(Loss::device).unwrap_or(Device::Cpu);
                let product = || loss.tensor(device)?.f_mul(&count.tensor(device)?);
                Loss::Unread(product().map_err(|error| failed(error.into()))?)
            }
        };
        self.means.push(Some((weighed, count)));
        Ok(())
    }

    /// Adds the loss of an empty share of a batch.
    pub(super) fn add_nothing(&mut self) {
        self.means.push(None);
    }

    /// Of each batch whose loss is a mean, the mean of this rank's share times its items, and these. Waits for the device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn means(&self) -> Result<Vec<Option<(Number, Number)>>, Failure> {
        let read = |loss: &Loss| match loss {
            Loss::Read(number) => Ok(Number(*number)),
            Loss::Unread(number) => scalar(number).map(Number),
        };
        if self.means.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let read = |mean: &Option<(Loss, Loss)>| {
            mean.as_ref().map(|(weighed, count)| Ok((read(weighed)?, read(count)?))).transpose()
        };
        self.means.iter().map(read).collect()
    }

    /// Adds a sum, of whole batches. Waits for no device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn absorb(&mut self, other: &Self) -> Result<(), Failure> {
        self.read += other.read;
        other.unread.as_ref().map_or(Ok(()), |unread| self.add(&Loss::Unread(unread.shallow_clone())))
    }

    /// Adds one. Waits for no device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn add(&mut self, loss: &Loss) -> Result<(), Failure> {
        match (loss, &self.unread) {
            (Loss::Read(number), _) => self.read += number,
            (Loss::Unread(number), None) => self.unread = Some(number.shallow_clone()),
            (Loss::Unread(number), Some(sum)) => {
                self.unread = Some(sum.f_add(number).map_err(|error| failed(error.into()))?);
            }
        }
        Ok(())
    }

    /// The number; in a group of ranks without the losses that are means.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn total(&self) -> Result<f64, Failure> {
        let unread = self.unread.as_ref().map_or(Ok(0.0), scalar)?;
        Ok(self.read + unread)
    }
}

/// What must be finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// The loss of a batch.
    Loss,
    /// The largest of the gradients of an optimizer step, or their norm.
    Gradient,
}

/// A training batch, for the complaint about its loss.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) figure: Figure,
    pub(super) epoch: u64,
    /// Optimizer steps that were done before it.
    pub(super) step: u64,
    /// Its pairs.
    pub(super) pairs: Vec<usize>,
}

/// A number that is not finite, and where it came up.
pub(super) type Unusable = (f64, Place);

/// Losses whose numbers nobody has looked at, with their batches.
#[derive(Default)]
pub(super) struct UnreadLosses {
    losses: Vec<(Tensor, Place)>,
}

impl UnreadLosses {
    /// Adds one, of the batch at `place`; gives a loss that is not finite, if one was read.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn add(
        &mut self,
        loss: &Loss,
        place: impl FnOnce() -> Place,
    ) -> Result<Option<Unusable>, Failure> {
        match loss {
            Loss::Read(number) if number.is_finite() => Ok(None),
            Loss::Read(number) => Ok(Some((*number, place()))),
            Loss::Unread(number) => {
                self.losses.push((number.shallow_clone(), place()));
                if self.losses.len() < UNREAD { Ok(None) } else { self.read() }
            }
        }
    }

    /// Reads all; the first that is not finite. Waits for the device once.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn read(&mut self) -> Result<Option<Unusable>, Failure> {
        if self.losses.is_empty() {
            return Ok(None);
        }
        let (losses, places): (Vec<_>, Vec<_>) = std::mem::take(&mut self.losses).into_iter().unzip();
        let numbers = Tensor::f_stack(&losses, 0).and_then(|losses| Vec::<f64>::try_from(&losses));
        let numbers = numbers.map_err(|error| failed(error.into()))?;
        Ok(numbers.into_iter().zip(places).find(|(number, _)| !number.is_finite()))
    }
}

/// The complaint about a loss or a gradient that is not finite.
pub(super) fn not_finite((number, place): &Unusable, corpus: &EncodedCorpus, skips: bool) -> Failure {
    let lines: Vec<_> = place
        .pairs
        .iter()
        .filter_map(|pair| corpus.location(*pair, Field::Target))
        .map(|location| location.to_string())
        .collect();
    Failure::new(
        ExitCode::RunFailed,
        Diagnostic::error(Code::NotFinite, format!(
            "the {} is not finite: {number} in epoch {}, after {} optimizer steps",
            match place.figure {
                Figure::Loss => "loss",
                Figure::Gradient => "gradient",
            },
            place.epoch,
            place.step
        ))
        .note(format!("the batch holds {}", lines.join(", ")))
        .help(match (place.step, skips) {
            (0, _) => {
                "no step was taken yet, so that no learning rate is to blame: run `kiwi-host plugins check` on the plugins of encoder \
                 and head, and look at the values of a system that was loaded"
            }
            (_, false) => {
                "lower system.optimizer.learning_rate, or set trainer.gradient_max_norm, for example to 5; trainer.on_nonfinite \
                 \"skip\" leaves such batches out"
            }
            (_, true) => {
                "lower system.optimizer.learning_rate, or set trainer.gradient_max_norm, for example to 5, and begin a new run or go \
                 on from an earlier system (system.load): where batch after batch is skipped, the parameters themselves are \
                 spoilt, and so are those of the last resume point"
            }
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(number: f64) -> Loss {
        Loss::Unread(Tensor::from(number))
    }

    fn place(step: u64) -> Place {
        Place { figure: Figure::Loss, epoch: 1, step, pairs: vec![7] }
    }

    #[test]
    fn the_first_loss_that_is_not_finite_is_found_with_its_batch() {
        let mut losses = UnreadLosses::default();
        for (step, number) in [1.0, 2.0, f64::NAN, f64::INFINITY].into_iter().enumerate() {
            let found =
                losses.add(&unread(number), || place(step as u64)).unwrap_or_else(|_| panic!("no failure"));
            assert!(found.is_none(), "nothing is read before it is due");
        }
        let (number, found) = losses.read().ok().flatten().unwrap_or_else(|| panic!("a loss is not finite"));
        assert!(number.is_nan() && found.step == 2);
        assert!(losses.read().is_ok_and(|found| found.is_none()), "each is read once");
    }

    #[test]
    fn a_loss_that_is_read_is_judged_at_once_and_many_unread_ones_are_read() {
        let mut losses = UnreadLosses::default();
        let mut add = |loss: Loss| losses.add(&loss, || place(0)).ok().flatten().map(|(number, _)| number);
        assert_eq!(add(Loss::Read(3.0)), None);
        assert_eq!(add(Loss::Read(f64::INFINITY)), Some(f64::INFINITY));
        let found = (0..UNREAD).filter_map(|_| add(unread(f64::INFINITY))).count();
        assert_eq!(found, 1);
    }

    #[test]
    fn sums_are_the_same_wherever_they_are() {
        let (mut read, mut device) = (LossSum::default(), LossSum::default());
        for number in [0.1, 0.2, 1e9] {
            assert!(read.add(&Loss::Read(number)).is_ok() && device.add(&unread(number)).is_ok());
        }
        assert_eq!(read.total().ok(), Some(0.1 + 0.2 + 1e9));
        assert_eq!(device.total().ok(), read.total().ok());
    }
}
