//! What training comes to over some batches, and where its time goes.

use std::time::Duration;

use super::losses::LossSum;
use super::scalars::Scalars;
use crate::system::Tally;

/// Training values over some batches, on their way.
#[derive(Default)]
pub(super) struct Window {
    pub(super) tally: Tally,
    pub(super) scalars: Scalars,
    pub(super) losses: LossSum,
    pub(super) batches: usize,
    pub(super) words: u64,
    pub(super) time: Duration,
}

/// Where the time goes.
#[derive(Default)]
pub(super) struct Clock {
    pub(super) training: Duration,
    pub(super) waiting: Duration,
    pub(super) words: u64,
}

/// So many a second.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}
