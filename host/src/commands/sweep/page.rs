//! The page about a sweep: what `kiwi_report` shows, from what is known of the trials.

use kiwi_core::config::sweep::{Method, Parameter, Space};
use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_report::sweep::{self, Metric, Scale, Trial, report_sweep};
use kiwi_sweep::directory::name;
use kiwi_sweep::ranking::{Better, ranked};
use kiwi_sweep::record::Phase;
use kiwi_sweep::table::{Table, labels, shown};

/// Writes the page into the directory of the sweep.
pub(super) fn write(table: &Table<'_>) -> Result<(), Failure> {
    report_sweep(&of(table), &table.directory.report())
        .map_err(|error| Failure::new(ExitCode::RunFailed, error.diagnostic()))
}

fn of(table: &Table<'_>) -> sweep::Sweep {
    let directory = table.directory.path();
    let title = directory.file_name().unwrap_or(directory.as_os_str()).to_string_lossy().into_owned();
    let metric = table
        .metric()
        .map(|metric| Metric { name: metric.name, higher_is_better: metric.better == Better::Higher });
    let parameters = table.sweep.parameters.iter().zip(labels(table.sweep)).map(|(parameter, label)| {
        sweep::Parameter { path: parameter.path.clone(), label, scale: scale(parameter) }
    });
    let best = table.directory.best();
    sweep::Sweep {
        title,
        about: about(table),
        metric,
        parameters: parameters.collect(),
        trials: ranked(table.states).into_iter().map(|place| trial(table, place)).collect(),
        best_config: best.is_file().then_some(best),
    }
}

fn scale(parameter: &Parameter) -> Scale {
    match &parameter.space {
        Space::Values(values) => Scale::Named(values.iter().map(shown).collect()),
        Space::Uniform { low, high } => Scale::Linear(*low, *high),
        Space::LogUniform { low, high } => Scale::Logarithmic(*low, *high),
        Space::Integers { low, high, .. } => Scale::Linear(*low as f64, *high as f64),
    }
}

fn trial(table: &Table<'_>, place: usize) -> Trial {
    let state = &table.states[place];
    let measured = state.measured.as_ref();
    let values =
        table.trials[place].iter().map(|value| sweep::Value { text: shown(value), number: value.as_f64() });
    let rungs = table.schedule.rungs.len();
    let note = match (&state.reason, state.phase) {
        (Some(reason), _) => reason.clone(),
        (None, Phase::Finished) if rungs > 1 => format!("rung {} of {rungs}", state.rung + 1),
        _ => String::new(),
    };
    Trial {
        name: name(place + 1),
        values: values.collect(),
        value: measured
            .filter(|_| state.phase != Phase::Failed)
            .and_then(|measured| measured.value)
            .map(|value| value.0),
        state: state.phase.name(),
        note,
        epochs: measured.map(|measured| measured.epochs),
        steps: measured.map(|measured| measured.steps),
        seconds: measured.map(|measured| measured.seconds.0),
        run: table.directory.trial(place + 1),
    }
}

/// How the sweep searched.
fn about(table: &Table<'_>) -> String {
    match table.sweep.method {
        Method::Grid => "A grid: each combination of values once.".to_owned(),
        Method::Random { seed, .. } => format!("Values drawn at random, with seed {seed}."),
        Method::SuccessiveHalving { seed, resource, least, factor, .. } => format!(
            "Successive halving: values drawn at random, with seed {seed}; all trials go to {least} of the {}, the best 1 in {factor} on, {factor} times as far each time.",
            resource.name()
        ),
    }
}
