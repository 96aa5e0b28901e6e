//! Opening libtorch, the driver, the engine and NCCL's library in a process of its own, so that what crashes or hangs there is a
//! finding. Both sides are here: what the process does, and how it is watched.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::libtorch::{Libtorch, Search};
use kiwi_core::plugins::search::{nccl_file_name, places_of};
use kiwi_core::request::{EngineDescription, Message, Request};
use serde::{Deserialize, Serialize};

use crate::arguments::{CommonOptions, OpenArguments, Step};
use crate::commands::program;
use crate::cuda::{self, DRIVER, Scope};
use crate::engine;

/// How the program runs itself to open things.
const IN_PROCESS: &str = "doctor-in-process";
/// How long all of it may take: a libtorch on a network drive that nobody has read yet takes long.
const LIMIT: Duration = Duration::from_secs(60);
/// The table that a library over NCCL exports.
const NCCL_TABLE: &str = "KIWI_NCCL";

/// What a step found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    /// It opens.
    Opened,
    /// libtorch opens, and is of this version.
    Version(String),
    /// The engine opens, and says this.
    Engine(EngineDescription),
    /// NCCL's library opens; whether it has what it is for.
    Nccl(bool),
    /// It does not, and why.
    Refused(Box<Diagnostic>),
}

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Begun(Step),
    Done(Step, Found),
}

/// How a step went.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Attempt {
    Found(Found),
    /// The process ended in the middle of it: how, and what it said last.
    Ended(String),
}

/// How each step went that was tried.
#[derive(Debug, Default)]
pub(super) struct Opened(Vec<(Step, Attempt)>);

impl Opened {
    pub(super) fn step(&self, step: Step) -> Option<&Attempt> {
        self.0.iter().find(|(other, _)| *other == step).map(|(_, attempt)| attempt)
    }

    /// What the engine says of itself.
    pub(super) fn engine(&self) -> Option<&EngineDescription> {
        match self.step(Step::Engine) {
            Some(Attempt::Found(Found::Engine(description))) => Some(description),
            _ => None,
        }
    }
}

/// Has a process open all that can be opened. A step in which it ends is left out, and the rest tried again.
pub(super) fn open_all(program: &Path, libtorch: Option<&Libtorch>) -> Opened {
    let mut steps = match libtorch {
        Some(_) => vec![Step::Libtorch, Step::Driver, Step::Cuda, Step::Engine, Step::Nccl],
        // All else needs it.
        None => vec![Step::Driver],
    };
    let mut opened = Opened::default();
    while !steps.is_empty() {
        let (told, ending) = match run(program, libtorch, &steps) {
            Ok(seen) => seen,
            Err(error) => {
                opened.0.push((steps[0], Attempt::Ended(format!("it cannot be tried: {error}"))));
                return opened;
            }
        };
        let mut under_way = None;
        for one in told {
            match one {
                Told::Begun(step) => under_way = Some(step),
                Told::Done(step, found) => {
                    under_way = None;
                    // Of a second try only what the first did not come to is new.
                    if opened.step(step).is_none() {
                        opened.0.push((step, Attempt::Found(found)));
                    }
                }
            }
        }
        let Some(step) = under_way else { return opened };
        let ending = ending.unwrap_or_else(|| "opening it ended the process with exit code 0".to_owned());
        opened.0.retain(|(other, _)| *other != step);
        opened.0.push((step, Attempt::Ended(ending)));
        if step == Step::Libtorch {
            return opened;
        }
        steps.retain(|other| *other != step);
    }
    opened
}

/// Runs the program to carry out these steps: what it told, and how it ended, where that was not its own will.
fn run(
    program: &Path,
    libtorch: Option<&Libtorch>,
    steps: &[Step],
) -> io::Result<(Vec<Told>, Option<String>)> {
    let word = format!("kiwi-doctor-{} ", std::process::id());
    let mut command = Command::new(program);
    command.arg(IN_PROCESS).arg(word.trim_end());
    let names = steps.iter().filter_map(ValueEnum::to_possible_value);
    command.args(names.map(|value| value.get_name().to_owned()));
    if let Some(libtorch) = libtorch {
        command.arg("--libtorch").arg(&libtorch.directory);
    }
    // A group of its own, so that what it starts ends with it.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let (sender, receiver) = mpsc::channel();
    let mut outputs: Vec<Box<dyn Read + Send>> = Vec::new();
    outputs.extend(child.stdout.take().map(|output| Box::new(output) as Box<dyn Read + Send>));
    outputs.extend(child.stderr.take().map(|output| Box::new(output) as Box<dyn Read + Send>));
    for output in outputs {
        let sender = sender.clone();
        thread::Builder::new().name("opening".to_owned()).spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        })?;
    }
    drop(sender);
    let end = Instant::now() + LIMIT;
    let (mut told, mut last) = (Vec::new(), None);
    // Until both outputs are closed.
    while let Ok(line) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match line.strip_prefix(&word).map(serde_json::from_str) {
            Some(Ok(one)) => told.push(one),
            _ if line.trim().is_empty() => {}
            _ => last = Some(line.trim().chars().take(300).collect::<String>()),
        }
    }
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= end => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let said = last.map_or_else(String::new, |line| format!(": {line}"));
    let ending = match status {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("opening it ended the process {}{said}", how(status))),
        None => Some(format!("it was not open after {} s{said}", LIMIT.as_secs())),
    };
    Ok((told, ending))
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("by the signal {name}"),
            None => format!("by the signal {signal}"),
        },
        (None, Some(code)) => format!("with exit code {code}"),
        (None, None) => "in a way that is not known".to_owned(),
    }
}

