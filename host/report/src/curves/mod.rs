//! Curves of a run, as its record tells them, and the charts that they go into.
//!
//! [`collect`] takes them from the record, [`charts`] puts the curves of one quantity into one chart, over all runs, and
//! [`thin`] leaves of a long curve what can be seen of it.

pub(crate) mod charts;
pub(crate) mod collect;
pub(crate) mod thin;

/// A value at a place of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// Optimizer steps that were done.
    pub(crate) step: u64,
    /// Seconds since the run began, without the time between its parts.
    pub(crate) seconds: f64,
    /// Any number, also none that is finite.
    pub(crate) value: f64,
}

/// Where the values of a curve come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The loss of the training batches.
    Loss,
    /// A metric, or a scalar of the head, over the training batches.
    Training,
    /// A loss or metric of a validation set.
    Validation,
    /// A learning rate.
    Rate,
    /// Target words a second.
    Speed,
}

/// A curve of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// As the log names it.
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) points: Vec<Point>,
}

/// What a curve comes to, before it is thinned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extremes {
    /// Points, the finite and the others.
    pub(crate) count: usize,
    /// Points that are not finite.
    pub(crate) odd: usize,
    pub(crate) first: Option<Point>,
    pub(crate) last: Option<Point>,
    /// Of the finite ones.
    pub(crate) lowest: Option<Point>,
    /// Of the finite ones.
    pub(crate) highest: Option<Point>,
}

impl Extremes {
    pub(crate) fn of(points: &[Point]) -> Self {
        let finite = || points.iter().filter(|point| point.value.is_finite()).copied();
        Self {
            count: points.len(),
            odd: points.len() - finite().count(),
            first: points.first().copied(),
            last: points.last().copied(),
            lowest: finite().min_by(|a, b| a.value.total_cmp(&b.value)),
            // The first of equals, as for the lowest.
            highest: finite().reduce(|a, b| if b.value > a.value { b } else { a }),
        }
    }
}
