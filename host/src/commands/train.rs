//! `train` and `check`: the config is read and every name in it resolved before libtorch is looked for.

use std::env;
use std::num::NonZeroUsize;
use std::thread;

use kiwi_core::data_format;
use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::place::Place;
use kiwi_core::plan::{Plan, Unprepared};
use kiwi_core::request::{CheckRequest, Common, Message, OptionsRequest, Request, TrainRequest};
use kiwi_core::{config, environment, plan, run_directory};

use super::told::Told;
use super::{WhenClosed, common, print_data, program, run_engine};
use crate::arguments::{CheckArguments, CommonOptions, FormatArgument, TrainArguments};
use crate::{engine, launch, print, signals};

pub(super) fn train(
    arguments: TrainArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    if arguments.example {
        print_data([config::example().trim_end().to_owned()])?;
        return Ok(ExitCode::Success.number());
    }
    let Some(config) = arguments.config else {
        // The arguments demand it unless --example is given.
        let error = Diagnostic::error(Code::Arguments, "there is no config to train by")
            .help("name a file, or give --example");
        return Err(Failure::new(ExitCode::Invalid, error));
    };
    launch::stay_with_parent()?;
    let place = launch::place()?;
    let nproc = arguments.nproc.map(usize::from);
    launch::refuse_within_launcher(nproc, place.as_ref())?;
    signals::end_the_program()?;
    let common = Common { lock: Some(arguments.held.choice(&config)), ..common(options)? };
    let mut request = TrainRequest {
        config,
        overrides: arguments.overrides,
        output_dir: arguments.output_dir,
        resume: arguments.resume,
        allow_changed: arguments.allow_changed,
        common,
    };
    let plan = prepare(&request, options)?;
    let restarted = place.as_ref().is_some_and(|place| go_on_after_restart(place, &plan, told));
    request.resume |= restarted;

    let device = plan.device(place.as_ref()).map_err(|failure| placed(failure, &plan))?;
    if !place.as_ref().is_some_and(Place::is_of_several) {
        let processes = processes(&plan, nproc, &device, options)?;
        if processes > 1 {
            return launched(processes, restarted, &plan, options);
        }
    }
    run_engine(&Request::Train(request), &device, options, WhenClosed::GoOn, told)
        .map_err(|failure| placed(failure, &plan))
}

/// Whether a run that its launcher has started anew goes on where it was, and word of it.
fn go_on_after_restart(place: &Place, plan: &Plan, told: &mut Told) -> bool {
    let Place { restarts, launcher, .. } = place;
    if *restarts == 0 || plan.config.trainer.resume {
        return false;
    }
    // All processes of a run would say the same.
    let speaks = place.is_first();
    match run_directory::named(&plan.config.run) {
        Some(directory) if run_directory::is_run(&directory) => {
            let note = format!(
                "{launcher} has started the run anew (restart {restarts}): it goes on in {}, as with --resume",
                directory.display()
            );
            if speaks && !plan.config.quiet {
                print::lines(&[note]);
            }
            true
        }
        Some(_) => false,
        None => {
            let warning = Diagnostic::warning(
                Code::StartedAnew,
                format!("{launcher} has started the run anew, and it begins at its start"),
            )
            .found(format!("restart {restarts}, and neither output_dir nor run_id"))
            .expected("the directory of the run, which says where to go on")
            .help("name it with --output-dir or run.output_dir, so that a restart goes on where the run was");
            if speaks {
                told.tell(&[warning]);
            }
            false
        }
    }
}

/// How many processes a run takes. Where there are several, all that can be looked for without opening it is seen to be there, so
/// that it is told once if it is not.
fn processes(
    plan: &Plan,
    asked: Option<usize>,
    device: &AskedDevice,
    options: &CommonOptions,
) -> Result<usize, Failure> {
    let gpus = &plan.config.trainer.gpus;
    let there = launch::count_gpus();
    let refuse = |complaint: Box<Diagnostic>| placed(Failure::new(ExitCode::Invalid, *complaint), plan);
    let processes = launch::how_many(gpus, asked, there).map_err(refuse)?;
    if processes > 1 {
        engine::look_for(device, options.libtorch.clone(), &program()?)
            .map_err(|failure| placed(failure, plan))?;
        // Where they cannot be counted, each process finds out for itself.
        let enough = there.map_or(Ok(()), |there| launch::enough(gpus, processes, there));
        enough.map_err(refuse)?;
    }
    Ok(processes)
}

/// The run in several processes of this program.
fn launched(processes: usize, resume: bool, plan: &Plan, options: &CommonOptions) -> Result<i32, Failure> {
    let omp = env::var_os(environment::OMP_NUM_THREADS.name).is_some_and(|threads| !threads.is_empty());
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (options.threads.is_none() && !omp).then(|| (cores / processes).max(1));
    if !plan.config.quiet {
        print::lines(&[launch::note(&plan.config.trainer.gpus, processes, threads)]);
    }
    let arguments = launch::Arguments::of(env::args_os().skip(1), threads, resume);
    launch::run(&program()?, &arguments, processes)
}

/// `check`. With `--format json` what is wrong goes to standard output too, as one object, so that programs need not read the
/// words for people.
pub(super) fn check(
    arguments: CheckArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    let format = arguments.format;
    let code = find_out(arguments, options, told).unwrap_or_else(|failure| {
        told.tell(&failure.diagnostics);
        failure.exit.number()
    });
    if format == FormatArgument::Json && code != ExitCode::Success.number() {
        print_data([data_format::line(told.to_json())])?;
    }
    Ok(code)
}

fn find_out(arguments: CheckArguments, options: &CommonOptions, told: &mut Told) -> Result<i32, Failure> {
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
    let place = launch::place()?;
    let device = plan.device(place.as_ref()).map_err(|failure| placed(failure, &plan))?;
    // Only the first device is computed on, so that the others are counted.
    let _ = processes(&plan, None, &device, options)?;
    let request = CheckRequest { train, format: arguments.format.into() };
    run_engine(&Request::Check(request), &device, options, WhenClosed::Leave, told)
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
