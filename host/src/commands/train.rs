//! `train` and `check`: the config is read and every name in it resolved before libtorch is looked for.

use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{Plan, Unprepared};
use kiwi_core::request::{CheckRequest, Common, Message, OptionsRequest, Request, TrainRequest};
use kiwi_core::{config, plan};

use super::{WhenClosed, common, print_data, program, run_engine};
use crate::arguments::{CheckArguments, CommonOptions, TrainArguments};
use crate::engine;
use crate::signals;

pub(super) fn train(
    arguments: TrainArguments,
    options: &CommonOptions,
    failed: &mut Vec<String>,
) -> Result<i32, Failure> {
    if arguments.example {
        print_data([config::example().trim_end().to_owned()])?;
        return Ok(ExitCode::Success.number());
    }
    let Some(config) = arguments.config else {
        // The arguments demand it unless --example is given.
        let error =
            Diagnostic::error("there is no config to train by").help("name a file, or give --example");
        return Err(Failure::new(ExitCode::Invalid, error));
    };
    signals::end_the_program()?;
    let common = Common { lock: Some(arguments.held.choice(&config)), ..common(options)? };
    let request = TrainRequest {
        config,
        overrides: arguments.overrides,
        output_dir: arguments.output_dir,
        resume: arguments.resume,
        allow_changed: arguments.allow_changed,
        common,
    };
    let plan = prepare(&request, options)?;
    run_engine(&Request::Train(request), &plan.device(), options, WhenClosed::GoOn, failed)
        .map_err(|failure| placed(failure, &plan))
}

pub(super) fn check(
    arguments: CheckArguments,
    options: &CommonOptions,
    failed: &mut Vec<String>,
) -> Result<i32, Failure> {
    let common = Common { lock: Some(arguments.held.choice(&arguments.config)), ..common(options)? };
    let train = TrainRequest {
        config: arguments.config,
        overrides: arguments.overrides,
        output_dir: arguments.output_dir,
        resume: false,
        allow_changed: false,
        common,
    };
    let plan = prepare(&train, options)?;
    let request = CheckRequest { train, format: arguments.format.into() };
    run_engine(&Request::Check(request), &plan.device(), options, WhenClosed::Leave, failed)
        .map_err(|failure| placed(failure, &plan))
}

/// What is complained about in the config is told with its place there.
fn placed(failure: Failure, plan: &Plan) -> Failure {
    let place = |one: Diagnostic| if one.path.is_some() { plan.document.place(one) } else { one };
    Failure { diagnostics: failure.diagnostics.into_iter().map(place).collect(), ..failure }
}

/// Finds out what is wrong. The engine does the same again and tells the warnings, which belong into the run's log.
fn prepare(request: &TrainRequest, options: &CommonOptions) -> Result<Plan, Failure> {
    plan::prepare(request).map_err(|unprepared| with_options(unprepared, options))
}

/// Adds what the components say about their options, so that everything wrong is told at once. Only they know, so that
/// it takes libtorch; where there is none, the rest is told alone.
fn with_options(unprepared: Unprepared, options: &CommonOptions) -> Failure {
    let Unprepared { mut failure, components, document } = unprepared;
    let (Some(document), Ok(program), false) = (document, program(), components.is_empty()) else {
        return failure;
    };
    let mut found = Vec::new();
    let request = Request::CheckOptions(OptionsRequest { components });
    let ran = engine::run(&request, None, options.libtorch.clone(), &program, |message| {
        if let Message::Diagnostics(diagnostics) = message {
            found.extend(diagnostics.into_iter().map(|diagnostic| document.place(diagnostic)));
        }
    });
    if ran.is_ok() && found.iter().any(|one| one.severity == Severity::Error) {
        failure.exit = ExitCode::Invalid;
    }
    failure.diagnostics.extend(found);
    config::sort(&mut failure.diagnostics);
    failure
}
