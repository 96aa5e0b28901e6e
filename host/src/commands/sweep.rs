//! `sweep`: many variants of a config trained, and the best of them found. All is checked before anything runs ([`check`]); then
//! trials are started, watched and written down ([`run`]), each a process of its own ([`command`], [`children`]). Which trials
//! there are and which comes next is `kiwi_sweep`'s.

mod check;
mod children;
mod command;
mod page;
mod progress;
mod run;

use std::path::Path;

use kiwi_core::config::sweep::{self, Method, Sweep};
use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::place::Place;
use kiwi_core::request::{Common, Format};
use kiwi_sweep::draw::{self, Values};
use kiwi_sweep::record::Phase;
use kiwi_sweep::{Directory, Schedule, State, Table, directory};
use serde_json::{Map, Value, json};

use super::told::Told;
use super::{common, print_data};
use crate::arguments::{CommonOptions, FormatArgument, SweepArguments};
use crate::{launch, signals};

/// A sweep and its trials.
#[derive(Debug)]
struct Plan {
    sweep: Sweep,
    trials: Vec<Values>,
    directory: Directory,
}

pub(super) fn run(
    arguments: SweepArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    if arguments.example {
        print_data([sweep::example().trim_end().to_owned()])?;
        return Ok(ExitCode::Success.number());
    }
    let Some(file) = &arguments.sweep else {
        // The arguments demand it unless --example is given.
        let error = Diagnostic::error(Code::Arguments, "there is no sweep file")
            .help("name a file, or give --example");
        return Err(Failure::new(ExitCode::Invalid, error));
    };
    let plan = plan(file, &arguments, told)?;
    if arguments.status || arguments.report {
        return told_of(&plan, &arguments);
    }
    refuse_launcher()?;
    signals::end_the_program()?;
    let held = arguments.held.choice(plan.sweep.base_file());
    let common = Common { lock: Some(held.clone()), ..common(options)? };
    if !arguments.dry_run {
        let fits = if arguments.resume {
            plan.directory.check_same(&plan.sweep)
        } else {
            plan.directory.check_unused()
        };
        fits.map_err(|error| invalid(&error))?;
    }
    let prepared = check::prepare(&plan.sweep, &plan.trials, &common, options, told)?;
    check_devices(&plan.sweep)?;
    let schedule = Schedule::new(plan.sweep.method, plan.trials.len(), prepared.most);
    if arguments.dry_run {
        print_trials(&plan, &schedule, arguments.format)?;
        return Ok(ExitCode::Success.number());
    }
    let lock = held.required.then_some(held.file);
    let begun = run::Begun { plan, prepared, schedule, lock, interactive: common.interactive };
    run::run(begun, &arguments, options, told)
}

/// Reads the sweep file and draws its trials.
fn plan(file: &Path, arguments: &SweepArguments, told: &mut Told) -> Result<Plan, Failure> {
    let mut warnings = Vec::new();
    let sweep = sweep::load(file, &mut warnings)
        .map_err(|diagnostics| Failure { exit: ExitCode::Invalid, diagnostics })?;
    told.tell(&warnings);
    let trials = draw::trials(&sweep);
    let given = arguments.output_dir.clone().or_else(|| sweep.output_dir.clone());
    let directory = Directory::at(given.unwrap_or_else(|| check::default_directory(file)));
    Ok(Plan { sweep, trials, directory })
}

fn invalid(error: &kiwi_sweep::Error) -> Failure {
    Failure::new(ExitCode::Invalid, error.diagnostic())
}

