//! The learning rates of an optimizer's groups from step to step: constant, lowered on a plateau, or by a schedule that its class
//! brings.

use kiwi_plugin_api::abi::host::{CallError, ScheduleInstance};

use super::plateau::Plateau;

/// How rates change.
pub(super) enum Course {
    Constant,
    Plateau(Plateau),
    /// A schedule, and how the log tells of it.
    Own(ScheduleInstance, String),
}

/// The rates of one optimizer.
pub(super) struct Rates {
    /// One a group, without the factor of a schedule.
    groups: Vec<f64>,
    course: Course,
}

impl Rates {
    pub(super) fn new(groups: Vec<f64>, course: Course) -> Self {
        Self { groups, course }
    }

    /// The rates of a step, counted from 0: one a group.
    ///
    /// # Errors
    /// When the plugin of a schedule fails.
    pub(super) fn of_step(&mut self, step: u64) -> Result<Vec<f64>, CallError> {
        let factor = match &mut self.course {
            Course::Constant | Course::Plateau(_) => 1.0,
            Course::Own(schedule, _) => schedule.factor(step)?,
        };
        Ok(self.groups.iter().map(|rate| rate * factor).collect())
    }

    /// Takes the main metric's value of a validation; the groups whose rates were lowered, with the rates before and after.
    pub(super) fn validated(&mut self, value: Option<f64>) -> Vec<(usize, f64, f64)> {
        let Course::Plateau(plateau) = &mut self.course else { return Vec::new() };
        if !plateau.validated(value) {
            return Vec::new();
        }
        let mut lowered = Vec::new();
        for (index, rate) in self.groups.iter_mut().enumerate() {
            let from = std::mem::replace(rate, plateau.lowered(*rate));
            if *rate < from {
                lowered.push((index, from, *rate));
            }
        }
        lowered
    }

    /// What becomes of the rates, to follow their values.
    pub(super) fn describe(&self) -> String {
        match &self.course {
            Course::Constant => " for the whole run".to_owned(),
            Course::Plateau(plateau) => format!(", {}", plateau.describe()),
            Course::Own(_, text) => format!(", {text}"),
        }
    }

    /// The rates without the factor of a schedule: one a group.
    pub(super) fn groups(&self) -> &[f64] {
        &self.groups
    }
}
