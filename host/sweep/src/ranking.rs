//! Which trial is better, and all of them in that order.

use std::cmp::Ordering;

use crate::measured::Measured;
use crate::record::{Phase, State};

/// Which values of the main metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Better {
    /// Lower ones.
    #[default]
    Lower,
    /// Higher ones.
    Higher,
}

impl Better {
    /// As records of runs say it: `min` or `max`.
    #[must_use]
    pub fn of(ordering: &str) -> Self {
        if ordering == "max" { Self::Higher } else { Self::Lower }
    }

    /// The opposite of [`Self::of`].
    #[must_use]
    pub fn ordering(self) -> &'static str {
        match self {
            Self::Lower => "min",
            Self::Higher => "max",
        }
    }
}

/// The main metric of a sweep: that of the first trial that tells of one. A trial of another metric cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its full name, as `val_target_PERP`.
    pub name: String,
    /// Which values are better.
    pub better: Better,
}

/// The main metric, once a trial has been measured by it.
#[must_use]
pub fn metric(states: &[State]) -> Option<Metric> {
    let measured = states.iter().find_map(|state| state.measured.as_ref())?;
    Some(Metric { name: measured.metric.clone(), better: Better::of(&measured.ordering) })
}

/// Two values, the better first. What is not finite is worse than all that is.
#[must_use]
pub fn compare(one: f64, other: f64, better: Better) -> Ordering {
    match (one.is_finite(), other.is_finite()) {
        (true, true) if better == Better::Higher => other.total_cmp(&one),
        (true, true) => one.total_cmp(&other),
        (one, other) => other.cmp(&one),
    }
}

/// The value that a trial is ranked by. One that has failed has none, whatever it came to before: its config does not work.
fn value(state: &State) -> Option<f64> {
    let measured = state.measured.as_ref().filter(|_| state.phase != Phase::Failed);
    measured.and_then(Measured::number)
}

/// The places of all trials, best first: by the main metric, those without a value and those that failed last, equals in the order of
/// their numbers.
#[must_use]
pub fn ranked(states: &[State]) -> Vec<usize> {
    let better = metric(states).map_or(Better::default(), |metric| metric.better);
    let value = |place: &usize| value(&states[*place]);
    let mut places: Vec<usize> = (0..states.len()).collect();
    places.sort_by(|one, other| match (value(one), value(other)) {
        (Some(one), Some(other)) => compare(one, other, better),
        (one, other) => other.is_some().cmp(&one.is_some()),
    });
    places
}

/// The place of the best trial, if any has a finite value.
#[must_use]
pub fn best(states: &[State]) -> Option<usize> {
    ranked(states).into_iter().find(|place| value(&states[*place]).is_some_and(f64::is_finite))
}

#[cfg(test)]
mod tests {
    use kiwi_tracking::number::Number;

    use super::*;

    fn states(ordering: &str, values: &[Option<f64>]) -> Vec<State> {
        let state = |value: &Option<f64>| State {
            measured: value.map(|value| Measured {
                metric: "val_target_PERP".to_owned(),
                ordering: ordering.to_owned(),
                value: Some(Number(value)),
                ..Measured::default()
            }),
            ..State::default()
        };
        values.iter().map(state).collect()
    }

    #[test]
    fn the_best_stands_first_and_what_has_no_value_last() {
        let values = [None, Some(3.0), Some(f64::NAN), Some(2.0), Some(f64::INFINITY), Some(2.0)];
        assert_eq!(ranked(&states("min", &values)), [3, 5, 1, 2, 4, 0]);
        assert_eq!(ranked(&states("max", &values)), [1, 3, 5, 2, 4, 0]);
        assert_eq!(best(&states("max", &values)), Some(1));
        assert_eq!(best(&states("min", &[None, Some(f64::NAN)])), None);
        let mut failed = states("min", &[Some(1.0), Some(2.0)]);
        failed[0].phase = Phase::Failed;
        assert_eq!((ranked(&failed), best(&failed)), (vec![1, 0], Some(1)));
    }
}
