//! Processes that are one run: started one after the other, sent what signals the program is sent, and ended when one of them fails.
//! What they are is nothing of it.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

use super::ends::Ended;

/// How long processes may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// To end by themselves once one has failed.
    pub(crate) failed: Duration,
    /// To end by themselves once one was interrupted and has ended in good order: to save what there is.
    pub(crate) interrupted: Duration,
    /// To end once they were told to.
    pub(crate) told: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            failed: Duration::from_secs(3),
            interrupted: Duration::from_secs(300),
            told: Duration::from_secs(10),
        }
    }
}

/// How long nobody looks after the processes at most, should the word that one has ended be lost.
const LOOK: Duration = Duration::from_millis(500);

/// Signals that the program is sent, one after the other, among them word of processes that have ended.
///
/// # Errors
/// When the operating system refuses.
pub(crate) fn signals(others: &[i32]) -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new(others.iter().chain([&SIGCHLD]))?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("signals of processes".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                break;
            }
        }
    })?;
    Ok(receiver)
}

/// The processes of a run. Those that still live when it is dropped are killed.
#[derive(Debug)]
pub(crate) struct Processes {
    running: Vec<Running>,
    ended: Vec<Ended>,
    signals: Receiver<i32>,
    /// Signals that the processes were sent because the program was.
    forwarded: Vec<i32>,
    patience: Patience,
    /// When what is to happen next happens, if processes do not end.
    deadline: Option<Instant>,
    stage: Stage,
}

#[derive(Debug)]
struct Running {
    rank: usize,
    child: Child,
}

/// What was done to have processes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Left,
    /// They were told.
    Told,
    /// They were killed.
    Killed,
}

impl Processes {
    /// None yet. `signals` come from [`signals`].
    pub(crate) fn new(signals: Receiver<i32>, patience: Patience) -> Self {
        Self {
            running: Vec::new(),
            ended: Vec::new(),
            signals,
            forwarded: Vec::new(),
            patience,
            deadline: None,
            stage: Stage::Left,
        }
    }

