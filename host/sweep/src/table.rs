//! The trials of a sweep, best first: as a table for people, and as JSON for programs.

use kiwi_core::config::sweep::{Method, Sweep};
use kiwi_tracking::number::Number;
use serde_json::{Map, Value, json};

use crate::directory::{Directory, name};
use crate::draw::Values;
use crate::ranking::{Metric, best, metric, ranked};
use crate::record::{Phase, State};
use crate::schedule::Schedule;

/// The form of the JSON.
const FORMAT: u64 = 1;
/// Characters of a value in the table.
const VALUE: usize = 24;

/// What there is to tell of a sweep.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// What it is.
    pub sweep: &'a Sweep,
    /// Where it lies.
    pub directory: &'a Directory,
    /// Its rungs.
    pub schedule: &'a Schedule,
    /// The values of its trials.
    pub trials: &'a [Values],
    /// What became of them.
    pub states: &'a [State],
}

impl Table<'_> {
    /// The main metric, once a trial has been measured by it.
    #[must_use]
    pub fn metric(&self) -> Option<Metric> {
        metric(self.states)
    }

    /// One object: the metric, the best trial, and all trials, best first.
    #[must_use]
    pub fn json(&self) -> Value {
        let metric = self.metric();
        let metric = metric.map(|metric| json!({"name": metric.name, "ordering": metric.better.ordering()}));
        let trials: Vec<_> = ranked(self.states).into_iter().map(|place| self.trial_json(place)).collect();
        let rungs: Vec<_> = self
            .schedule
            .rungs
            .iter()
            .map(|rung| json!({"budget": rung.budget, "trials": rung.trials}))
            .collect();
        json!({
            "format": FORMAT,
            "directory": self.directory.path(),
            "metric": metric,
            "best": best(self.states).map(|place| self.trial_json(place)),
            "rungs": rungs,
            "trials": trials,
        })
    }

    fn trial_json(&self, place: usize) -> Value {
        let state = &self.states[place];
        let values = self.sweep.parameters.iter().zip(&self.trials[place]);
        let values: Map<String, Value> =
            values.map(|(parameter, value)| (parameter.path.clone(), value.clone())).collect();
        let run = self.directory.trial(place + 1);
        let measured = state.measured.as_ref();
        json!({
            "trial": place + 1,
            "state": state.phase.name(),
            "reason": state.reason,
            "rung": state.has_begun().then_some(state.rung),
            "values": values,
            "value": measured.and_then(|measured| measured.value),
            "epochs": measured.map(|measured| measured.epochs),
            "steps": measured.map(|measured| measured.steps),
            "seconds": measured.map(|measured| Number((measured.seconds.0 * 10.0).round() / 10.0)),
            "config": self.directory.config(place + 1),
            "directory": run,
            "system": measured.and_then(|measured| measured.system.as_ref()).map(|system| run.join(system)),
        })
    }

    /// A line for each trial under a heading, and the best system's path.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let parameters = labels(self.sweep);
        let metric_name = self.metric().map_or_else(|| "main metric".to_owned(), |metric| metric.name);
        let heading: Vec<String> = ["trial".to_owned(), metric_name]
            .into_iter()
            .chain(parameters)
            .chain(["epochs", "steps", "time", "state"].map(str::to_owned))
            .collect();
        let order = ranked(self.states);
        let mut rows = vec![heading];
        rows.extend(order.iter().map(|place| self.row(*place)));
        let mut lines = aligned(&rows, true);
        if let Some(place) = best(self.states) {
            let run = self.directory.trial(place + 1);
            let system = self.states[place].measured.as_ref().and_then(|measured| measured.system.as_ref());
            lines.push(String::new());
            lines.push(match system {
                Some(system) => format!("best system  {}", run.join(system).display()),
                None => format!("best run     {} (no system is kept)", run.display()),
            });
            lines.push(format!("its config   {}", self.directory.config(place + 1).display()));
        }
        lines
    }

    /// A line for each trial with its values, under a heading, before anything has run; then how far they would go.
    #[must_use]
    pub fn plan(&self) -> Vec<String> {
        let heading: Vec<String> = ["trial".to_owned()].into_iter().chain(labels(self.sweep)).collect();
        let mut rows = vec![heading];
        for (place, values) in self.trials.iter().enumerate() {
            rows.push([name(place + 1)].into_iter().chain(values.iter().map(shown)).collect());
        }
        let mut lines = aligned(&rows, false);
        lines.push(String::new());
        for (place, rung) in self.schedule.rungs.iter().enumerate() {
            if let Some(budget) = rung.budget {
                let (trials, rung) = (counted(rung.trials, "trial"), place + 1);
                let resource = match self.sweep.method {
                    Method::SuccessiveHalving { resource, .. } => resource.name(),
                    Method::Grid | Method::Random { .. } => "",
                };
                lines.push(format!("rung {rung}: {trials} to {budget} {resource}"));
            }
        }
        lines.push(format!("{} in {}", counted(self.trials.len(), "trial"), self.directory.path().display()));
        lines
    }

    fn row(&self, place: usize) -> Vec<String> {
        let state = &self.states[place];
        let measured = state.measured.as_ref();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let mut row = vec![
            name(place + 1),
            or_dash(measured.and_then(|measured| measured.value).map(|value| number(value.0))),
        ];
        row.extend(self.trials[place].iter().map(shown));
        row.push(or_dash(measured.map(|measured| measured.epochs.to_string())));
        row.push(or_dash(measured.map(|measured| measured.steps.to_string())));
        row.push(or_dash(measured.map(|measured| duration(measured.seconds.0))));
        row.push(match (&state.reason, state.phase) {
            (Some(reason), phase) => format!("{}: {}", phase.name(), first_line(reason)),
            (None, Phase::Finished) if self.schedule.rungs.len() > 1 => {
                format!("finished rung {} of {}", state.rung + 1, self.schedule.rungs.len())
            }
            (None, phase) => phase.name().to_owned(),
        });
        row
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Each parameter by as many of the last parts of its path as tell it from the others.
#[must_use]
pub fn labels(sweep: &Sweep) -> Vec<String> {
    let paths: Vec<Vec<&str>> =
        sweep.parameters.iter().map(|parameter| parameter.path.split('.').collect()).collect();
    let ending = |parts: &[&str], count: usize| parts[parts.len().saturating_sub(count)..].join(".");
    let label = |(place, parts): (usize, &Vec<&str>)| {
        let alone = |count: &usize| {
            let mut others = paths.iter().enumerate().filter(|(other, _)| *other != place);
            others.all(|(_, other)| ending(other, *count) != ending(parts, *count))
        };
        let count = (1..=parts.len()).find(alone).unwrap_or(parts.len());
        ending(parts, count)
    };
    paths.iter().enumerate().map(label).collect()
}

/// A value of a parameter, for people.
#[must_use]
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(written) if written.is_f64() => {
            written.as_f64().map_or_else(|| written.to_string(), number)
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A number with five digits.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return match value {
            _ if value.is_nan() => "nan",
            _ if value > 0.0 => "inf",
            _ => "-inf",
        }
        .to_owned();
    }
    let size = value.abs();
    let trimmed = |digits: &str| -> String {
        if digits.contains('.') {
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            digits.to_owned()
        }
    };
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.4e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", trimmed(digits)),
            None => text,
        };
    }
    let decimals = if size == 0.0 { 0 } else { (4 - size.log10().floor() as i32).max(0) as usize };
    trimmed(&format!("{value:.decimals$}"))
}

