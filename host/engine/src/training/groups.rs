//! How the batches of an epoch are grouped into optimizer steps.

use kiwi_core::config::TrainerSection;

/// Batches whose gradients make one optimizer step; those left at an epoch's end make one of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accumulation {
    batches: usize,
    steps: usize,
}

impl Accumulation {
    /// Over an epoch of `batches`, `steps` of them a step.
    pub(crate) fn new(batches: usize, steps: u64) -> Self {
        Self { batches, steps: usize::try_from(steps).unwrap_or(usize::MAX).max(1) }
    }

    /// How many batches are in the step that `batch` (from 0) belongs to.
    pub(crate) fn size_at(self, batch: usize) -> usize {
        let start = batch - batch % self.steps;
        self.steps.min(self.batches - start)
    }

    /// Whether `batch` (from 0) is the last of its step.
    pub(crate) fn ends_at(self, batch: usize) -> bool {
        (batch + 1).is_multiple_of(self.steps) || batch + 1 == self.batches
    }

    /// Optimizer steps of a run that nothing ends before its time.
    pub(crate) fn steps_of_run(self, trainer: &TrainerSection) -> u64 {
        let all = (self.steps_an_epoch() as u64).saturating_mul(trainer.epochs);
        trainer.max_steps.map_or(all, |limit| limit.min(all))
    }

    /// Optimizer steps of an epoch.
    pub(crate) fn steps_an_epoch(self) -> usize {
        self.batches.div_ceil(self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_at_the_end_makes_a_step() {
        let groups = Accumulation::new(5, 2);
        let sizes: Vec<_> = (0..5).map(|batch| groups.size_at(batch)).collect();
        let ends: Vec<_> = (0..5).filter(|batch| groups.ends_at(*batch)).collect();
        assert_eq!(sizes, [2, 2, 2, 2, 1]);
        assert_eq!(ends, [1, 3, 4]);
        assert_eq!(groups.steps_an_epoch(), 3);
    }

    #[test]
    fn more_than_the_epoch_has_is_one_step() {
        let groups = Accumulation::new(3, 10);
        assert_eq!(groups.size_at(2), 3);
        assert!(groups.ends_at(2) && !groups.ends_at(1));
    }
}
