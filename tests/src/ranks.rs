//! Several processes of the program that train together, started as torchrun starts them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::workplace::Workplace;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// The ranks of a run under way; those that live still when it is dropped are killed.
pub struct Ranks {
    children: Vec<Child>,
    said: Vec<PathBuf>,
}

/// A port that nobody listens at.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The variables by which torchrun tells a process its place.
#[must_use]
pub fn variables(rank: u32, ranks: u32, host: &str, port: u16) -> Vec<(String, String)> {
    [
        ("RANK", rank.to_string()),
        ("WORLD_SIZE", ranks.to_string()),
        ("LOCAL_RANK", rank.to_string()),
        ("LOCAL_WORLD_SIZE", ranks.to_string()),
        ("MASTER_ADDR", host.to_owned()),
        ("MASTER_PORT", port.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

impl Workplace {
    /// Begins to train by the config `CONFIG.json` in so many processes, into the directory `output`.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn begin_ranks(&self, ranks: u32, config: &str, output: &str, arguments: &[&str]) -> Ranks {
        let config = format!("{config}.json");
        let own = ["train", &config, "--output-dir", output, "--threads", "1"];
        let port = free_port();
        let commands = (0..ranks).map(|rank| {
            let mut command = self.command(&[&own[..], arguments].concat());
            command.envs(variables(rank, ranks, "127.0.0.1", port));
            command
        });
        Ranks::start(commands.collect(), self, output)
    }

    /// The same until all have ended well; what rank 0 said.
    ///
    /// # Panics
    /// When one does not.
    #[track_caller]
    pub fn train_ranks(&self, ranks: u32, config: &str, output: &str, arguments: &[&str]) -> String {
        let mut running = self.begin_ranks(ranks, config, output, arguments);
        assert_eq!(running.end(), vec![0; ranks as usize], "{}", running.all_said());
        running.said(0)
    }
}

impl Ranks {
    /// Starts these commands, whose standard errors go to files of their own.
    ///
    /// # Panics
    /// When one cannot be started.
    #[must_use]
    pub fn start(commands: Vec<Command>, work: &Workplace, output: &str) -> Self {
        let (mut children, mut said) = (Vec::new(), Vec::new());
        for (rank, mut command) in commands.into_iter().enumerate() {
            let path = work.write(&format!("{output}.{rank}.said"), "");
            command.stdout(Stdio::null()).stderr(fs::File::create(&path).expect("a file"));
            children.push(command.spawn().expect("the program starts"));
            said.push(path);
        }
        Self { children, said }
    }

    /// What a rank has said on standard error so far.
    #[must_use]
    pub fn said(&self, rank: usize) -> String {
        fs::read_to_string(&self.said[rank]).unwrap_or_default()
    }

    /// The process of a rank.
    #[must_use]
    pub fn process(&self, rank: usize) -> u32 {
        self.children[rank].id()
    }

    /// What each has said.
    #[must_use]
    pub fn all_said(&self) -> String {
        (0..self.said.len()).map(|rank| format!("--- rank {rank}\n{}\n", self.said(rank))).collect()
    }

    /// Waits until a rank has said `text`.
    ///
    /// # Panics
    /// When it ends without, or takes too long.
    #[track_caller]
    pub fn wait_for(&mut self, rank: usize, text: &str) {
        let started = Instant::now();
        while !self.said(rank).contains(text) {
            let ended = self.children[rank].try_wait().expect("a child").is_some();
            assert!(!ended || self.said(rank).contains(text), "without {text:?}: {}", self.all_said());
            assert!(started.elapsed() < PATIENCE, "no {text:?} in time: {}", self.all_said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a rank a signal.
    pub fn signal(&self, rank: usize, signal: Signal) {
        // One that has ended meanwhile is none to complain about.
        let _ = kill_process(Pid::from_child(&self.children[rank]), signal);
    }

    /// Waits until all have ended; their exit codes, or minus the signals that ended them.
    ///
    /// # Panics
    /// When that takes too long.
    #[track_caller]
    pub fn end(&mut self) -> Vec<i32> {
        self.end_within(PATIENCE)
    }

    /// The same within this time.
    ///
    /// # Panics
    /// When it takes longer.
    #[track_caller]
    pub fn end_within(&mut self, time: Duration) -> Vec<i32> {
        let started = Instant::now();
        let mut codes = vec![None; self.children.len()];
        while codes.contains(&None) {
            assert!(started.elapsed() < time, "after {time:?} {codes:?}: {}", self.all_said());
            for (child, code) in self.children.iter_mut().zip(&mut codes) {
                *code = code.or_else(|| {
                    let status = child.try_wait().expect("a child")?;
                    Some(status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)))
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        codes.into_iter().flatten().collect()
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a run's record says of its figures: loss and metrics of each entry, by its place.
fn figures(run: &Path) -> Vec<(String, f64)> {
    let record = fs::read_to_string(run.join("events.jsonl")).expect("a record");
    let mut found = Vec::new();
    for line in record.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        collect("", &event["event"], &mut found);
    }
    found
}

/// The losses and metrics anywhere in an event.
fn collect(path: &str, value: &Value, found: &mut Vec<(String, f64)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let wanted = ["loss", "PERP", "ExpErr", "CORRECT"].iter().any(|part| key.ends_with(part));
                match value.as_f64() {
                    Some(number) if wanted => found.push((format!("{path}.{key}"), number)),
                    _ => collect(&format!("{path}.{key}"), value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(path, value, found)),
        _ => {}
    }
}

/// Two runs have recorded the same figures, to 1e-5 of each.
///
/// # Panics
/// When they have not.
#[track_caller]
pub fn assert_same_figures(one: &Path, other: &Path) {
    assert_figures_within(one, other, 1e-5);
}

/// Two runs have recorded the same figures, but for this share of each.
///
/// # Panics
/// When they have not.
#[track_caller]
pub fn assert_figures_within(one: &Path, other: &Path, tolerance: f64) {
    let (one, other) = (figures(one), figures(other));
    assert!(one.len() > 20, "{one:?}");
    assert_eq!(one.len(), other.len());
    for ((name, number), (other_name, other_number)) in one.iter().zip(&other) {
        assert_eq!(name, other_name);
        assert!(
            (number - other_number).abs() <= tolerance * number.abs().max(1e-3),
            "{name}: {number} and {other_number}"
        );
    }
}

/// The processes that live and were started with this argument, whoever started them.
///
/// # Panics
/// When the system does not tell.
#[must_use]
pub fn processes_with(argument: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let found = entries.filter_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let has = command.split(|byte| *byte == 0).any(|one| one == argument.as_bytes());
        // One that has ended and that nobody has asked for yet has no command any more.
        has.then_some(process)
    });
    found.collect()
}

/// The processes among [`processes_with`] that were given a rank, by it.
#[must_use]
pub fn ranks_with(argument: &str) -> Vec<(u32, u32)> {
    let rank = |process: &u32| {
        let variables = fs::read(format!("/proc/{process}/environ")).ok()?;
        let rank = variables.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(b"RANK="))?;
        Some((std::str::from_utf8(rank).ok()?.parse().ok()?, *process))
    };
    let mut found: Vec<_> = processes_with(argument).iter().filter_map(rank).collect();
    found.sort_unstable();
    found
}

/// Kills a process, wherever it is.
pub fn kill(process: u32) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // One that has ended meanwhile is none to complain about.
        let _ = kill_process(process, Signal::KILL);
    }
}
