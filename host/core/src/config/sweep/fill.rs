//! The rules of a sweep file, key by key.

use std::path::PathBuf;

use serde_json::Value;

use super::{Method, Parameter, Resource, Space, overlap};
use crate::config::document::Value as NodeValue;
use crate::config::path;
use crate::config::reader::{ANY, Entry, POSITIVE, Section};
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;

/// More trials than anybody waits for.
const MOST: u64 = 10_000;
const CONFIG: &str = "the path of a config, from the sweep file, or the config itself";
const SPACE: &str = "an object with one of values, uniform, log_uniform and integers";
const BOUNDS: &str = "a list of two numbers, the least and the greatest";

/// What a sweep file says.
pub(super) struct Filled {
    /// The path of the config, from the sweep file; `None` where it stands in it.
    pub(super) config: Option<PathBuf>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) method: Method,
    pub(super) parallel: usize,
    pub(super) devices: Vec<usize>,
    pub(super) output_dir: Option<PathBuf>,
    pub(super) max_hours: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grid,
    Random,
    Halving,
}

pub(super) fn sweep(mut section: Section<'_>) -> Option<Filled> {
    section.optional("$schema", Entry::string);
    let config = section.required("config", CONFIG, |entry| match entry.value() {
        NodeValue::Object(_) => Some(None),
        NodeValue::String(_) => entry.file().map(Some),
        _ => entry.refuse(CONFIG),
    });
    let expected = "an object with a path of the config and its space, such as \
                    {\"system.optimizer.learning_rate\": {\"log_uniform\": [1e-4, 1e-2]}}";
    let parameters = section.required("parameters", expected, |entry| parameters(entry, expected));
    let kinds = [("grid", Kind::Grid), ("random", Kind::Random), ("successive_halving", Kind::Halving)];
    let kind = section
        .required("method", "\"grid\", \"random\" or \"successive_halving\"", |entry| entry.choice(&kinds));
    let method = method(&mut section, kind);
    let devices = section.optional("devices", devices);
    let parallel = section.optional("parallel", |entry| entry.size(1));
    if let (Some(parallel), Some(devices)) = (parallel, &devices)
        && parallel > devices.len()
    {
        section.complain(
            Diagnostic::error(Code::Sweep, "more trials at once than devices")
                .at("parallel")
                .found(format!("{parallel} trials at once, on {} devices", devices.len()))
                .expected(format!("at most {}, one for each entry of devices", devices.len()))
                .help("lower parallel, or name a device as often in devices as trials may share it"),
        );
    }
    let output_dir = section.optional("output_dir", Entry::file);
    let max_hours = section.optional("max_hours", |entry| entry.number(POSITIVE));
    if let (Some(parameters), Some(kind)) = (&parameters, kind) {
        check_paths(&section, parameters, kind, devices.is_some());
        if kind == Kind::Grid {
            check_grid(&section, parameters);
        }
        if let Some(Method::Random { trials, .. } | Method::SuccessiveHalving { trials, .. }) = method {
            check_enough(&section, parameters, trials);
        }
    }
    section.finish_as_they_are();
    let slots = devices.as_ref().map_or(1, Vec::len);
    Some(Filled {
        config: config?,
        parameters: parameters?,
        method: method?,
        parallel: parallel.unwrap_or(slots),
        devices: devices.unwrap_or_default(),
        output_dir,
        max_hours,
    })
}