/// What became of the trials, and nothing else.
fn told_of(plan: &Plan, arguments: &SweepArguments) -> Result<i32, Failure> {
    let Plan { sweep, trials, directory } = plan;
    directory.check_same(sweep).map_err(|error| invalid(&error))?;
    let mut states = directory::states(directory, trials.len()).map_err(|error| invalid(&error))?;
    // What is under way is nobody's any more if nobody has the directory.
    let at_work = directory::is_locked(directory.path());
    for (place, state) in states.iter_mut().enumerate().filter(|(_, state)| state.phase == Phase::Running) {
        state.measured = kiwi_sweep::measure(&directory.trial(place + 1)).0.or(state.measured.take());
        if !at_work {
            state.phase = Phase::Interrupted;
        }
    }
    let schedule = Schedule::new(sweep.method, trials.len(), whole_way(sweep, directory));
    let table = Table { sweep, directory, schedule: &schedule, trials, states: &states };
    if arguments.report {
        page::write(&table)?;
        print_data([directory.report().display().to_string()])?;
    } else {
        print_table(&table, arguments.format)?;
    }
    Ok(ExitCode::Success.number())
}

/// How far trials go at the end, by the config of the first; all have the same length.
fn whole_way(sweep: &Sweep, directory: &Directory) -> Option<u64> {
    let Method::SuccessiveHalving { resource, .. } = sweep.method else { return None };
    let config: Value = serde_json::from_slice(&std::fs::read(directory.config(1)).ok()?).ok()?;
    config.pointer(&format!("/{}", resource.key().replace('.', "/")))?.as_u64()
}

fn print_table(table: &Table<'_>, format: FormatArgument) -> Result<(), Failure> {
    match format.into() {
        Format::Json => print_data([table.json().to_string()]),
        Format::Human => print_data(table.lines().iter().map(|line| crate::print::clean(line))),
    }
}

/// The trials that would be run.
fn print_trials(plan: &Plan, schedule: &Schedule, format: FormatArgument) -> Result<(), Failure> {
    let states = vec![State::default(); plan.trials.len()];
    let Plan { sweep, trials, directory } = plan;
    if format == FormatArgument::Human {
        let table = Table { sweep, directory, schedule, trials, states: &states };
        return print_data(table.plan().iter().map(|line| crate::print::clean(line)));
    }
    let values = |values: &Values| -> Map<String, Value> {
        sweep
            .parameters
            .iter()
            .zip(values)
            .map(|(parameter, value)| (parameter.path.clone(), value.clone()))
            .collect()
    };
    let trials: Vec<_> = trials
        .iter()
        .enumerate()
        .map(|(place, one)| json!({"trial": place + 1, "values": values(one)}))
        .collect();
    let rungs: Vec<_> =
        schedule.rungs.iter().map(|rung| json!({"budget": rung.budget, "trials": rung.trials})).collect();
    print_data([data_format::line(json!({"directory": directory.path(), "rungs": rungs, "trials": trials}))])
}

/// Trials are started by the sweep, which is one process.
fn refuse_launcher() -> Result<(), Failure> {
    match launch::place()? {
        Some(place) if place.is_of_several() => {
            let Place { rank, ranks, launcher, .. } = place;
            let error = Diagnostic::error(Code::Launcher, format!("a sweep starts its trials itself, and {launcher} starts it several times"))
                .found(format!("rank {rank} of {ranks}, started by {launcher}"))
                .expected("one process")
                .help("start it once; parallel and devices in the sweep file say how many trials run at once, and where");
            Err(Failure::new(ExitCode::Invalid, error))
        }
        _ => Ok(()),
    }
}

/// Sees that the GPUs are there.
fn check_devices(sweep: &Sweep) -> Result<(), Failure> {
    let Some(there) = launch::count_gpus() else { return Ok(()) };
    let Some((place, missing)) = sweep.devices.iter().enumerate().find(|(_, number)| **number >= there)
    else {
        return Ok(());
    };
    let found = match there {
        0 => "no NVIDIA GPU on this machine".to_owned(),
        1 => "1 GPU, of number 0".to_owned(),
        _ => format!("{there} GPUs, of numbers 0 to {}", there - 1),
    };
    let error = Diagnostic::error(Code::NoGpu, format!("there is no GPU of number {missing}"))
        .at(format!("devices[{place}]"))
        .found(found)
        .expected("numbers of GPUs that are there")
        .help("name those that `nvidia-smi` shows, or leave out devices to compute where the config says");
    Err(Failure::new(ExitCode::Invalid, sweep.place(error)))
}
