//! What each command does. A command that needs the engine first finds out all that is wrong without it.

mod completions;
mod doctor;
mod explain;
mod init;
mod inspect;
mod interchange;
mod man;
mod mlflow;
mod plugins;
mod probe;
mod report;
mod schema;
mod sweep;
mod system;
mod told;
mod train;
mod whole_file;

use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::environment;
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::{Common, Format, Message, Request, Verbosity};

use crate::arguments::{Arguments, ColorArgument, Command, CommonOptions};
use crate::engine;
use crate::output::Output;
use crate::signals;
use crate::terminal;
use told::Told;

/// Carries out a command; the code to exit with.
pub(crate) fn run(arguments: Arguments) -> i32 {
    let options = arguments.common();
    match options.color {
        ColorArgument::Auto => ColorChoice::Auto,
        ColorArgument::Always => ColorChoice::Always,
        ColorArgument::Never => ColorChoice::Never,
    }
    .write_global();

    let command = arguments.command.name();
    let mut told = Told::new(options.quiet);
    let done = match arguments.command {
        Command::Init(arguments) => init::run(arguments, &options, &mut told),
        Command::Train(arguments) => train::train(arguments, &options, &mut told),
        Command::Check(arguments) => train::check(arguments, &options, &mut told),
        Command::Sweep(arguments) => sweep::run(arguments, &options, &mut told),
        Command::Evaluate(arguments) => system::evaluate(arguments, &options, &mut told),
        Command::Score(arguments) => system::score(arguments, &options, &mut told),
        Command::Features(arguments) => system::features(arguments, &options, &mut told),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Report(arguments) => report::run(arguments, &options, &mut told),
        Command::Import(arguments) => interchange::import(arguments, &options),
        Command::ImportConfig(arguments) => interchange::import_config(arguments, &options),
        Command::Export(arguments) => interchange::export(arguments, &options),
        Command::Mlflow(arguments) => mlflow::run(arguments, &options),
        Command::Plugins(arguments) => plugins::run(arguments, &options),
        Command::Schema(arguments) => schema::run(&arguments, &options),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments, &options),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::DoctorInProcess(arguments) => doctor::open_in_process(&arguments, &options),
        Command::Probe(arguments) => probe::answer(&arguments, &options),
    };
    let code = done.unwrap_or_else(|failure| {
        told.tell(&failure.diagnostics);
        failure.exit.number()
    });
    told.end(command, code);
    code
}

/// What holds for every command, as the engine is told.
fn common(options: &CommonOptions) -> Result<Common, Failure> {
    let verbosity = match (options.quiet, options.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::FromConfig,
    };
    let stderr = io::stderr();
    let dumb = env::var_os(environment::TERM.name).is_some_and(|term| term == "dumb");
    Ok(Common {
        plugin_directories: options.plugin_directories.clone(),
        program: program()?,
        threads: options.threads,
        verbosity,
        interactive: stderr.is_terminal() && !dumb,
        color: AutoStream::choice(&stderr) != ColorChoice::Never,
        lock: None,
    })
}

/// The running program: plugins, the engine and libtorch may lie beside it.
fn program() -> Result<PathBuf, Failure> {
    env::current_exe().map_err(|error| {
        let error = Diagnostic::error(Code::ProgramIncomplete, "this program cannot find out where it lies")
            .note(error.to_string());
        Failure::new(ExitCode::Invalid, error)
    })
}

/// Has the engine carry out a request on a device, and prints what it says. Complaints are added to `told`.
fn run_engine(
    request: &Request,
    device: &AskedDevice,
    options: &CommonOptions,
    when_closed: WhenClosed,
    told: &mut Told,
) -> Result<i32, Failure> {
    let mut output = Output::default();
    // JSON is never broken.
    let width = is_table(request).then(|| terminal::width_of(&io::stdout())).flatten();
    let mut lost = None;
    let code =
        engine::run(request, Some(device), options.libtorch.clone(), &program()?, |message| match message {
            Message::Diagnostics(diagnostics) => told.tell(&diagnostics),
            Message::Data(line) => {
                let line = width.map_or_else(|| line.clone(), |width| terminal::fit_columns(&line, width));
                if let Err(error) = output.line(&line) {
                    lost.get_or_insert(error);
                }
                if output.is_closed() && when_closed == WhenClosed::Leave {
                    // Nobody wants the rest. The engine has nothing to save, and takes an `exit` in its middle for one of a plugin.
                    signal_hook::low_level::exit(ExitCode::Success.number());
                }
            }
            Message::SignalsTaken => signals::leave_to_others(),
        })?;
    match lost {
        Some(error) => Err(cannot_write(&error)),
        None => Ok(code),
    }
}

/// Whether the data of a request are a table for people. Scores are not: a line of text is the last column, and may be long.
fn is_table(request: &Request) -> bool {
    match request {
        Request::Check(request) => request.format == Format::Human,
        Request::Evaluate(request) => request.format == Format::Human,
        _ => false,
    }
}

/// What becomes of a command once nobody reads its data any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenClosed {
    /// It goes on: the data were by the way.
    GoOn,
    /// It ends: the data are all it is for.
    Leave,
}

/// Prints lines of data.
fn print_data(lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let mut output = Output::default();
    for line in lines {
        output.line(&line).map_err(|error| cannot_write(&error))?;
    }
    Ok(())
}

/// Prints lines of data for people: broken where the terminal ends, without their colours where those are not wanted.
fn print_for_people(lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let stdout = io::stdout();
    let plain = AutoStream::choice(&stdout) == ColorChoice::Never;
    let width = terminal::width_of(&stdout);
    print_data(lines.into_iter().map(|line| {
        let line = if plain { strip_str(&line).to_string() } else { line };
        width.map_or_else(|| line.clone(), |width| terminal::fit_columns(&line, width))
    }))
}

fn cannot_write(error: &io::Error) -> Failure {
    let error = Diagnostic::error(Code::Output, "standard output cannot be written").note(error.to_string());
    Failure::new(ExitCode::RunFailed, error)
}
