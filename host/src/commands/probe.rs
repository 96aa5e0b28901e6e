//! Asking a plugin what only its code can say. Its code runs in a process of its own, this program once more, so that a plugin that
//! crashes, ends the process or hangs is something to tell, and no end of the command.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugins::probe::PluginProbe;
use kiwi_core::request::{Message, ProbeRequest, Request};
use serde::{Deserialize, Serialize};
use signal_hook::low_level::signal_name;

use super::program;
use crate::arguments::{CommonOptions, ProbeArguments};
use crate::engine;

/// More than any answer has.
const LARGEST: u64 = 16 << 20;

/// What the other process leaves.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    probe: Option<PluginProbe>,
    /// The code it ends with.
    exit: i32,
    /// What is wrong.
    diagnostics: Vec<Diagnostic>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// The plugin is not to blame: nothing can be asked of any plugin here.
    #[error("plugins cannot be asked here")]
    Here(Failure),
    /// The plugin does not open.
    #[error("{}", .0.message)]
    Refused(Box<Diagnostic>),
    /// It ended the process.
    #[error("it ended the process that asked it ({how}){said}")]
    Ended {
        /// By which signal or code.
        how: String,
        /// What was said last on standard error.
        said: String,
    },
    /// It did not answer in time.
    #[error("it did not answer within {} s{said}", .limit.as_secs())]
    Late {
        /// The time it had.
        limit: Duration,
        /// What was said last on standard error.
        said: String,
    },
    /// The other process cannot be started or listened to.
    #[error("it cannot be asked: {0}")]
    Process(#[from] io::Error),
}

/// Carries out the hidden command: asks the plugin, and leaves the answer in a file.
pub(super) fn answer(arguments: &ProbeArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let mut text = String::new();
    let read = io::stdin().take(LARGEST).read_to_string(&mut text).map_err(|error| error.to_string());
    let request: ProbeRequest = read
        .and_then(|_| serde_json::from_str(&text).map_err(|error| error.to_string()))
        .map_err(|error| cannot("what is to be asked cannot be read", error))?;
    let mut answer = Answer { probe: None, exit: 0, diagnostics: Vec::new() };
    let ran = engine::run(&Request::Probe(request), None, options.libtorch.clone(), &program()?, |message| {
        match message {
            Message::Data(line) => answer.probe = serde_json::from_str(&line).ok(),
            Message::Diagnostics(diagnostics) => answer.diagnostics.extend(diagnostics),
            Message::SignalsTaken => {}
        }
    });
    answer.exit = match ran {
        Ok(code) => code,
        Err(failure) => {
            answer.diagnostics.extend(failure.diagnostics);
            failure.exit.number()
        }
    };
    let written = serde_json::to_vec(&answer).map_err(io::Error::from);
    written
        .and_then(|bytes| {
            let mut file = File::create(&arguments.answer)?;
            file.write_all(&bytes)?;
            file.flush()
        })
        .map_err(|error| cannot("the answer cannot be written", error.to_string()))?;
    Ok(answer.exit)
}

fn cannot(message: &str, why: String) -> Failure {
    Failure::new(ExitCode::RunFailed, Diagnostic::error(Code::ProbeFailed, message).note(why))
}

/// Asks a plugin, in a process of its own that may take so long.
pub(super) fn ask(
    request: &ProbeRequest,
    options: &CommonOptions,
    limit: Duration,
) -> Result<PluginProbe, ProbeError> {
    let program = program().map_err(ProbeError::Here)?;
    let folder = tempfile::tempdir()?;
    let (answer, errors) = (folder.path().join("answer"), folder.path().join("errors"));
    let mut command = Command::new(program);
    command.arg("probe").arg(&answer);
    if let Some(libtorch) = &options.libtorch {
        command.arg("--libtorch").arg(libtorch);
    }
    // One thread is enough to be asked by.
    command.args(["--threads", "1"]);
    // What a plugin prints is no data of this command.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(File::create(&errors)?);
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that ends before it has read all is told by its end.
        let _ = input.write_all(&serde_json::to_vec(request).map_err(io::Error::from)?);
    }
    let status = wait(&mut child, limit)?;
    let said = || last_line(&errors).map_or_else(String::new, |line| format!(": {line}"));
    let Some(status) = status else {
        return Err(ProbeError::Late { limit, said: said() });
    };
    let left = fs::read(&answer).ok().and_then(|bytes| serde_json::from_slice::<Answer>(&bytes).ok());
    let Some(left) = left else {
        return Err(ProbeError::Ended { how: how(status), said: said() });
    };
    if let Some(probe) = left.probe {
        return Ok(probe);
    }
    let first = left.diagnostics.iter().find(|one| one.severity == Severity::Error).cloned();
    match (ExitCode::from_number(left.exit), first) {
        (Some(ExitCode::Invalid), Some(_)) => {
            Err(ProbeError::Here(Failure { exit: ExitCode::Invalid, diagnostics: left.diagnostics }))
        }
        (_, Some(first)) => Err(ProbeError::Refused(Box::new(first))),
        (_, None) => Err(ProbeError::Ended { how: how(status), said: said() }),
    }
}

/// Waits for the end of a process, and ends it after so long; `None` if that was necessary.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause.min(limit));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => match signal_name(signal) {
            Some(name) => format!("by the signal {name}"),
            None => format!("by the signal {signal}"),
        },
        (None, Some(code)) => format!("with the exit code {code}"),
        (None, None) => "in a way that is not known".to_owned(),
    }
}

/// The last line that is not empty, of a reasonable length.
fn last_line(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(1 << 20).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}
