//! Where values stand on the axes of a drawing of trials.

use super::{Metric, Scale, Trial, Value};
use crate::chart::axis::{self, Axis};
use crate::text;

/// Categories of an axis with more are not all named.
const NAMED: usize = 14;

/// An axis, from bottom to top.
pub(super) struct ParameterAxis {
    scale: Scale,
    axis: Axis,
    from: f64,
    to: f64,
}

/// What stands beside an axis.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

impl ParameterAxis {
    /// The axis of a parameter, drawn between the places `from` and `to`.
    pub(super) fn new(scale: &Scale, from: f64, to: f64) -> Self {
        let ends = match scale {
            Scale::Linear(low, high) => [*low, *high],
            Scale::Logarithmic(low, high) => [low.log10(), high.log10()],
            Scale::Named(_) => [0.0, 1.0],
        };
        Self { scale: scale.clone(), axis: Axis::over(ends.into_iter(), from, to, 0.0), from, to }
    }

    /// The axis of the main metric: the better, the higher.
    pub(super) fn of_metric(metric: &Metric, trials: &[Trial], from: f64, to: f64) -> Self {
        let values = || trials.iter().filter_map(Trial::finite);
        let (from, to) = if metric.higher_is_better { (from, to) } else { (to, from) };
        let (low, high) = values()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        Self { scale: Scale::Linear(low, high), axis: Axis::over(values(), from, to, 0.0), from, to }
    }

    /// Where a number of an axis of numbers stands.
    pub(super) fn place_of(&self, number: f64) -> Option<f64> {
        let place = match self.scale {
            Scale::Linear(..) => self.axis.place(number),
            Scale::Logarithmic(..) if number > 0.0 => self.axis.place(number.log10()),
            Scale::Logarithmic(..) | Scale::Named(_) => return None,
        };
        place.is_finite().then_some(place)
    }

    /// Where a value stands.
    pub(super) fn place(&self, value: &Value) -> Option<f64> {
        match &self.scale {
            Scale::Named(names) => {
                names.iter().position(|name| *name == value.text).map(|place| self.nth(place, names.len()))
            }
            Scale::Linear(..) | Scale::Logarithmic(..) => self.place_of(value.number?),
        }
    }

    fn nth(&self, place: usize, count: usize) -> f64 {
        let share = if count < 2 { 0.5 } else { place as f64 / (count - 1) as f64 };
        self.from + share * (self.to - self.from)
    }

    /// What is named beside the axis.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        match &self.scale {
            Scale::Named(names) => {
                let every = names.len().div_ceil(NAMED).max(1);
                let named = names.iter().enumerate().step_by(every);
                named
                    .map(|(place, name)| Tick {
                        at: self.nth(place, names.len()),
                        label: text::short(name, 18),
                    })
                    .collect()
            }
            Scale::Linear(..) => self
                .axis
                .ticks(6)
                .into_iter()
                .map(|tick| Tick { at: self.axis.place(tick), label: axis::label(tick) })
                .collect(),
            Scale::Logarithmic(low, high) => logarithmic(*low, *high)
                .into_iter()
                .filter_map(|tick| Some(Tick { at: self.place_of(tick)?, label: text::number(tick) }))
                .collect(),
        }
    }
}

/// Round numbers of a logarithmic axis, of which no two stand close together.
fn logarithmic(low: f64, high: f64) -> Vec<f64> {
    let decades = high.log10() - low.log10();
    let within: &[f64] = if decades > 4.0 {
        &[1.0]
    } else if decades > 2.2 {
        &[1.0, 3.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let every = (decades / 8.0).ceil().max(1.0) as usize;
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let ticks = (first..=last).step_by(every).flat_map(|decade| {
        // Written out, since powers are not exact.
        within.iter().filter_map(move |times| format!("{times}e{decade}").parse::<f64>().ok())
    });
    let ticks: Vec<f64> = ticks.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect();
    if ticks.len() < 2 { vec![low, high] } else { ticks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_a_logarithmic_axis_are_round() {
        let shown =
            |low, high| logarithmic(low, high).into_iter().map(text::number).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(1e-4, 1e-2), "0.0001 0.0002 0.0005 0.001 0.002 0.005 0.01");
        assert_eq!(shown(5e-4, 2e-1), "0.001 0.003 0.01 0.03 0.1");
        assert_eq!(shown(1e-12, 1.0), "1e-12 1e-10 1e-8 1e-6 0.0001 0.01 1");
        assert_eq!(shown(1.2, 1.4), "1.2 1.4");
    }

    #[test]
    fn values_stand_between_the_ends_of_their_axis() {
        let value = |text: &str, number| Value { text: text.to_owned(), number };
        let axis = ParameterAxis::new(&Scale::Logarithmic(1e-4, 1e-2), 100.0, 0.0);
        assert_eq!(axis.place(&value("", Some(1e-3))).map(f64::round), Some(50.0));
        assert_eq!(axis.place(&value("", Some(0.0))), None);
        let named = ParameterAxis::new(&Scale::Named(["a", "b", "c"].map(str::to_owned).into()), 100.0, 0.0);
        assert_eq!(named.place(&value("b", None)), Some(50.0));
        assert_eq!(named.place(&value("d", None)), None);
        let one = ParameterAxis::new(&Scale::Named(vec!["a".to_owned()]), 100.0, 0.0);
        assert_eq!(one.place(&value("a", None)), Some(50.0));
    }
}