fn method(section: &mut Section<'_>, kind: Option<Kind>) -> Option<Method> {
    let draws = !matches!(kind, Some(Kind::Grid));
    let halves = matches!(kind, None | Some(Kind::Halving));
    let least = if kind == Some(Kind::Halving) { 2 } else { 1 };
    let trials = if draws && kind.is_some() {
        let expected = format!("an integer from {least} to {MOST}");
        section.required("trials", &expected, |entry| match entry.size(least) {
            Some(trials) if trials as u64 > MOST => entry.refuse(&expected),
            trials => trials,
        })
    } else {
        unused(section, "trials", kind, "grid runs each combination of values once");
        None
    };
    let seed = if draws { section.or("seed", 1, |entry| entry.count(0)) } else { 1 };
    if !draws {
        unused(section, "seed", kind, "grid draws nothing");
    }
    let other = "only successive_halving has trials that end early";
    let epochs = section.entry("min_epochs");
    let steps = section.entry("min_steps");
    let factor = section.entry("factor");
    if !halves {
        for entry in [epochs, steps, factor].into_iter().flatten() {
            complain_unused(&entry, other);
        }
    } else if kind.is_some() {
        let factor = factor.map_or(Some(3), |entry| entry.count(2));
        let least = match (epochs, steps) {
            (Some(epochs), None) => epochs.count(1).map(|least| (Resource::Epochs, least)),
            (None, Some(steps)) => steps.count(1).map(|least| (Resource::Steps, least)),
            (both, _) => {
                let found = if both.is_some() { "both" } else { "neither" };
                section.complain(
                    Diagnostic::error(
                        Code::Sweep,
                        "how far all trials go is said by min_epochs or by min_steps",
                    )
                    .at("min_epochs")
                    .found(found)
                    .expected("one of the two, an integer of at least 1")
                    .help("write \"min_epochs\": 1, or \"min_steps\" where trainer.max_steps ends the run"),
                );
                None
            }
        };
        let (resource, least) = least?;
        return Some(Method::SuccessiveHalving { trials: trials?, seed, resource, least, factor: factor? });
    }
    match kind? {
        Kind::Grid => Some(Method::Grid),
        _ => Some(Method::Random { trials: trials?, seed }),
    }
}

fn unused(section: &mut Section<'_>, key: &'static str, kind: Option<Kind>, why: &str) {
    if let (Some(entry), Some(_)) = (section.entry(key), kind) {
        complain_unused(&entry, why);
    }
}

fn complain_unused(entry: &Entry<'_>, why: &str) {
    let key = path::last_part(entry.path());
    entry.complain(
        Diagnostic::error(Code::Sweep, format!("{key} does not go with this method: {why}"))
            .found(entry.describe())
            .expected("no such key")
            .help("remove the key, or choose another method"),
    );
}

fn devices(entry: &Entry<'_>) -> Option<Vec<usize>> {
    const DEVICES: &str = "a list of one or more numbers of GPUs, counted from 0";
    match entry.value() {
        NodeValue::Array(elements) if !elements.is_empty() => entry.list(DEVICES, |entry| entry.size(0)),
        _ => entry.refuse(DEVICES),
    }
}

fn parameters(entry: &Entry<'_>, expected: &str) -> Option<Vec<Parameter>> {
    let members = entry.members();
    if members.is_empty() {
        return entry.refuse(expected);
    }
    let read = |(key, entry): (String, Entry<'_>)| {
        let space = space(&entry);
        if path::parse(&key).is_none_or(|steps| steps.is_empty()) {
            entry.complain(
                Diagnostic::error(Code::Sweep, "a parameter has no valid path")
                    .found(if key.is_empty() { "an empty path".to_owned() } else { format!("`{key}`") })
                    .expected(
                        "a path of the config such as trainer.epochs or system.optimizer[0].learning_rate",
                    ),
            );
            return None;
        }
        Some(Parameter { path: key, space: space?, place: entry.path().to_owned() })
    };
    let read: Vec<_> = members.into_iter().map(read).collect();
    read.into_iter().collect()
}

