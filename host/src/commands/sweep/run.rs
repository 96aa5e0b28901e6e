//! A sweep at work: trials are started as the schedule says, watched, and what becomes of them is written down before anything else
//! happens, so that the sweep goes on from there whatever ends it.

mod ending;
mod telling;

use std::env;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use kiwi_core::config::sweep::Method;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::environment;
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_sweep::directory::{self, name};
use kiwi_sweep::ranking::{self, Better};
use kiwi_sweep::record::{Ended, Event, Phase, State, Status, Writer};
use kiwi_sweep::table::{duration, labels, number};
use kiwi_sweep::{Next, Schedule};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level::signal_name;

use super::check::Prepared;
use super::children::{Children, Happened};
use super::command::{Length, Settings};
use super::progress::Progress;
use super::{Plan, invalid};
use crate::arguments::{CommonOptions, SweepArguments};
use crate::commands::program;
use crate::commands::told::Told;
use crate::launch::processes;
use crate::{print, signals};

/// How often the state of the trials is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a process of an earlier part of the sweep may take to save what there is.
const PATIENCE: Duration = Duration::from_secs(300);

/// A sweep that is about to run.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) plan: Plan,
    pub(super) prepared: Prepared,
    pub(super) schedule: Schedule,
    /// The lock of plugins that trials are held to.
    pub(super) lock: Option<PathBuf>,
    /// Whether standard error is a terminal that understands a moving progress bar.
    pub(super) interactive: bool,
}

/// Why no trial is begun any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    Signal(i32),
    TimeIsUp,
}

struct Running {
    plan: Plan,
    schedule: Schedule,
    settings: Settings,
    states: Vec<State>,
    writer: Writer,
    children: Children,
    /// For each place where a trial may compute, the place of the trial that does.
    slots: Vec<Option<usize>>,
    stopping: Option<Stopping>,
    progress: Progress,
    /// Names of the parameters, for people.
    labels: Vec<String>,
    since: Instant,
}

/// Runs what is left of a sweep; the exit code.
///
/// # Errors
/// When nothing can be started or written, or when all trials have failed.
pub(super) fn run(
    begun: Begun,
    arguments: &SweepArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    let Begun { plan, prepared, schedule, lock, interactive } = begun;
    let directory = &plan.directory;
    let _held = directory.lock().map_err(|error| invalid(&error))?;
    if arguments.resume {
        // Another one may have been at work until now.
        directory.check_same(&plan.sweep).map_err(|error| invalid(&error))?;
        directory.write_configs(&prepared.configs).map_err(|error| invalid(&error))?;
        directory.write_manifest(&plan.sweep).map_err(|error| invalid(&error))?;
    } else {
        directory.check_unused().map_err(|error| invalid(&error))?;
        directory.begin(&plan.sweep, &prepared.configs).map_err(|error| invalid(&error))?;
    }
    let mut states = directory::states(directory, plan.trials.len()).map_err(|error| invalid(&error))?;
    let mut writer = Writer::open(directory.path()).map_err(|error| invalid(&error))?;
    for (place, state) in states.iter_mut().enumerate() {
        let again = match state.phase {
            // Nobody was there to write down how it ended.
            Phase::Running => Event::Ended(Ended::without_run(state.rung, Status::Interrupted)),
            Phase::Failed if arguments.retry_failed => Event::Retried { rung: state.rung },
            _ => continue,
        };
        state.take(&again);
        writer.write(place + 1, again).map_err(|error| failed(&error))?;
    }
    let slots = vec![None; plan.sweep.parallel];
    let threads = threads(slots.len(), options);
    let settings = Settings { program: program()?, options: options.clone(), threads, lock };
    wait_for_earlier(&plan, &states, options.quiet);
    let word = processes::signals(&[SIGINT, SIGTERM, SIGUSR1]).map_err(|error| {
        Failure::new(
            ExitCode::RunFailed,
            Diagnostic::error(Code::MachineLimits, format!("signals cannot be taken care of: {error}")),
        )
    })?;
    signals::leave_to_others();
    let total = schedule.rungs.iter().map(|rung| rung.trials).sum();
    let labels = labels(&plan.sweep);
    let mut running = Running {
        progress: Progress::new(total, done(&states, &schedule), options.quiet, interactive),
        children: Children::new(word),
        plan,
        schedule,
        settings,
        states,
        writer,
        slots,
        stopping: None,
        labels,
        since: Instant::now(),
    };
    running.begin_line(threads, total);
    let went = running.go();
    running.progress.end();
    // What there is is told even where it cannot go on.
    running.conclude(arguments, told)?;
    went?;
    running.exit_code()
}