    /// Starts the next one, in a process group of its own, so that what is typed at the terminal reaches only this program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(&mut self, command: &mut Command) -> io::Result<()> {
        let rank = self.running.len() + self.ended.len();
        let child = command.process_group(0).spawn()?;
        self.running.push(Running { rank, child });
        Ok(())
    }

    /// Waits until all have ended; how, in the order in which they did.
    pub(crate) fn wait(mut self) -> Vec<Ended> {
        loop {
            self.look();
            if self.running.is_empty() {
                return std::mem::take(&mut self.ended);
            }
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.go_further(now);
            }
            let wait =
                self.deadline.map_or(LOOK, |deadline| LOOK.min(deadline.saturating_duration_since(now)));
            match self.signals.recv_timeout(wait) {
                Ok(SIGCHLD) | Err(RecvTimeoutError::Timeout) => {}
                Ok(signal) => self.forward(signal),
                Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
            }
        }
    }

    /// Ends those that were started, and waits until they have.
    pub(crate) fn stop(mut self) {
        self.go_further(Instant::now());
        let _ = self.wait();
    }

    /// Finds those that have ended.
    fn look(&mut self) {
        let mut ended = Vec::new();
        let stopped = self.stage != Stage::Left;
        let forwarded = &self.forwarded;
        self.running.retain_mut(|one| match one.child.try_wait() {
            // That of a child that was not waited for cannot be unknown.
            Ok(None) | Err(_) => true,
            Ok(Some(status)) => {
                let by_request = status.signal().is_some_and(|signal| forwarded.contains(&signal));
                ended.push(Ended { rank: one.rank, status, stopped, by_request });
                false
            }
        });
        // Where several ended meanwhile, those that fail since another is gone come after it.
        ended.sort_by_key(|one| one.status.signal().is_none());
        for one in ended {
            self.ended.push(one);
            if one.status.success() || self.stage != Stage::Left {
                continue;
            }
            let patience =
                if one.is_interrupted() { self.patience.interrupted } else { self.patience.failed };
            let deadline = Instant::now() + patience;
            self.deadline = Some(self.deadline.map_or(deadline, |before| before.min(deadline)));
        }
    }

    /// Hands on a signal. Which have ended was looked up before, so that no number is that of another process.
    fn forward(&mut self, signal: i32) {
        self.forwarded.push(signal);
        if let Some(signal) = Signal::from_named_raw(signal) {
            for pid in self.running.iter().filter_map(Running::pid) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Tells those that are left to end, or kills them if they were told.
    fn go_further(&mut self, now: Instant) {
        let before = self.stage;
        for pid in self.running.iter().filter_map(Running::pid) {
            let _ = match before {
                Stage::Left => kill_process(pid, Signal::TERM),
                // With whatever it has started itself.
                Stage::Told | Stage::Killed => kill_process_group(pid, Signal::KILL),
            };
        }
        self.stage = if before == Stage::Left { Stage::Told } else { Stage::Killed };
        self.deadline = Some(now + self.patience.told);
    }
}

impl Running {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for one in &mut self.running {
            if let Some(pid) = one.pid() {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = one.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::sync::mpsc::Sender;

    use signal_hook::consts::{SIGKILL, SIGTERM, SIGUSR1};

    use super::*;
    use crate::launch::ends::{Outcome, outcome};

    const SHORT: Patience = Patience {
        failed: Duration::from_secs(1),
        interrupted: Duration::from_millis(300),
        told: Duration::from_millis(300),
    };
    const LONG: Patience = Patience {
        failed: Duration::from_secs(60),
        interrupted: Duration::from_secs(60),
        told: Duration::from_secs(60),
    };

    /// Word of ended processes as it comes, and of signals that the test sends in place of the operating system.
    fn word() -> (Sender<i32>, Receiver<i32>) {
        let (sender, receiver) = mpsc::channel();
        let (ended, to) = (signals(&[]).unwrap(), sender.clone());
        thread::spawn(move || ended.into_iter().try_for_each(|signal| to.send(signal)));
        (sender, receiver)
    }

    fn started(scripts: &[&str], patience: Patience) -> (Sender<i32>, Processes) {
        let (sender, receiver) = word();
        let mut processes = Processes::new(receiver, patience);
        for script in scripts {
            processes.start(Command::new("sh").args(["-c", script])).unwrap();
        }
        (sender, processes)
    }

    fn ranks(ended: &[Ended]) -> Vec<usize> {
        ended.iter().map(|one| one.rank).collect()
    }

    /// Waits until a process says that it is ready, by a file.
    fn wait_for(file: &std::path::Path) {
        while !file.exists() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn all_are_waited_for() {
        let begun = Instant::now();
        let (_sender, processes) = started(&["sleep 0.3", "exit 0"], SHORT);
        let ended = processes.wait();
        assert_eq!(ranks(&ended), [1, 0]);
        assert_eq!(outcome(&ended, 2), Outcome::Ended(0));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_first_that_fails_has_the_others_end() {
        let (_sender, processes) = started(&["exec sleep 600", "exit 3", "sleep 0.1; exit 4"], SHORT);
        let ended = processes.wait();
        assert_eq!(outcome(&ended, 3), Outcome::Failed { rank: 1, code: 3 });
        assert_eq!(ranks(&ended), [1, 2, 0]);
        assert_eq!(ended.iter().map(|one| one.stopped).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(ended[2].status.signal(), Some(SIGTERM));
    }

    #[test]
    fn others_may_end_by_themselves_first() {
        let (_sender, processes) = started(&["sleep 0.2; exit 7", "kill -9 $$"], LONG);
        let ended = processes.wait();
        assert_eq!(ranks(&ended), [1, 0]);
        assert!(ended.iter().all(|one| !one.stopped));
        let Outcome::Lost(complaint) = outcome(&ended, 2) else { panic!("{ended:?}") };
        assert_eq!(complaint.message, "rank 1 of 2 was ended by SIGKILL");
    }

    #[test]
    fn one_that_does_not_listen_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let deaf = format!("trap '' TERM; touch {}; sleep 600; sleep 600", ready.display());
        let fails = format!("until test -e {}; do sleep 0.01; done; exit 2", ready.display());
        let begun = Instant::now();
        let (_sender, processes) = started(&[&deaf, &fails], SHORT);
        let ended = processes.wait();
        assert_eq!(ended.iter().map(|one| one.status.signal()).collect::<Vec<_>>(), [None, Some(SIGKILL)]);
        assert_eq!(outcome(&ended, 2), Outcome::Failed { rank: 1, code: 2 });
        assert!(begun.elapsed() >= SHORT.failed + SHORT.told);
    }

    #[test]
    fn each_signal_is_handed_on_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str| {
            let file = folder.path().join(name).display().to_string();
            format!(
                "trap 'echo one >> {file}' USR1; trap 'exit 75' TERM; touch {file}.ready; while :; do sleep 0.02; done"
            )
        };
        let (sender, processes) = started(&[&script("a"), &script("b")], LONG);
        let waiting = thread::spawn(move || {
            for name in ["a.ready", "b.ready"] {
                wait_for(&folder.path().join(name));
            }
            sender.send(SIGUSR1).unwrap();
            for name in ["a", "b"] {
                wait_for(&folder.path().join(name));
            }
            sender.send(SIGTERM).unwrap();
            folder
        });
        let ended = processes.wait();
        assert_eq!(outcome(&ended, 2), Outcome::Ended(75));
        assert!(ended.iter().all(|one| !one.stopped));
        drop(waiting.join().unwrap());
    }

    #[test]
    fn a_signal_before_anybody_listens_interrupts() {
        let (sender, processes) = started(&["exec sleep 600", "exec sleep 600"], LONG);
        sender.send(SIGTERM).unwrap();
        let ended = processes.wait();
        assert_eq!(outcome(&ended, 2), Outcome::Ended(130));
    }

    #[test]
    fn nothing_is_left_of_processes_that_nobody_waits_for() {
        let (_sender, processes) = started(&["trap '' TERM; sleep 600; sleep 600"], SHORT);
        let pid = processes.running[0].pid().unwrap();
        drop(processes);
        assert!(rustix::process::test_kill_process(pid).is_err());
        let (_sender, processes) = started(&["exec sleep 600", "trap '' TERM; sleep 600; sleep 600"], SHORT);
        let pids: Vec<_> = processes.running.iter().filter_map(Running::pid).collect();
        processes.stop();
        assert!(pids.iter().all(|pid| rustix::process::test_kill_process(*pid).is_err()));
    }
}
