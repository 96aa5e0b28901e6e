//! Results as lines of JSON, with the keys of the PyTorch peer where it has them.

use serde::Serialize;

/// One run of `kiwi-host train`, over the steps after the warm-up unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Measurement {
    /// `kiwi-host`.
    pub(super) implementation: &'static str,
    /// Target words of the timed batches over the seconds they took.
    pub(super) target_tokens_per_second: f64,
    /// Mean time of a step, in milliseconds.
    pub(super) mean_step_ms: f64,
    /// Median time of a step, in milliseconds.
    pub(super) median_step_ms: f64,
    /// Shortest time of a step, in milliseconds.
    pub(super) min_step_ms: f64,
    /// The most memory that the program had resident, reading the text and the warm-up included, in mebibytes.
    pub(super) peak_rss_mib: f64,
    /// Timed batches.
    pub(super) batches: u64,
    /// Batches before them.
    pub(super) warmup: u64,
    /// Target words of the timed batches.
    pub(super) target_tokens: u64,
    /// Seconds that the timed batches took.
    pub(super) seconds: f64,
    /// Loss in nats over target words, of the first batch of the run.
    pub(super) first_loss_per_token: f64,
    /// Loss in nats over target words, of the last batch of the run.
    pub(super) last_loss_per_token: f64,
    /// Pairs of sentences in a batch.
    pub(super) batch_size: u64,
    /// Threads for the operators.
    pub(super) threads: u64,
    /// Where it was trained.
    pub(super) device: &'static str,
    /// `32` or `bf16`.
    pub(super) precision: &'static str,
    /// Entries of the vocabularies, special tokens among them.
    pub(super) vocab: Vocabularies,
    /// How many numbers are trained.
    pub(super) parameters: u64,
    /// `corpus` or `bucketed`.
    pub(super) order: &'static str,
    /// Whether libtorch's own operations took the place of the fused ones.
    pub(super) plain: bool,
    /// The shortest time that a step could take on this machine, in milliseconds: matrix products and Adam's memory.
    pub(super) floor_ms: f64,
    /// That time over the mean step's: 1 would be as fast as the machine can.
    pub(super) share_of_floor: f64,
    /// Matrix products that the machine reaches, in 10⁹ floating-point operations a second.
    pub(super) matrix_gflops: f64,
    /// Memory that Adam goes through on the machine, in 10⁹ bytes a second.
    pub(super) memory_gb_per_second: f64,
    /// Matrix products of a mean step, in 10⁹ floating-point operations.
    pub(super) gflop_per_step: f64,
}

/// Entries of the vocabularies, special tokens among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Vocabularies {
    /// Of the source.
    pub(super) source: u64,
    /// Of the target.
    pub(super) target: u64,
}

/// The two figures of a run that are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Speed {
    /// Target words a second.
    pub(super) words_per_second: f64,
    /// The most memory resident, in mebibytes.
    pub(super) memory_mib: f64,
}

impl Speed {
    /// Medians of both over several runs; `None` of none.
    pub(super) fn medians(runs: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure));
        Some(Self {
            words_per_second: of(|run| run.words_per_second)?,
            memory_mib: of(|run| run.memory_mib)?,
        })
    }
}

/// Ours against the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// Median of our target words a second.
    pub(super) median_ours: f64,
    /// Median of the peer's target words a second.
    pub(super) median_peer: f64,
    /// Ours over the peer's: above 1, ours is faster.
    pub(super) ratio: f64,
    /// Median of our peak memory over that of the peer's: under 1, ours takes less.
    pub(super) memory_ratio: f64,
}

impl Comparison {
    /// Of the medians of both sides.
    pub(super) fn new(ours: Speed, peer: Speed) -> Self {
        Self {
            median_ours: rounded(ours.words_per_second, 2),
            median_peer: rounded(peer.words_per_second, 2),
            ratio: rounded(ours.words_per_second / peer.words_per_second, 3),
            memory_ratio: rounded(ours.memory_mib / peer.memory_mib, 3),
        }
    }
}

/// The middle one, or the mean of the two in the middle; `None` of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut ordered: Vec<f64> = values.into_iter().collect();
    ordered.sort_by(f64::total_cmp);
    let upper = *ordered.get(ordered.len() / 2)?;
    let lower = *ordered.get((ordered.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

/// A number with so many places behind the point.
pub(super) fn rounded(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median([9.0, 1.0, 4.0, 5.0]), Some(4.5));
    }

    #[test]
    fn sides_are_compared_by_their_medians() {
        let speed = |words_per_second, memory_mib| Speed { words_per_second, memory_mib };
        let ours = Speed::medians(&[speed(1000.0, 600.0), speed(1400.0, 500.0), speed(1200.0, 550.0)]);
        let ours = ours.unwrap();
        assert_eq!(ours, speed(1200.0, 550.0));
        let comparison = Comparison::new(ours, speed(900.0, 1100.0));
        assert_eq!((comparison.ratio, comparison.memory_ratio), (1.333, 0.5));
        assert_eq!(Speed::medians(&[]), None);
    }

    #[test]
    fn numbers_are_rounded() {
        assert_eq!(rounded(1_234.567_89, 2), 1_234.57);
        assert_eq!(rounded(-0.000_4, 3), -0.0);
    }
}