/// Carries out the steps, in the process that is watched.
pub(in super::super) fn open_in_process(
    arguments: &OpenArguments,
    options: &CommonOptions,
) -> Result<i32, Failure> {
    let program = program()?;
    let libtorch = options
        .libtorch
        .clone()
        .and_then(|directory| Search::of_command(Some(directory), program.clone()).find().ok());
    let mut opened = Vec::new();
    for step in arguments.steps.iter().copied() {
        // What it would not open without is not tried.
        let needs: &[Step] = match step {
            Step::Libtorch | Step::Driver => &[],
            Step::Cuda => &[Step::Libtorch, Step::Driver],
            Step::Engine => &[Step::Libtorch],
            Step::Nccl => &[Step::Cuda],
        };
        let is_possible = step == Step::Driver || libtorch.is_some();
        if !is_possible || needs.iter().any(|needed| !opened.contains(needed)) {
            continue;
        }
        tell(&arguments.word, &Told::Begun(step));
        let found = match (step, &libtorch) {
            (Step::Driver, _) => engine::open_for(Path::new(DRIVER), Scope::Own)
                .map(|()| Found::Opened)
                .map_err(|message| cuda::without_driver(&message)),
            (_, Some(libtorch)) => open(step, libtorch, &program),
            (_, None) => continue,
        };
        let found = match found {
            Ok(found) => {
                opened.push(step);
                found
            }
            Err(diagnostic) => Found::Refused(Box::new(diagnostic)),
        };
        tell(&arguments.word, &Told::Done(step, found));
    }
    Ok(ExitCode::Success.number())
}

fn open(step: Step, libtorch: &Libtorch, program: &Path) -> Result<Found, Diagnostic> {
    match step {
        Step::Libtorch => engine::open_libtorch(libtorch).map(Found::Version).map_err(first),
        Step::Driver => Ok(Found::Opened),
        Step::Cuda => cuda::open_part(libtorch, engine::open_for).map(|()| Found::Opened),
        Step::Engine => {
            let engine = engine::find_engine(program).map_err(first)?;
            let (mut description, mut wrong) = (None, None);
            engine::ask(&engine, libtorch, &Request::Describe, |message| match message {
                Message::Data(line) => description = serde_json::from_str(&line).ok(),
                Message::Diagnostics(diagnostics) => {
                    let mut errors = diagnostics.into_iter().filter(|one| one.severity == Severity::Error);
                    wrong = wrong.take().or_else(|| errors.next());
                }
                Message::SignalsTaken => {}
            })
            .map_err(first)?;
            let unknown = || {
                Diagnostic::error(Code::ProgramIncomplete, "the engine does not say what it is")
                    .help("install program and engine from one release")
            };
            description.map(Found::Engine).ok_or_else(|| wrong.unwrap_or_else(unknown))
        }
        Step::Nccl => {
            let places = places_of(&nccl_file_name(), program);
            let library = places.iter().find(|place| place.is_file());
            let library =
                library.ok_or_else(|| Diagnostic::error(Code::ProgramIncomplete, "it is not there"))?;
            engine::exports(library, NCCL_TABLE)
                .map(Found::Nccl)
                .map_err(|message| Diagnostic::error(Code::ProgramIncomplete, message))
        }
    }
}

fn first(failure: Failure) -> Diagnostic {
    let errors = failure.diagnostics.into_iter().find(|one| one.severity == Severity::Error);
    errors.unwrap_or_else(|| Diagnostic::error(Code::ProgramIncomplete, "it cannot be opened"))
}

fn tell(word: &str, told: &Told) {
    let Ok(json) = serde_json::to_string(told) else { return };
    // In one piece, on a line of its own. Nobody is left to be told if it cannot be written.
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "\n{word} {json}").and_then(|()| stdout.flush());
}
