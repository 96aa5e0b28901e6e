//! The learning rates of an optimizer's groups from step to step: constant, lowered on a plateau, or by a schedule that its class
//! brings.

use kiwi_plugin_api::abi::host::{CallError, ScheduleInstance};

use serde::{Deserialize, Serialize};

use super::plateau::{Plateau, Seen};

/// How rates change.
pub(super) enum Course {
    Constant,
    Plateau(Plateau),
    /// A schedule, and how the log tells of it.
    Own(ScheduleInstance, String),
}

/// How far the rates of an optimizer have come: what is kept of them beside its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Steps taken, with those of the runs whose state was loaded.
    pub(super) steps: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plateau: Option<PlateauProgress>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PlateauProgress {
    /// The metric that was followed.
    main_metric: Option<String>,
    /// The rates of the config, one a group.
    configured: Vec<f64>,
    /// What has become of them.
    lowered: Vec<f64>,
    seen: Seen,
}

/// The rates of one optimizer.
pub(super) struct Rates {
    /// One a group, without the factor of a schedule.
    groups: Vec<f64>,
    /// The same as the config gives them.
    configured: Vec<f64>,
    course: Course,
    /// Steps taken before this run.
    before: u64,
    main_metric: Option<String>,
}

impl Rates {
    /// Rates that go on from `progress`: with the step that follows its last; and, if the config has the same rates and the same
    /// main metric, as lowered as they were. Other rates in the config are a new beginning.
    pub(super) fn new(
        configured: Vec<f64>,
        mut course: Course,
        main_metric: Option<String>,
        progress: Option<Progress>,
    ) -> Self {
        let before = progress.as_ref().map_or(0, |progress| progress.steps);
        let mut groups = configured.clone();
        if let (Course::Plateau(plateau), Some(kept)) = (&mut course, progress.and_then(|kept| kept.plateau))
            && kept.configured == configured
            && kept.lowered.len() == configured.len()
            && kept.main_metric == main_metric
        {
            plateau.go_on(kept.seen);
            groups = kept.lowered;
        }
        Self { groups, configured, course, before, main_metric }
    }

    /// Goes on within the same run: as lowered as they were.
    pub(super) fn go_on(&mut self, progress: Progress) {
        if let (Course::Plateau(plateau), Some(kept)) = (&mut self.course, progress.plateau)
            && kept.lowered.len() == self.groups.len()
        {
            // What another metric came to says nothing of this one.
            if kept.main_metric == self.main_metric {
                plateau.go_on(kept.seen);
            }
            self.groups = kept.lowered;
        }
    }

    /// How far they have come after so many steps of this run.
    pub(super) fn progress(&self, steps: u64) -> Progress {
        let plateau = match &self.course {
            Course::Plateau(plateau) => Some(PlateauProgress {
                main_metric: self.main_metric.clone(),
                configured: self.configured.clone(),
                lowered: self.groups.clone(),
                seen: plateau.seen(),
            }),
            Course::Constant | Course::Own(..) => None,
        };
        Progress { steps: self.before + steps, plateau }
    }

    /// The rates of a step of this run, counted from 0: one a group.
    ///
    /// # Errors
    /// When the plugin of a schedule fails.
    pub(super) fn of_step(&mut self, step: u64) -> Result<Vec<f64>, CallError> {
        let factor = match &mut self.course {
            Course::Constant | Course::Plateau(_) => 1.0,
            Course::Own(schedule, _) => schedule.factor(self.before + step)?,
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
        let course = match &self.course {
            Course::Constant => " for the whole run".to_owned(),
            Course::Plateau(plateau) => format!(", {}", plateau.describe()),
            Course::Own(_, text) => format!(", {text}"),
        };
        match self.before {
            0 => course,
            before => format!("{course}; goes on after step {before}"),
        }
    }

    /// The rates without the factor of a schedule: one a group.
    pub(super) fn groups(&self) -> &[f64] {
        &self.groups
    }
}

#[cfg(test)]
mod tests {
    use kiwi_plugin_api::Ordering;

    use super::*;

    fn rates(configured: [f64; 2], main_metric: &str, progress: Option<Progress>) -> Rates {
        let course = Course::Plateau(Plateau::new(0.3, 1, Ordering::Min));
        Rates::new(configured.to_vec(), course, Some(main_metric.to_owned()), progress)
    }

    /// Through the text of a file.
    fn kept(rates: &Rates) -> Option<Progress> {
        let text = serde_json::to_string(&rates.progress(7)).unwrap();
        Some(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_plateau_goes_on_from_any_validation_as_if_never_interrupted() {
        let values = [3.1, 3.0, 3.05, 3.2, f64::INFINITY, 2.9, f64::NAN, 2.9, 2.9, 3.0, 3.0];
        for interrupted in 0..values.len() {
            let (mut whole, mut resumed) = (rates([0.1, 0.7], "PERP", None), rates([0.1, 0.7], "PERP", None));
            for (index, value) in values.into_iter().enumerate() {
                if index == interrupted {
                    resumed = rates([0.1, 0.7], "PERP", kept(&resumed));
                }
                assert_eq!(whole.validated(Some(value)), resumed.validated(Some(value)));
                assert_eq!(whole.groups(), resumed.groups(), "{interrupted}, {index}");
            }
            assert!(whole.groups()[0] < 0.1, "lowered at all");
        }
    }

    #[test]
    fn other_rates_and_another_main_metric_are_a_new_beginning() {
        let mut lowered = rates([0.1, 0.7], "PERP", None);
        for _ in 0..4 {
            let _ = lowered.validated(Some(3.0));
        }
        assert!(lowered.groups()[1] < 0.7);
        assert_eq!(rates([0.1, 0.7], "PERP", kept(&lowered)).groups(), lowered.groups());
        assert_eq!(rates([0.1, 0.5], "PERP", kept(&lowered)).groups(), [0.1, 0.5]);
        assert_eq!(rates([0.1, 0.7], "CORRECT", kept(&lowered)).groups(), [0.1, 0.7]);
        assert_eq!(rates([0.1, 0.5], "PERP", kept(&lowered)).progress(2).steps, 9, "steps are counted on");
    }
}
