//! The processes of the trials that are under way: started, waited for, sent what signals the sweep is sent, and ended with it. They
//! are independent of one another: one that fails leaves the others alone.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::SIGCHLD;

/// How long they may take to save what there is, once they were told to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Processes, each of a trial.
#[derive(Debug)]
pub(super) struct Children {
    running: Vec<Running>,
    signals: Receiver<i32>,
    /// When those that were told to end are killed.
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    /// Place of its trial.
    trial: usize,
    child: Child,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// The process of a trial has ended.
    Ended(usize, ExitStatus),
    /// The sweep was sent a signal.
    Signal(i32),
    /// Nothing, for as long as was asked.
    Nothing,
}

impl Children {
    /// None yet; `signals` is where word of signals and of ended processes comes from.
    pub(super) fn new(signals: Receiver<i32>) -> Self {
        Self { running: Vec::new(), signals, deadline: None }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Starts one, in a process group of its own, so that what is typed at the terminal reaches only the sweep. It ends when
    /// the sweep does (`launch::stay_with_parent`).
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&mut self, trial: usize, command: &mut Command) -> io::Result<()> {
        let child = command.process_group(0).spawn()?;
        self.running.push(Running { trial, child });
        Ok(())
    }

    /// Waits for whatever happens next, not longer than `most`.
    pub(super) fn next(&mut self, most: Duration) -> Happened {
        let until = Instant::now() + most;
        loop {
            if let Some((trial, status)) = self.ended() {
                return Happened::Ended(trial, status);
            }
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.kill();
            }
            if now >= until {
                return Happened::Nothing;
            }
            // Should the word that one has ended be lost, it is found all the same.
            let wait = until.saturating_duration_since(now).min(Duration::from_millis(500));
            match self.signals.recv_timeout(wait) {
                Ok(SIGCHLD) | Err(RecvTimeoutError::Timeout) => {}
                Ok(signal) => return Happened::Signal(signal),
                Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
            }
        }
    }

    /// One that has ended.
    fn ended(&mut self) -> Option<(usize, ExitStatus)> {
        let found = self.running.iter_mut().enumerate().find_map(|(place, one)| match one.child.try_wait() {
            Ok(Some(status)) => Some((place, status)),
            // That of a child that was not waited for cannot be unknown.
            Ok(None) | Err(_) => None,
        });
        found.map(|(place, status)| (self.running.remove(place).trial, status))
    }

    /// Hands on a signal that has them save where they are and end.
    pub(super) fn tell(&mut self, signal: i32) {
        self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
        for pid in self.running.iter().filter_map(Running::pid) {
            let _ = kill_process(pid, signal);
        }
    }

    fn kill(&mut self) {
        for pid in self.running.iter().filter_map(Running::pid) {
            // With whatever it has started itself.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Running {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.kill();
        for one in &mut self.running {
            let _ = one.child.wait();
        }
    }
}
