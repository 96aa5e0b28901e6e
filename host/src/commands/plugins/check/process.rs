//! The other side of a check: the hidden command by which the program runs itself to open a plugin. It reads what to do from standard
//! input, and writes what the engine says to standard output, in lines that begin with a word that the plugin does not know:
//! all else that stands there is the plugin's own.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugin_check::PluginCheckRequest;
use kiwi_core::request::{Message, Request};
use serde::{Deserialize, Serialize};

use crate::engine;

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// The word that each of its lines begins with.
    pub(super) word: String,
    /// Directory of libtorch.
    pub(super) libtorch: PathBuf,
    pub(super) request: PluginCheckRequest,
}

/// Carries out the order on standard input.
pub(in super::super) fn run() -> Result<i32, Failure> {
    end_with_parent();
    let mut text = String::new();
    let read = io::stdin().read_to_string(&mut text).map_err(|error| error.to_string());
    let order: Order = read
        .and_then(|_| serde_json::from_str(&text).map_err(|error| error.to_string()))
        .map_err(|error| {
            let error =
                Diagnostic::error(Code::Arguments, "this command is for `kiwi-host plugins check` itself")
                    .note(error);
            Failure::new(ExitCode::Invalid, error.help("run `kiwi-host plugins check FILE`"))
        })?;
    let Order { word, libtorch, request } = order;
    let program = request.common.program.clone();
    let device = AskedDevice::by_option(&request.device);
    let request = Request::CheckPlugin(request);
    let done =
        engine::run(&request, device.as_ref(), Some(libtorch), &program, |message| send(&word, &message));
    Ok(done.unwrap_or_else(|failure| {
        send(&word, &Message::Diagnostics(failure.diagnostics));
        failure.exit.number()
    }))
}

fn send(word: &str, message: &Message) {
    let Ok(json) = serde_json::to_string(message) else { return };
    // In one piece, and on a line of its own: the plugin may have printed something without ending its line. Nobody is left to be
    // told if it cannot be written.
    let line = format!("\n{word}{json}\n");
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

/// Nothing of the plugin runs on when the program that checks it is gone.
#[cfg(target_os = "linux")]
fn end_with_parent() {
    // Where the system refuses, the check is none the worse.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {}
