//! What an axis shows: which numbers, and where.

use crate::text;

/// A linear axis. Numbers may be as large as they like: no difference of two is formed that could overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis over the finite ones of `values`, drawn between the places `from` and `to`, with `margin` of its length free at
    /// both ends.
    pub(crate) fn over(values: impl Iterator<Item = f64>, from: f64, to: f64, margin: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if low == high {
            let around = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (finite(low - around, low), finite(high + around, high));
        } else {
            let free = (high / 2.0 - low / 2.0) * 2.0 * margin;
            (low, high) = (finite(low - free, low), finite(high + free, high));
        }
        Self { low, high, from, to }
    }

    /// An axis over optimizer steps, from 0 unless that is far from all of them.
    pub(crate) fn of_steps(steps: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let (low, high) =
            steps.clone().fold((f64::INFINITY, 0.0_f64), |(low, high), step| (low.min(step), high.max(step)));
        let origin = (low < high * 0.3).then_some(0.0);
        Self::over(steps.chain(origin), from, to, 0.0)
    }

    /// Where a number stands.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let length = self.high / 2.0 - self.low / 2.0;
        let part = if length > 0.0 { (value / 2.0 - self.low / 2.0) / length } else { 0.5 };
        self.from + part * (self.to - self.from)
    }

    /// About `count` round numbers.
    pub(crate) fn ticks(&self, count: usize) -> Vec<f64> {
        let length = self.high - self.low;
        let rough = length / count as f64;
        if !rough.is_normal() {
            return vec![self.low, self.high];
        }
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil();
        let ticks = (0..=2 * count).map(|place| (first + place as f64) * step);
        ticks.take_while(|tick| *tick <= self.high).filter(|tick| tick.is_finite()).collect()
    }
}

fn finite(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value } else { otherwise }
}

/// A number of an axis.
pub(crate) fn label(tick: f64) -> String {
    let size = tick.abs();
    let scaled = |unit: f64, name| format!("{}{name}", text::number(tick / unit));
    match size {
        _ if (1e3..1e6).contains(&size) => scaled(1e3, "k"),
        _ if (1e6..1e9).contains(&size) => scaled(1e6, "M"),
        // What is left of zero after rounding.
        _ if size < 1e-300 => "0".to_owned(),
        _ => text::number(tick),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let ticks = |values: &[f64], count| {
            let axis = Axis::over(values.iter().copied(), 0.0, 1.0, 0.0);
            axis.ticks(count).into_iter().map(label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ticks(&[0.0, 100_000.0], 5), "0 20k 40k 60k 80k 100k");
        assert_eq!(ticks(&[19.3, 203.0], 5), "50 100 150 200");
        assert_eq!(ticks(&[0.0001, 0.001], 5), "0.0002 0.0004 0.0006 0.0008 0.001");
        assert_eq!(ticks(&[-1.0, 1.0], 5), "-1 -0.5 0 0.5 1");
        assert_eq!(ticks(&[], 5), "0 0.2 0.4 0.6 0.8 1");
    }

    proptest! {
        #[test]
        fn any_numbers_have_a_place(values in proptest::collection::vec(any::<f64>(), 0..8), margin in 0.0..0.2) {
            let axis = Axis::over(values.iter().copied(), 40.0, 600.0, margin);
            for value in values.into_iter().filter(|value| value.is_finite()) {
                let place = axis.place(value);
                prop_assert!((39.9..=600.1).contains(&place), "{} at {}", value, place);
            }
            for tick in axis.ticks(5) {
                prop_assert!(tick.is_finite() && (39.0..=601.0).contains(&axis.place(tick)), "{}", tick);
            }
        }
    }
}