fn space(entry: &Entry<'_>) -> Option<Space> {
    if matches!(entry.value(), NodeValue::Array(_)) {
        entry.complain(
            Diagnostic::error(Code::Sweep, format!("invalid space for {}", path::last_part(entry.path())))
                .found(entry.describe())
                .expected(SPACE)
                .help("write {\"values\": […]} for these values"),
        );
        return None;
    }
    let mut section = entry.section()?;
    let values = section.entry("values").map(|entry| values(&entry));
    let uniform = section.entry("uniform").map(|entry| {
        bounds(&entry, |bound| bound.number(ANY), "numbers").map(|(low, high)| Space::Uniform { low, high })
    });
    let log_uniform = section.entry("log_uniform").map(|entry| {
        let bounds = bounds(&entry, |bound| bound.number(POSITIVE), "numbers above 0");
        bounds.map(|(low, high)| Space::LogUniform { low, high })
    });
    let integers =
        section.entry("integers").map(|entry| bounds(&entry, |bound| bound.integer(i64::MIN), "integers"));
    let step = section.entry("step");
    let stepped = integers.is_some();
    let integers = integers.map(|bounds| {
        let step = step.as_ref().map_or(Some(1), |step| step.integer(1));
        bounds.zip(step).map(|((low, high), step)| Space::Integers { low, high, step })
    });
    if let (Some(step), false) = (&step, stepped) {
        complain_unused_step(step);
    }
    let spaces: Vec<_> = [values, uniform, log_uniform, integers].into_iter().flatten().collect();
    section.finish_as_they_are();
    // What else stands there is told already.
    let told = spaces.is_empty() && !entry.members().is_empty();
    match <[_; 1]>::try_from(spaces) {
        Ok([space]) => space,
        Err(_) if told => None,
        Err(spaces) => {
            let found =
                if spaces.is_empty() { entry.describe() } else { format!("{} of them", spaces.len()) };
            let name = path::last_part(entry.path());
            entry.complain(
                Diagnostic::error(Code::Sweep, format!("invalid space for {name}"))
                    .found(found)
                    .expected(SPACE),
            );
            None
        }
    }
}

fn complain_unused_step(step: &Entry<'_>) {
    step.complain(
        Diagnostic::error(Code::Sweep, "step goes with integers only")
            .found(step.describe())
            .expected("no such key, or integers beside it")
            .help("remove the key"),
    );
}

fn values(entry: &Entry<'_>) -> Option<Space> {
    const VALUES: &str = "a list of one or more values, each once";
    let values: Vec<Value> = match entry.value() {
        NodeValue::Array(elements) if !elements.is_empty() => entry.list(VALUES, Entry::json)?,
        _ => return entry.refuse(VALUES),
    };
    let repeated = values.iter().enumerate().find(|(place, value)| values[..*place].contains(value));
    if let Some((_, value)) = repeated {
        entry.complain(
            Diagnostic::error(Code::Sweep, "a value is there twice")
                .found(format!("{value} more than once"))
                .expected(VALUES)
                .help("remove one of the two"),
        );
        return None;
    }
    Some(Space::Values(values))
}

