//! What training comes to over some batches, and where its time goes.

use std::time::Duration;

use kiwi_core::diagnostic::Failure;
use kiwi_core::saved_system::archive::Archive;
use kiwi_tracking::number::Number;
use kiwi_tracking::record::Seconds;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::losses::LossSum;
use super::pass::failed;
use super::scalars::Scalars;
use super::state::tensor;
use super::sums::Sums;
use crate::checkpoint::CopiedTensors;
use crate::ranks::Ranks;
use crate::system::Tally;

/// Training values over some batches, on their way.
#[derive(Default)]
pub(super) struct Window {
    pub(super) sums: Sums,
    pub(super) batches: usize,
    pub(super) words: u64,
    pub(super) time: Duration,
}

/// What a resume point keeps of a window, beside the sums of its metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SavedWindow {
    scalars: Vec<(String, Number, u32)>,
    losses: Number,
    /// Sums of metrics; how many, with those that have none yet.
    sums: usize,
    batches: usize,
    words: u64,
    time: Duration,
}

impl Window {
    /// The same of all ranks together. Called by all.
    ///
    /// # Errors
    /// When libtorch fails, or a rank is gone.
    pub(super) fn total(self, ranks: &mut Ranks, device: Device) -> Result<Self, Failure> {
        Ok(Self { sums: self.sums.total(ranks, device)?, ..self })
    }

    /// Adds another that follows.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn absorb(&mut self, other: Self) -> Result<(), Failure> {
        self.batches += other.batches;
        self.words += other.words;
        self.time += other.time;
        self.sums.absorb(other.sums)
    }

    /// What to keep of it, given its sums of all ranks together; those of its metrics are added to `tensors` as `NAME.INDEX`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn saved(
        &self,
        sums: &Sums,
        name: &str,
        tensors: &mut CopiedTensors,
    ) -> Result<SavedWindow, Failure> {
        for (index, sum) in sums.tally.sums().iter().enumerate() {
            if let Some(sum) = sum {
                let copied = CopiedTensors::of([(index.to_string().as_str(), sum)]).map_err(failed)?;
                tensors.extend(&format!("{name}."), &copied);
            }
        }
        Ok(SavedWindow {
            scalars: sums.scalars.sums()?,
            losses: Number(sums.losses.total()?),
            sums: sums.tally.sums().len(),
            batches: self.batches,
            words: self.words,
            time: self.time,
        })
    }

    /// One that was kept.
    ///
    /// # Errors
    /// When its sums cannot be read.
    pub(super) fn restored(
        saved: SavedWindow,
        name: &str,
        archive: &Archive,
        device: Device,
    ) -> Result<Self, Failure> {
        let SavedWindow { scalars, losses, sums, batches, words, time } = saved;
        let sums = (0..sums).map(|index| tensor(archive, &format!("{name}.{index}"), device));
        let sums = Sums {
            tally: Tally::new(sums.collect::<Result<_, _>>()?),
            scalars: Scalars::restored(scalars, device)?,
            losses: LossSum::restored(losses.0),
        };
        Ok(Self { sums, batches, words, time })
    }
}

/// Where the time goes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Clock {
    /// Of batches and optimizer steps, waiting included.
    pub(super) training: Duration,
    /// Waiting for batches.
    pub(super) waiting: Duration,
    pub(super) forward: Duration,
    pub(super) backward: Duration,
    pub(super) optimizer: Duration,
    pub(super) validation: Duration,
    /// Saving, as far as training waited for it.
    pub(super) saving: Duration,
    pub(super) words: u64,
}

impl Clock {
    /// The parts in seconds, of a run that took `total`.
    pub(super) fn seconds(&self, total: Duration) -> Seconds {
        let seconds = |time: Duration| Number(time.as_secs_f64());
        Seconds {
            total: seconds(total),
            data: seconds(self.waiting),
            forward: seconds(self.forward),
            backward: seconds(self.backward),
            optimizer: seconds(self.optimizer),
            validation: seconds(self.validation),
            saving: seconds(self.saving),
        }
    }
}

/// So many a second.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}
