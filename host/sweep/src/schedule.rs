//! Which trial comes next. Grid and random search have one rung, on which all trials go their whole way. Successive halving
//! (Jamieson and Talwalkar 2016) has several: all trials go a little way, and the best of those on a rung go on to the next, in the
//! same run. A rung is complete before the next begins, so that who goes on does not depend on which trial was faster.

use std::cmp::Ordering;

use kiwi_core::config::sweep::Method;

use crate::ranking::{Better, compare};
use crate::record::{Phase, State};

/// A part of the way, and how many go it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Epochs or steps that a trial has done at its end; `None`: as many as its config says.
    pub budget: Option<u64>,
    /// Trials that go this far.
    pub trials: usize,
}

/// The rungs of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// In order; at least one.
    pub rungs: Vec<Rung>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This trial, by its place, is to begin or to go on.
    Start {
        /// Its place among all.
        trial: usize,
        /// The rung it is on.
        rung: usize,
    },
    /// Trials that are under way decide what comes next.
    Wait,
    /// Nothing is left.
    Done,
}

impl Schedule {
    /// The rungs of a method; `most` is how far a trial goes at the end, in the method's own measure.
    #[must_use]
    pub fn new(method: Method, trials: usize, most: Option<u64>) -> Self {
        let (Method::SuccessiveHalving { least, factor, .. }, Some(most)) = (method, most) else {
            return Self { rungs: vec![Rung { budget: None, trials }] };
        };
        let mut rungs = Vec::new();
        let (mut budget, mut left) = (least, trials);
        // The last rung is the whole way, and what would end less than `factor` before it is that rung, too. One that is alone has
        // nobody to be compared with.
        while left > 1 && budget.checked_mul(factor).is_some_and(|next| next <= most) {
            rungs.push(Rung { budget: Some(budget), trials: left });
            budget *= factor;
            left = (left / usize::try_from(factor).unwrap_or(usize::MAX)).max(1);
        }
        rungs.push(Rung { budget: Some(most), trials: left });
        Self { rungs }
    }

    /// What is to be done where the trials are in these states.
    #[must_use]
    pub fn next(&self, states: &[State], better: Better) -> Next {
        let mut members: Vec<usize> = (0..states.len()).collect();
        for (rung, _) in self.rungs.iter().enumerate() {
            if rung > 0 {
                members = self.promoted(rung, &members, states, better);
            }
            let open = |trial: &&usize| !states[**trial].is_past(rung);
            let waiting = members.iter().filter(open).find(|trial| states[**trial].phase != Phase::Running);
            if let Some(trial) = waiting {
                return Next::Start { trial: *trial, rung };
            }
            if members.iter().any(|trial| open(&trial)) {
                return Next::Wait;
            }
        }
        Next::Done
    }

    /// Those of the rung before that go on to this one, in the order of their numbers.
    fn promoted(&self, rung: usize, before: &[usize], states: &[State], better: Better) -> Vec<usize> {
        let value = |trial: usize| states[trial].value_at(rung - 1);
        let mut ranked: Vec<usize> =
            before.iter().copied().filter(|trial| value(*trial).is_some_and(f64::is_finite)).collect();
        ranked.sort_by(|a, b| match (value(*a), value(*b)) {
            (Some(one), Some(other)) => compare(one, other, better).then(a.cmp(b)),
            _ => Ordering::Equal,
        });
        ranked.truncate(self.rungs[rung].trials);
        ranked.sort_unstable();
        ranked
    }
}

#[cfg(test)]
mod tests {
    use kiwi_core::config::sweep::Resource;

    use super::*;
    use crate::record::{Ended, Status};

    fn halving(trials: usize, least: u64, factor: u64, most: u64) -> Vec<(u64, usize)> {
        let method = Method::SuccessiveHalving { trials, seed: 1, resource: Resource::Epochs, least, factor };
        let schedule = Schedule::new(method, trials, Some(most));
        schedule.rungs.iter().map(|rung| (rung.budget.unwrap(), rung.trials)).collect()
    }

    #[test]
    fn each_rung_has_a_part_of_the_trials_and_goes_as_many_times_as_far() {
        assert_eq!(halving(9, 1, 3, 9), [(1, 9), (3, 3), (9, 1)]);
        assert_eq!(halving(27, 1, 3, 10), [(1, 27), (3, 9), (10, 3)]);
        assert_eq!(halving(4, 1, 2, 100), [(1, 4), (2, 2), (100, 1)]);
        assert_eq!(halving(5, 2, 3, 5), [(5, 5)]);
        assert_eq!(halving(2, 1, 9, u64::MAX), [(1, 2), (u64::MAX, 1)]);
    }

    fn run(states: &mut [State], trial: usize, rung: usize, value: Option<f64>) {
        states[trial].phase = Phase::Running;
        let status = if value.is_some() { Status::Finished } else { Status::Failed };
        states[trial].ended(&Ended::without_run(rung, status).with_value(value));
    }

    #[test]
    fn the_best_of_a_rung_go_on_once_it_is_complete() {
        let method =
            Method::SuccessiveHalving { trials: 4, seed: 1, resource: Resource::Epochs, least: 1, factor: 2 };
        let schedule = Schedule::new(method, 4, Some(4));
        let mut states = vec![State::default(); 4];
        let next = |states: &[State]| schedule.next(states, Better::Lower);
        assert_eq!(next(&states), Next::Start { trial: 0, rung: 0 });
        states[0].phase = Phase::Running;
        assert_eq!(next(&states), Next::Start { trial: 1, rung: 0 });
        for (trial, value) in [(0, Some(5.0)), (1, Some(f64::NAN)), (2, Some(4.0))] {
            run(&mut states, trial, 0, value);
        }
        states[3].phase = Phase::Running;
        assert_eq!(next(&states), Next::Wait);
        run(&mut states, 3, 0, Some(4.0));
        // Of equals the first.
        assert_eq!(next(&states), Next::Start { trial: 2, rung: 1 });
        assert_eq!(schedule.next(&states, Better::Higher), Next::Start { trial: 0, rung: 1 });
        run(&mut states, 2, 1, Some(3.0));
        assert_eq!(next(&states), Next::Start { trial: 3, rung: 1 });
        run(&mut states, 3, 1, Some(3.5));
        assert_eq!(next(&states), Next::Start { trial: 2, rung: 2 });
        run(&mut states, 2, 2, Some(2.0));
        assert_eq!(next(&states), Next::Done);
    }

    #[test]
    fn a_trial_that_fails_is_passed_over_and_one_that_was_interrupted_goes_on() {
        let schedule = Schedule::new(Method::Grid, 3, None);
        let mut states = vec![State::default(); 3];
        run(&mut states, 0, 0, None);
        states[1].phase = Phase::Running;
        states[1].ended(&Ended::without_run(0, Status::Interrupted));
        assert_eq!(schedule.next(&states, Better::Lower), Next::Start { trial: 1, rung: 0 });
        run(&mut states, 1, 0, Some(1.0));
        run(&mut states, 2, 0, None);
        assert_eq!(schedule.next(&states, Better::Lower), Next::Done);
    }

    #[test]
    fn where_all_of_a_rung_fail_nothing_is_left() {
        let method =
            Method::SuccessiveHalving { trials: 2, seed: 1, resource: Resource::Steps, least: 1, factor: 2 };
        let schedule = Schedule::new(method, 2, Some(8));
        let mut states = vec![State::default(); 2];
        run(&mut states, 0, 0, None);
        run(&mut states, 1, 0, None);
        assert_eq!(schedule.next(&states, Better::Lower), Next::Done);
    }
}
