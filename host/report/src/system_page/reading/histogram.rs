//! How surprises are spread, counted as they come: in steps of a tenth of a nat, which are put together when it is known how far
//! they reach.

use kiwi_tracking::number::Number;
use serde::Serialize;

/// Steps in one nat.
const STEPS: usize = 10;
/// What is larger, in nats, is counted together.
const END: usize = 40;
/// So many bars are shown at most, not counting that of what is larger.
const BARS: usize = 32;

/// Counts of numbers of nats.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    below: u64,
    above: u64,
    not_finite: u64,
}

/// A bar: how many numbers are in `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Bar {
    pub(crate) from: Number,
    pub(crate) to: Number,
    pub(crate) count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * END], below: 0, above: 0, not_finite: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, nats: f64) {
        let place = nats * STEPS as f64;
        let slot = match place {
            _ if !place.is_finite() => &mut self.not_finite,
            _ if place < 0.0 => &mut self.below,
            _ => self.counts.get_mut(place as usize).unwrap_or(&mut self.above),
        };
        *slot += 1;
    }

    /// How many numbers were no numbers or had no bound.
    pub(crate) fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// The bars from 0 to the largest number; empty ones in between are there.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let used = self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let widths = [1, 2, 5, 10, 20];
        let width = widths.into_iter().find(|width| used.div_ceil(*width) <= BARS).unwrap_or(20);
        let nats = |steps: usize| Number(steps as f64 / STEPS as f64);
        let inner = self.counts[..used.next_multiple_of(width).min(self.counts.len())].chunks(width);
        let inner = inner.enumerate().map(|(place, counts)| Bar {
            from: nats(place * width),
            to: nats((place + 1) * width),
            count: counts.iter().sum(),
        });
        let edge = |from: f64, to: f64, count| {
            (count > 0).then_some(Bar { from: Number(from), to: Number(to), count })
        };
        let below = edge(f64::NEG_INFINITY, 0.0, self.below);
        let above = edge(END as f64, f64::INFINITY, self.above);
        below.into_iter().chain(inner).chain(above).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(numbers: &[f64]) -> Vec<(f64, f64, u64)> {
        let mut histogram = Histogram::default();
        numbers.iter().for_each(|number| histogram.add(*number));
        let all = histogram.bars().iter().map(|bar| bar.count).sum::<u64>() + histogram.not_finite();
        assert_eq!(all, numbers.len() as u64, "each number is counted once");
        histogram.bars().iter().map(|bar| (bar.from.0, bar.to.0, bar.count)).collect()
    }

    #[test]
    fn bars_are_as_wide_as_the_numbers_ask_for() {
        assert_eq!(bars(&[]), []);
        assert_eq!(bars(&[0.05, 0.15, 0.19]), [(0.0, 0.1, 1), (0.1, 0.2, 2)]);
        let wide = bars(&[0.0, 3.3, 12.05]);
        assert_eq!((wide.len(), wide[0], wide[24]), (25, (0.0, 0.5, 1), (12.0, 12.5, 1)));
        assert_eq!(bars(&[39.99]).len(), 20);
    }

    #[test]
    fn what_lies_beyond_is_counted_apart() {
        let beyond = bars(&[-0.1, 40.0, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!(beyond, [(f64::NEG_INFINITY, 0.0, 1), (40.0, f64::INFINITY, 2)]);
    }
}
