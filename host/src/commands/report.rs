//! `report`: runs as one page, or one saved system. Without a corpus no plugin is opened and no libtorch looked for; with one the engine
//! runs the system, and what it says of each pair goes into the page.

use std::path::Path;

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::request::{Common, Format, Message, Request, SystemRequest};
use kiwi_report::{CorpusFiles, Error, Reading, SystemReport};
use serde_json::json;

use super::told::Told;
use super::{common, print_data, program};
use crate::arguments::{CommonOptions, ReportArguments};
use crate::engine;
use crate::signals;

pub(super) fn run(
    arguments: ReportArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    if arguments.held.is_asked() && arguments.source.is_none() {
        let error = Diagnostic::error(Code::Arguments, "no plugin is opened, which a lock could hold to")
            .found("--locked or --lock")
            .expected("a saved system with --source and --target")
            .help("add the corpus, or leave out the lock");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    if kiwi_report::is_system(&arguments.paths).map_err(|error| invalid(&error))? {
        return system(arguments, options, told);
    }
    if let (Some(_), [path, ..]) = (&arguments.source, &arguments.paths[..]) {
        return Err(invalid(&kiwi_report::corpus_for_run(path)));
    }
    let page = kiwi_report::report(&arguments.paths, arguments.output.as_deref())
        .map_err(|error| invalid(&error))?;
    print_data([match arguments.format.into() {
        Format::Human => page.display().to_string(),
        Format::Json => data_format::line(json!({"page": page})),
    }])?;
    Ok(ExitCode::Success.number())
}

fn invalid(error: &Error) -> Failure {
    Failure::new(ExitCode::Invalid, error.diagnostic())
}

fn system(arguments: ReportArguments, options: &CommonOptions, told: &mut Told) -> Result<i32, Failure> {
    // `is_system` has seen that there is one path.
    let [path] = &arguments.paths[..] else { return Ok(ExitCode::Invalid.number()) };
    let report = SystemReport::open(path, arguments.output.as_deref()).map_err(|error| invalid(&error))?;
    let read = match (&arguments.source, &arguments.target) {
        (Some(source), Some(target)) => {
            let files = CorpusFiles {
                source: source.clone(),
                target: target.clone(),
                post_edit: arguments.post_edit.clone(),
            };
            let request = request(path, &files, &arguments, options)?;
            let mut reading = Reading::new(report.header(), arguments.sentences as usize);
            let code = read(&request, options, told, &mut reading)?;
            if code != ExitCode::Success.number() {
                return Ok(code);
            }
            Some((files, reading))
        }
        _ => None,
    };
    let corpus = read.as_ref().map(|(files, reading)| (files, reading));
    // After a long pass the file system is no longer what the command was asked to see, so this is a failure of the command.
    let exit = if corpus.is_some() { ExitCode::RunFailed } else { ExitCode::Invalid };
    report.write(corpus).map_err(|error| Failure::new(exit, error.diagnostic()))?;
    print_data([match arguments.format.into() {
        Format::Human => report.target().display().to_string(),
        Format::Json => report.json(corpus),
    }])?;
    Ok(ExitCode::Success.number())
}

fn request(
    system: &Path,
    files: &CorpusFiles,
    arguments: &ReportArguments,
    options: &CommonOptions,
) -> Result<SystemRequest, Failure> {
    Ok(SystemRequest {
        system: system.to_owned(),
        source: files.source.clone(),
        target: files.target.clone(),
        post_edit: files.post_edit.clone(),
        batch_size: arguments.batch_size,
        overrides: arguments.overrides.clone(),
        device: arguments.device.clone(),
        allow_changed: arguments.allow_changed,
        format: Format::Json,
        scoring: None,
        common: Common { lock: Some(arguments.held.choice(system)), ..common(options)? },
    })
}

/// Has the engine run the system; the code that it ends with.
fn read(
    request: &SystemRequest,
    options: &CommonOptions,
    told: &mut Told,
    reading: &mut Reading,
) -> Result<i32, Failure> {
    // The engine does the same again and tells the warnings.
    let device = plan::prepare_system(request)?.device;
    let request = Request::Read(request.clone());
    let mut not_understood = None;
    let code =
        engine::run(
            &request,
            Some(&device),
            options.libtorch.clone(),
            &program()?,
            |message| match message {
                Message::Diagnostics(diagnostics) => told.tell(&diagnostics),
                Message::Data(line) => {
                    if let Err(error) = reading.take(&line) {
                        not_understood.get_or_insert((line, error));
                    }
                }
                Message::SignalsTaken => signals::leave_to_others(),
            },
        )?;
    match not_understood {
        Some((line, error)) => {
            let error = Diagnostic::error(
                Code::ProgramIncomplete,
                "the engine said something of a pair that this program does not understand",
            )
            .found(line.chars().take(300).collect::<String>())
            .note(error.to_string())
            .help("install kiwi-host again: program and engine must be of one version");
            Err(Failure::new(ExitCode::RunFailed, error))
        }
        None => Ok(code),
    }
}