/// Rungs of trials that are behind.
fn done(states: &[State], schedule: &Schedule) -> usize {
    let rungs = |state: &State| (0..schedule.rungs.len()).filter(|rung| state.is_past(*rung)).count();
    states.iter().map(|state| if state.phase == Phase::Failed { state.rung + 1 } else { rungs(state) }).sum()
}

/// Threads of each of several trials, unless somebody has said.
fn threads(parallel: usize, options: &CommonOptions) -> Option<usize> {
    let omp = env::var_os(environment::OMP_NUM_THREADS.name).is_some_and(|threads| !threads.is_empty());
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (parallel > 1 && options.threads.is_none() && !omp).then(|| (cores / parallel).max(1))
}

/// Waits for processes that an earlier part of the sweep has left, which save where they are: they end since it has.
fn wait_for_earlier(plan: &Plan, states: &[State], quiet: bool) {
    for place in (0..states.len()).filter(|place| states[*place].phase == Phase::Interrupted) {
        let run = plan.directory.trial(place + 1);
        let begun = Instant::now();
        while directory::is_locked(&run) && begun.elapsed() < PATIENCE {
            if begun.elapsed() < Duration::from_millis(300) && !quiet {
                print::lines(&[format!(
                    "waiting for the process of trial {} of before to save where it is",
                    name(place + 1)
                )]);
            }
            thread::sleep(Duration::from_millis(300));
        }
    }
}

fn failed(error: &kiwi_sweep::Error) -> Failure {
    Failure::new(ExitCode::RunFailed, error.diagnostic())
}

impl Running {
    fn better(&self) -> Better {
        ranking::metric(&self.states).map_or(Better::default(), |metric| metric.better)
    }

    /// Starts trials and waits for them, until nothing is left or the sweep is to end.
    fn go(&mut self) -> Result<(), Failure> {
        loop {
            self.begin_some()?;
            if self.children.count() == 0 {
                return Ok(());
            }
            match self.children.next(LOOK) {
                Happened::Ended(trial, status) => self.ended(trial, status)?,
                Happened::Signal(signal) => self.stop(Stopping::Signal(signal), signal),
                Happened::Nothing => {}
            }
            let limit = self.plan.sweep.max_hours.map(|hours| hours * 3600.0);
            if self.stopping.is_none()
                && limit.is_some_and(|limit| self.since.elapsed().as_secs_f64() >= limit)
            {
                self.stop(Stopping::TimeIsUp, SIGTERM);
            }
            self.tell_state();
        }
    }

    /// Starts as many trials as may run at once.
    fn begin_some(&mut self) -> Result<(), Failure> {
        while self.stopping.is_none() {
            let Some(slot) = self.slots.iter().position(Option::is_none) else { return Ok(()) };
            match self.schedule.next(&self.states, self.better()) {
                Next::Start { trial, rung } => self.begin(trial, rung, slot)?,
                Next::Wait | Next::Done => return Ok(()),
            }
        }
        Ok(())
    }

