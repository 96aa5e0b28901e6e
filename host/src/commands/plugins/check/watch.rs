//! Watching a process that runs a plugin: what it tells, what it prints, how long it takes, how much memory, and how it ends.
//!
//! Memory is what is resident, looked at from outside. Limits that the system enforces do not do: one on the address space
//! (`RLIMIT_AS`) counts what libtorch and CUDA only reserve, tens of gigabytes; one on data counts the stacks of threads; and with
//! either, what fails is an allocation somewhere, which the component reports as an error of another kind, if it reports anything.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugin_check::{CheckedComponent, Finding, PluginCheckRequest, Told};
use kiwi_core::request::Message;
use rustix::process::{Pid, Signal, kill_process_group};

use super::process::Order;
use crate::arguments::IN_PROCESS;

/// How often memory and time are looked at.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long libtorch may take to be opened, which is no fault of the plugin.
const TO_BEGIN: Duration = Duration::from_secs(300);
/// How long what was written before the end is waited for.
const TO_DRAIN: Duration = Duration::from_millis(500);
/// Lines of standard error that are kept.
const KEPT_LINES: usize = 8;
/// Bytes of a line that are kept.
const KEPT_BYTES: usize = 300;

/// What a check may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of one check.
    pub(super) time: Duration,
    /// Bytes that are resident.
    pub(super) memory: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself, or by a signal.
    Status(ExitStatus),
    /// It took too long and was killed.
    TooLong,
    /// It took too much memory and was killed; bytes.
    TooMuch(u64),
}

/// What was seen of a process.
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    /// The check that was under way at the end.
    pub(super) under_way: Option<String>,
    /// What the plugin was called for last.
    pub(super) phase: Option<String>,
    pub(super) registered: Option<Vec<CheckedComponent>>,
    /// The checks that there are for the component.
    pub(super) checks: Vec<String>,
    /// Whether it told all.
    pub(super) done: bool,
    pub(super) ending: Ending,
    /// The last lines of what it printed on standard error.
    pub(super) last_words: Vec<String>,
}

/// What comes from the process's outputs.
enum Heard {
    Message(Message),
    Words(String),
}

/// Runs the program again to carry out the request, and watches it.
///
/// # Errors
/// When it cannot be run, or says that something is wrong that has nothing to do with the plugin.
pub(super) fn run(
    program: &Path,
    libtorch: &Path,
    request: &PluginCheckRequest,
    limits: Limits,
) -> Result<Seen, Failure> {
    let order = Order { word: word(), libtorch: libtorch.to_owned(), request: request.clone() };
    let json = serde_json::to_string(&order)
        .map_err(|error| failed("the order cannot be written", &error.to_string()))?;
    let mut child = Command::new(program)
        .args(IN_PROCESS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // So that what it starts itself is ended with it, and a Ctrl-C reaches this program alone, whose end it follows.
        .process_group(0)
        .spawn()
        .map_err(|error| failed("the program cannot be run again to open the plugin", &error.to_string()))?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        hear_messages(stdout, order.word, sender.clone())?;
    }
    if let Some(stderr) = child.stderr.take() {
        hear_words(stderr, sender)?;
    }
    if let Some(mut stdin) = child.stdin.take() {
        // A process that does not read it has ended, which is seen below.
        let _ = stdin.write_all(json.as_bytes());
    }
    Watched::new(child, receiver, limits).until_its_end()
}

fn failed(what: &str, error: &str) -> Failure {
    Failure::new(ExitCode::RunFailed, Diagnostic::error(Code::ProbeFailed, what).note(error))
}

/// A word that a plugin does not print by chance.
fn word() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("kiwi-check-{}-{:x} ", std::process::id(), now.as_nanos())
}

fn hear(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|error| failed("a thread cannot be started", &error.to_string()))
}

fn hear_messages(
    stdout: impl Read + Send + 'static,
    word: String,
    sender: Sender<Heard>,
) -> Result<(), Failure> {
    hear("messages", move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let message = line.strip_prefix(&word).and_then(|json| serde_json::from_str(json).ok());
            if let Some(message) = message
                && sender.send(Heard::Message(message)).is_err()
            {
                return;
            }
        }
    })
}

