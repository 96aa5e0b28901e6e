//! Runs that something ends before their time, and what is the same of two runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::trained::all_files;
use crate::workplace::{Workplace, config_with};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// A run under way, whose output goes to files of its own.
pub struct Running {
    child: Child,
    said: std::path::PathBuf,
}

impl Workplace {
    /// Begins to train by [`crate::workplace::config`] with these values, into the directory `output`; or goes on there.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn begin(&self, output: &str, changes: &[(&str, Value)], arguments: &[&str]) -> Running {
        self.begin_with(output, changes, arguments, &[])
    }

    /// The same with these variables.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn begin_with(
        &self,
        output: &str,
        changes: &[(&str, Value)],
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Running {
        let config = format!("{output}.json");
        self.write(&config, &format!("{:#}\n", config_with(changes)));
        let said = self.write(&format!("{output}.said"), "");
        let own = ["train", &config, "--output-dir", output, "--threads", "1"];
        let mut command = self.command(&[&own[..], arguments].concat());
        command
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).expect("a file"));
        Running { child: command.spawn().expect("the program starts"), said }
    }
}

impl Running {
    /// Waits until standard error or the log says `text`.
    ///
    /// # Panics
    /// When the run ends without it, or it takes too long.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let path = self.said.clone();
        self.wait_until(&format!("saying {text:?}"), || {
            fs::read_to_string(&path).is_ok_and(|said| said.contains(text))
        });
    }

    /// Waits until something is so, which is called `what` where it does not come.
    ///
    /// # Panics
    /// When the run ends without it, or it takes too long.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none() || is_so(), "it ended without {what}: {}", self.said());
            assert!(started.elapsed() < PATIENCE, "no {what} in time: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has said on standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Sends a signal, as `TERM`.
    ///
    /// # Panics
    /// When it is none of those that tests send.
    pub fn signal(&self, name: &str) {
        let signal = match name {
            "TERM" => Signal::TERM,
            "INT" => Signal::INT,
            "USR1" => Signal::USR1,
            "KILL" => Signal::KILL,
            _ => panic!("no test sends {name}"),
        };
        // A process that has ended meanwhile is none to complain about.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Its resident memory, in KiB; 0 if it has ended.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// The files that it has mapped, as the system names them.
    #[must_use]
    pub fn mapped(&self) -> BTreeSet<String> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap_or_default();
        maps.lines().filter_map(|line| line.find('/').map(|at| line[at..].to_owned())).collect()
    }

    /// Whether it has ended within this time.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let started = Instant::now();
        loop {
            if self.child.try_wait().expect("a child").is_some() {
                return true;
            }
            if started.elapsed() >= time {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end; the exit code, or minus the signal that ended it.
    ///
    /// # Panics
    /// When it takes too long.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        assert!(self.ends_within(PATIENCE), "it does not end: {}", self.said());
        let status: ExitStatus = self.child.wait().expect("a child");
        status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files of a run whose bytes depend on nothing but what was trained: systems, their index, states of optimizers.
#[must_use]
pub fn results(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = all_files(directory).into_iter().filter_map(|file| {
        let name = file.strip_prefix(directory).ok()?.to_string_lossy().into_owned();
        let counts = name.starts_with("checkpoints/") || name.starts_with("optimizer");
        counts.then(|| fs::read(&file).ok().map(|bytes| (name, bytes))).flatten()
    });
    files.collect()
}

/// The names of files that are not the same in two runs.
#[must_use]
pub fn differences(one: &Path, other: &Path) -> Vec<String> {
    let (one, other) = (results(one), results(other));
    let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}