    fn begin(&mut self, trial: usize, rung: usize, slot: usize) -> Result<(), Failure> {
        let number = trial + 1;
        let budget = self.schedule.rungs[rung].budget;
        let length = match (self.plan.sweep.method, budget) {
            (Method::SuccessiveHalving { resource, .. }, Some(budget)) => Some(Length { resource, budget }),
            _ => None,
        };
        let path = self.plan.directory.log(number);
        let refuse = |what: String, error: &dyn std::fmt::Display| {
            let error = Diagnostic::error(Code::MachineLimits, format!("{what}: {error}")).help(
                "look at the limits of this machine (`ulimit -a`) and its disk, then go on with --resume",
            );
            Failure::new(ExitCode::RunFailed, error)
        };
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(|error| refuse(format!("cannot write {}", path.display()), &error))?;
        let gpu = self.plan.sweep.devices.get(slot).copied();
        let mut command = self.settings.command(&self.plan.directory, number, length, gpu, log);
        // Written down before it is begun: whoever goes on after a crash finds the run.
        let started = Event::Started { rung, budget };
        self.writer.write(number, started.clone()).map_err(|error| failed(&error))?;
        let goes_on = self.states[trial].has_begun();
        self.states[trial].take(&started);
        self.slots[slot] = Some(trial);
        self.children
            .start(trial, &mut command)
            .map_err(|error| refuse(format!("trial {} cannot be started", name(number)), &error))?;
        let to = length.map_or_else(String::new, |Length { resource, budget }| {
            let name = resource.name();
            format!(" to {budget} {}", if budget == 1 { name.trim_end_matches('s') } else { name })
        });
        let gpu = gpu.map_or_else(String::new, |gpu| format!(" on GPU {gpu}"));
        let begins = if goes_on { format!("goes on{to}") } else { format!("begins{to}") };
        self.progress.line(format!("trial {} {begins}{gpu}: {}", name(number), self.values(trial)));
        Ok(())
    }

    fn ended(&mut self, trial: usize, status: ExitStatus) -> Result<(), Failure> {
        let best_before = ranking::best(&self.states);
        let ended = self.how(trial, status);
        let event = Event::Ended(ended.clone());
        self.writer.write(trial + 1, event.clone()).map_err(|error| failed(&error))?;
        self.states[trial].take(&event);
        for slot in self.slots.iter_mut().filter(|slot| **slot == Some(trial)) {
            *slot = None;
        }
        let best = ranking::best(&self.states);
        if best == Some(trial) && ended.status != Status::Failed {
            self.write_best(trial)?;
        }
        let measured = ended.measured.as_ref();
        let figures = measured.map_or_else(String::new, |measured| {
            let value = measured.value.map_or_else(
                || "no validation".to_owned(),
                |value| format!("{} {}", measured.metric, number(value.0)),
            );
            let epochs = if measured.epochs == 1 {
                "1 epoch".to_owned()
            } else {
                format!("{} epochs", measured.epochs)
            };
            format!("{value} after {epochs}, {}", duration(measured.seconds.0))
        });
        let best = if best == Some(trial) && best_before != best { ", best so far" } else { "" };
        let line = match (ended.status, &ended.reason) {
            (Status::Finished, _) => format!("trial {} ended: {figures}{best}", name(trial + 1)),
            (Status::Interrupted, _) if figures.is_empty() => {
                format!("trial {} was interrupted", name(trial + 1))
            }
            (Status::Interrupted, _) => format!("trial {} was interrupted: {figures}", name(trial + 1)),
            (Status::Failed, reason) => {
                let reason = reason.as_deref().unwrap_or("it does not say why");
                format!("trial {} failed: {reason}", name(trial + 1))
            }
        };
        self.progress.line(line);
        self.progress.done(done(&self.states, &self.schedule));
        Ok(())
    }

    fn write_best(&self, trial: usize) -> Result<(), Failure> {
        let directory = &self.plan.directory;
        let config = directory.config(trial + 1);
        let text = std::fs::read_to_string(&config)
            .map_err(|cause| failed(&kiwi_sweep::Error::Unreadable { path: config, cause }))?;
        directory::write(&directory.best(), &text).map_err(|error| failed(&error))
    }

    /// Begins no further trial, and has those under way save where they are.
    fn stop(&mut self, why: Stopping, signal: i32) {
        if self.stopping.is_none() {
            let many = match self.children.count() {
                1 => "1 trial saves where it is".to_owned(),
                many => format!("{many} trials save where they are"),
            };
            self.progress.line(match why {
                Stopping::Signal(signal) => {
                    let signal = signal_name(signal).unwrap_or("a signal");
                    format!("interrupted by {signal}: {many}; a second signal ends them at once")
                }
                Stopping::TimeIsUp => format!("the time is up: {many}"),
            });
        }
        self.stopping = match (self.stopping, why) {
            (Some(Stopping::TimeIsUp) | None, why) => Some(why),
            (before, _) => before,
        };
        self.children.tell(signal);
    }
}
