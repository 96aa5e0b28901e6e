//! What a sweep says of itself: how it begins, how it stands, what it came to and how to go on with it.

use std::env;

use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::shell;
use kiwi_sweep::directory::name;
use kiwi_sweep::ranking;
use kiwi_sweep::record::Phase;
use kiwi_sweep::table::{number, shown};
use kiwi_sweep::{Next, Table};

use super::super::{Plan, page, print_table};
use super::{Running, Stopping, done};
use crate::arguments::SweepArguments;
use crate::commands::told::Told;

impl Running {
    /// The values of a trial, for people.
    pub(super) fn values(&self, trial: usize) -> String {
        let values = self.labels.iter().zip(&self.plan.trials[trial]);
        values.map(|(label, value)| format!("{label} {}", shown(value))).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn tell_state(&self) {
        let running = self.slots.iter().flatten().count();
        let best = ranking::best(&self.states).and_then(|trial| {
            let value = self.states[trial].measured.as_ref()?.number()?;
            Some(format!(", best {} with {}", name(trial + 1), number(value)))
        });
        self.progress.state(format!("{running} running{}", best.unwrap_or_default()));
    }

    pub(super) fn begin_line(&self, threads: Option<usize>, total: usize) {
        let trials = self.plan.trials.len();
        let at_once = match self.slots.len() {
            1 => "one after the other".to_owned(),
            many => format!("{many} at once"),
        };
        let threads = threads.map_or_else(String::new, |threads| {
            format!("; each has --threads {threads}, unless --threads says otherwise")
        });
        let rungs = match &self.schedule.rungs[..] {
            [_] => String::new(),
            rungs => {
                let told = rungs.iter().map(|rung| match rung.budget {
                    Some(budget) => format!("{} to {budget}", rung.trials),
                    None => rung.trials.to_string(),
                });
                format!(", on {} rungs ({})", rungs.len(), told.collect::<Vec<_>>().join(", "))
            }
        };
        let before = done(&self.states, &self.schedule);
        let before = if before == 0 { String::new() } else { format!(", {before} of {total} done before") };
        let directory = self.plan.directory.path().display();
        let trials = if trials == 1 { "1 trial".to_owned() } else { format!("{trials} trials") };
        self.progress.line(format!("{trials} in {directory}{rungs}{before}, {at_once}{threads}"));
    }

    /// Prints the table and writes the page.
    pub(super) fn conclude(&self, arguments: &SweepArguments, told: &mut Told) -> Result<(), Failure> {
        let Plan { sweep, trials, directory } = &self.plan;
        let table = Table { sweep, directory, schedule: &self.schedule, trials, states: &self.states };
        print_table(&table, arguments.format)?;
        match page::write(&table) {
            Ok(()) => self.progress.line(format!("report: {}", directory.report().display())),
            // The trials are worth more than the page.
            Err(failure) => told.tell(
                &failure
                    .diagnostics
                    .into_iter()
                    .map(|one| Diagnostic { severity: Severity::Warning, ..one })
                    .collect::<Vec<_>>(),
            ),
        }
        Ok(())
    }

    pub(super) fn exit_code(&self) -> Result<i32, Failure> {
        let left = self.states.iter().any(|state| !matches!(state.phase, Phase::Finished | Phase::Failed));
        let left =
            left || self.stopping.is_some() && self.schedule.next(&self.states, self.better()) != Next::Done;
        let go_on = || format!("to go on: {}", resume_command());
        match self.stopping {
            Some(Stopping::Signal(_)) if left => {
                self.progress.line(go_on());
                return Ok(ExitCode::InterruptedResumable.number());
            }
            Some(Stopping::TimeIsUp) if left => self.progress.line(go_on()),
            _ => {}
        }
        let failed = self.states.iter().filter(|state| state.phase == Phase::Failed);
        let first = failed.clone().find_map(|state| state.reason.clone());
        if failed.count() < self.states.len() {
            return Ok(ExitCode::Success.number());
        }
        let error = Diagnostic::error(
            Code::TrialsFailed,
            match self.states.len() {
                1 => "the only trial has failed".to_owned(),
                many => format!("all {many} trials have failed"),
            },
        );
        let error = match first {
            Some(reason) => error.note(format!("the first: {reason}")),
            None => error,
        };
        let log = self.plan.directory.log(1);
        let error = error.help(format!(
            "look at {}, and once the cause is gone, try them again: {} --retry-failed",
            log.display(),
            resume_command()
        ));
        Err(Failure::new(ExitCode::RunFailed, error))
    }
}

/// The command that goes on with the sweep: the one that was typed, to resume.
fn resume_command() -> String {
    let own = ["--resume", "--retry-failed"];
    let given = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let words =
        ["kiwi-host".to_owned()].into_iter().chain(given.filter(|word| !own.contains(&word.as_str())));
    shell::command(words.chain(["--resume".to_owned()]))
}