fn hear_words(stderr: impl Read + Send + 'static, sender: Sender<Heard>) -> Result<(), Failure> {
    hear("words", move || {
        let mut reader = BufReader::new(stderr);
        loop {
            // A plugin may print without end and without a line break.
            let mut line = Vec::new();
            match (&mut reader).take(1 << 16).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            let kept: String = text.trim_end().chars().take(KEPT_BYTES).collect();
            if !kept.is_empty() && sender.send(Heard::Words(kept)).is_err() {
                return;
            }
        }
    })
}

struct Watched {
    child: Child,
    receiver: Receiver<Heard>,
    limits: Limits,
    /// Since when the check that is under way is.
    since: Instant,
    begun: bool,
    findings: Vec<Finding>,
    under_way: Option<String>,
    phase: Option<String>,
    registered: Option<Vec<CheckedComponent>>,
    checks: Vec<String>,
    done: bool,
    last_words: VecDeque<String>,
    wrong: Vec<Diagnostic>,
}

impl Watched {
    fn new(child: Child, receiver: Receiver<Heard>, limits: Limits) -> Self {
        Self {
            child,
            receiver,
            limits,
            since: Instant::now(),
            begun: false,
            findings: Vec::new(),
            under_way: None,
            phase: None,
            registered: None,
            checks: Vec::new(),
            done: false,
            last_words: VecDeque::new(),
            wrong: Vec::new(),
        }
    }

    fn until_its_end(mut self) -> Result<Seen, Failure> {
        let ending = loop {
            match self.receiver.recv_timeout(INTERVAL) {
                Ok(heard) => self.take(heard),
                Err(RecvTimeoutError::Timeout) => {}
                // Both outputs are closed; the process may go on all the same.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(INTERVAL),
            }
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break Ending::Status(status),
                Err(error) => return Err(failed("the process cannot be watched", &error.to_string())),
            }
            let limit = if self.begun { self.limits.time } else { TO_BEGIN };
            if self.since.elapsed() > limit {
                break Ending::TooLong;
            }
            if let Some(resident) =
                resident(self.child.id()).filter(|resident| *resident > self.limits.memory)
            {
                break Ending::TooMuch(resident);
            }
        };
        self.end_all();
        let drained = Instant::now();
        while drained.elapsed() < TO_DRAIN {
            match self.receiver.recv_timeout(INTERVAL) {
                Ok(heard) => self.take(heard),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // What it says is wrong though nothing of the plugin was run is wrong with this installation.
        if !self.begun && self.wrong.iter().any(|one| one.severity == Severity::Error) {
            let exit = match ending {
                Ending::Status(status) => status.code().and_then(ExitCode::from_number),
                Ending::TooLong | Ending::TooMuch(_) => None,
            };
            return Err(Failure { exit: exit.unwrap_or(ExitCode::RunFailed), diagnostics: self.wrong });
        }
        Ok(Seen {
            findings: self.findings,
            under_way: self.under_way,
            phase: self.phase,
            registered: self.registered,
            checks: self.checks,
            done: self.done,
            ending,
            last_words: self.last_words.into(),
        })
    }

    /// Ends the process and all that it started.
    fn end_all(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // There may be nobody left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn take(&mut self, heard: Heard) {
        let line = match heard {
            Heard::Words(words) => {
                if self.last_words.len() == KEPT_LINES {
                    self.last_words.pop_front();
                }
                self.last_words.push_back(words);
                return;
            }
            Heard::Message(Message::Diagnostics(diagnostics)) => return self.wrong.extend(diagnostics),
            Heard::Message(Message::SignalsTaken) => return,
            Heard::Message(Message::Data(line)) => line,
        };
        let Ok(told) = serde_json::from_str(&line) else { return };
        match told {
            Told::Begin { check } => {
                self.begun = true;
                self.since = Instant::now();
                self.under_way = Some(check);
            }
            Told::Phase { phase } => self.phase = Some(phase),
            Told::Finding(finding) => {
                self.since = Instant::now();
                self.under_way = None;
                self.findings.push(finding);
            }
            Told::Registered { components } => self.registered = Some(components),
            Told::Checks { checks } => self.checks = checks,
            Told::Done => {
                self.since = Instant::now();
                self.done = true;
            }
        }
    }
}

/// Bytes of a process that are resident or swapped out; `None` where the system does not tell.
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kibibytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((kibibytes("VmRSS:")? + kibibytes("VmSwap:").unwrap_or(0)) * 1024)
}

/// How a status is told: the exit code, or the signal with its name.
pub(super) fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("signal {signal} ({name})"),
            None => format!("signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}