/// Two numbers, the second above the first.
fn bounds<T: PartialOrd + Copy>(
    entry: &Entry<'_>,
    read: impl Fn(&Entry<'_>) -> Option<T>,
    what: &str,
) -> Option<(T, T)> {
    let expected = format!("{BOUNDS}: {what}");
    let both = match entry.value() {
        NodeValue::Array(elements) if elements.len() == 2 => entry.list(&expected, read)?,
        _ => return entry.refuse(&expected),
    };
    match both[..] {
        [low, high] if low < high => Some((low, high)),
        _ => {
            let found = entry.elements().join(", ");
            entry.complain(
                Diagnostic::error(
                    Code::Sweep,
                    format!("the bounds of {} are not in order", path::last_part(entry.path())),
                )
                .found(found)
                .expected("the least, then a greater one")
                .help("exchange the two; one value alone is set in the config"),
            );
            None
        }
    }
}

/// Refuses paths that are not the user's to search, and those that lead through one another.
fn check_paths(section: &Section<'_>, parameters: &[Parameter], kind: Kind, devices: bool) {
    let halving = kind == Kind::Halving;
    let refused = [
        ("run.output_dir", true, "each trial has a directory of its own"),
        ("run.run_id", true, "each trial is a run of its own"),
        ("trainer.resume", true, "the sweep says which trials go on"),
        ("trainer.main_metric", true, "trials are compared by it"),
        ("debug", true, "trials that train on one batch cannot be compared with others"),
        ("trainer.epochs", halving, "successive_halving says how far each trial goes"),
        ("trainer.max_steps", halving, "successive_halving says how far each trial goes"),
        ("trainer.gpus", devices, "devices says where each trial computes"),
    ];
    for (place, parameter) in parameters.iter().enumerate() {
        let path = &parameter.path;
        if let Some((key, _, why)) = refused.iter().find(|(key, holds, _)| *holds && overlap(key, path)) {
            section.complain(
                Diagnostic::error(Code::Sweep, format!("{path} cannot be searched: {why}"))
                    .at(&*parameter.place)
                    .found(format!("a space for {key}"))
                    .expected("paths of other values")
                    .help("remove the parameter"),
            );
        }
        if let Some(other) = parameters[..place].iter().find(|other| overlap(&other.path, path)) {
            section.complain(
                Diagnostic::error(Code::Sweep, "two parameters set the same value")
                    .at(&*parameter.place)
                    .found(format!("{path} beside {}", other.path))
                    .expected("paths of which none leads through another")
                    .help("remove one of the two, or put the values of both into one list of values"),
            );
        }
    }
}

/// A grid ends, and within somebody's lifetime.
fn check_grid(section: &Section<'_>, parameters: &[Parameter]) {
    for parameter in parameters {
        let (key, low, high, logarithmic) = match parameter.space {
            Space::Uniform { low, high } => ("uniform", low, high, false),
            Space::LogUniform { low, high } => ("log_uniform", low, high, true),
            Space::Values(_) | Space::Integers { .. } => continue,
        };
        section.complain(
            Diagnostic::error(
                Code::Sweep,
                format!("a grid needs values that can be counted, and {} has no end of them", parameter.path),
            )
            .at(path::join(&parameter.place, key))
            .found(key)
            .expected("values, or integers")
            .help(format!(
                "write \"values\": {}, or choose the method \"random\"",
                Value::from(between(low, high, logarithmic))
            )),
        );
    }
    let counts = parameters.iter().filter_map(|parameter| parameter.space.count());
    let trials = counts.fold(1_u64, u64::saturating_mul);
    if trials > MOST {
        section.complain(
            Diagnostic::error(Code::Sweep, "the grid has more combinations than can be run")
                .at("parameters")
                .found(format!("{trials} combinations"))
                .expected(format!("at most {MOST}"))
                .help("give fewer values, a greater step, or choose the method \"random\" with so many trials as you can run"),
        );
    }
}

/// Four numbers from `low` to `high`, to write in place of a continuous space.
fn between(low: f64, high: f64, logarithmic: bool) -> Vec<f64> {
    let part =
        |share: f64| if logarithmic { low * (high / low).powf(share) } else { low + (high - low) * share };
    let numbers = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0].map(part);
    numbers.iter().map(|number| format!("{number:.2e}").parse().unwrap_or(*number)).collect()
}

/// No two trials are the same.
fn check_enough(section: &Section<'_>, parameters: &[Parameter], trials: usize) {
    let counts: Option<Vec<u64>> = parameters.iter().map(|parameter| parameter.space.count()).collect();
    let Some(combinations) = counts.map(|counts| counts.into_iter().fold(1, u64::saturating_mul)) else {
        return;
    };
    if (trials as u64) > combinations {
        section.complain(
            Diagnostic::error(Code::Sweep, "there are fewer combinations of values than trials")
                .at("trials")
                .found(format!("{trials} trials, {combinations} combinations"))
                .expected(format!("at most {combinations} trials, since no two are the same"))
                .help("lower trials, or choose the method \"grid\", which runs each combination once"),
        );
    }
}