/// A time in words of at most two units.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours} h {minutes:02} min") } else { format!("{minutes} min {seconds:02} s") }
}

/// Rows whose cells stand below one another, numbers to the right; `words` says that the last column is none of numbers.
fn aligned(rows: &[Vec<String>], words: bool) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_number = |cell: &String| {
        cell == "-"
            || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            || cell == "inf"
            || cell == "nan"
    };
    let right: Vec<bool> = (0..columns)
        .map(|column| {
            column > 0
                && (column + 1 < columns || !words)
                && rows.iter().skip(1).all(|row| is_number(&row[column]))
        })
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let fill = " ".repeat(widths[column] - cell.chars().count());
                if right[column] { format!("{fill}{cell}") } else { format!("{cell}{fill}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_one_another() {
        let rows = [["trial", "rate", "state"], ["0001", "0.5", "finished"], ["0002", "12", "failed: no"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        assert_eq!(
            aligned(&rows, true),
            ["trial  rate  state", "0001    0.5  finished", "0002     12  failed: no"]
        );
    }

    #[test]
    fn values_are_short() {
        assert_eq!(shown(&json!(0.000123456)), "0.00012346");
        assert_eq!(shown(&json!(1e-7)), "1e-7");
        assert_eq!(shown(&json!("adam")), "adam");
        assert_eq!(shown(&json!({"class_name": "adam", "learning_rate": 1})).chars().count(), VALUE + 1);
        assert_eq!([5.04, 65.0, 7384.0].map(duration), ["5.0 s", "1 min 05 s", "2 h 03 min"]);
        assert_eq!(
            [f64::NAN, f64::INFINITY, 0.0, 12.0, 123_456.7].map(number),
            ["nan", "inf", "0", "12", "123457"]
        );
    }
}
