//! `mlflow sync`: sends a run that is there to a tracking server. No plugin is opened and no libtorch looked for.

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::Format;
use kiwi_tracking::mlflow::{Error, Settings, Synced, server_of, sync};
use serde_json::json;

use super::{print_data, print_for_people};
use crate::arguments::{CommonOptions, MlflowArguments, MlflowCommand, SyncArguments};
use crate::print;

pub(super) fn run(arguments: MlflowArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let MlflowCommand::Sync(SyncArguments { run, uri, format, .. }) = arguments.command;
    if !run.is_dir() {
        let found = if run.exists() { "a file" } else { "nothing of this name" };
        let error =
            Diagnostic::error(Code::NotARun, format!("{} is not the directory of a run", run.display()));
        let error = error
            .found(found)
            .expected("a directory with an events.jsonl")
            .help("name the directory of a run");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    if uri.as_deref().is_some_and(|uri| uri.trim().is_empty()) {
        let error = Diagnostic::error(Code::TrackingUri, "the URI of the tracking server is empty");
        let error = error.expected("http://HOST:PORT").help("name a server, or leave the argument out");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    let synced = server_of(&run, uri.as_deref())
        .and_then(|server| sync(&run, &server, &Settings::from_environment()?))
        .map_err(|error| failure(&error))?;
    if !options.quiet {
        let warnings: Vec<_> =
            synced.warnings.iter().map(|text| Diagnostic::warning(Code::TrackingWarns, text)).collect();
        print::diagnostics(&warnings);
    }
    match format.into() {
        Format::Json => print_data([json(&synced)])?,
        Format::Human => print_for_people(lines(&synced))?,
    }
    Ok(ExitCode::Success.number())
}

fn failure(error: &Error) -> Failure {
    let exit = match error {
        Error::NoRecord { .. }
        | Error::NoServer { .. }
        | Error::Uri { .. }
        | Error::Folder { .. }
        | Error::Variable { .. } => ExitCode::Invalid,
        _ => ExitCode::RunFailed,
    };
    let diagnostic = Diagnostic::error(Code::TrackingServer, error.to_string());
    Failure::new(
        exit,
        match exit {
            ExitCode::RunFailed => diagnostic.help("repeat the command: what was sent is not sent again"),
            _ => diagnostic,
        },
    )
}

fn json(synced: &Synced) -> String {
    data_format::line(json!({
        "server": synced.server,
        "experiment_id": synced.experiment_id,
        "run_id": synced.run_id,
        "url": synced.url,
        "state": synced.state,
        "sent": {"parameters": synced.parameters, "values": synced.values, "files": synced.artifacts},
    }))
}

fn lines(synced: &Synced) -> [String; 4] {
    let Synced { parameters, values, artifacts, .. } = synced;
    [
        format!("sent    {parameters} parameters, {values} values, {artifacts} files"),
        format!("run     {}", synced.run_id),
        format!("state   {}", synced.state),
        format!("url     {}", synced.url),
    ]
}
