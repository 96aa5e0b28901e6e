//! Parallel coordinates: each trial as a line over an axis for each parameter and one for the main metric, coloured by its rank.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::axes::ParameterAxis;
use super::{Sweep, Trial};
use crate::text;

/// Colours from the best to the worst.
pub(super) const SHADES: usize = 7;
/// So many trials are drawn: the best.
pub(super) const DRAWN: usize = 500;

const SPACE: f64 = 150.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 16.0;
const HEIGHT: f64 = 400.0;

/// Which of the shades each trial has; trials stand best first, and those without a value have none.
pub(super) fn shades(trials: &[Trial]) -> Vec<Option<usize>> {
    let count = trials.iter().filter(|trial| trial.finite().is_some()).count();
    let mut place = 0;
    trials
        .iter()
        .map(|trial| {
            trial.finite()?;
            let shade = if count < 2 { 0 } else { place * (SHADES - 1) / (count - 1) };
            place += 1;
            Some(shade)
        })
        .collect()
}

/// The drawing.
pub(super) fn svg(sweep: &Sweep) -> Markup {
    let (from, to) = (HEIGHT - BOTTOM, TOP);
    let axes: Vec<_> =
        sweep.parameters.iter().map(|parameter| ParameterAxis::new(&parameter.scale, from, to)).collect();
    let metric = sweep
        .metric
        .as_ref()
        .map(|metric| (metric, ParameterAxis::of_metric(metric, &sweep.trials, from, to)));
    let columns = axes.len() + usize::from(metric.is_some());
    let width = (LEFT + RIGHT + SPACE * columns.saturating_sub(1) as f64).max(480.0);
    let space = if columns < 2 { 0.0 } else { (width - LEFT - RIGHT) / (columns - 1) as f64 };
    let x = |column: usize| LEFT + space * column as f64;
    let shades = shades(&sweep.trials);
    let drawn: Vec<_> = sweep.trials.iter().zip(&shades).enumerate().take(DRAWN).collect();
    let path = |trial: &Trial| {
        let of_metric = metric.as_ref().and_then(|(_, axis)| axis.place_of(trial.finite()?));
        let places = axes.iter().zip(&trial.values).map(|(axis, value)| axis.place(value)).chain([of_metric]);
        let mut path = String::new();
        for (column, place) in places.enumerate() {
            let Some(place) = place else { continue };
            // Writing to a string never fails.
            let _ = write!(
                path,
                "{}{} {}",
                if path.is_empty() { "M" } else { "L" },
                short(x(column)),
                short(place)
            );
        }
        path
    };
    html! {
        svg class="parallel" viewBox=(format!("0 0 {width} {HEIGHT}")) role="group" tabindex="0" aria-labelledby="parameters" aria-describedby="parallel-help" {
            // The best are drawn last, above the others.
            g class="lines" { @for (place, (trial, shade)) in drawn.iter().rev() {
                path class=(class(**shade)) data-trial=(place) d=(path(trial)) { title { (spoken(sweep, trial)) } }
            } }
            @for (column, axis) in axes.iter().enumerate() {
                (drawn_axis(x(column), axis, &sweep.parameters[column].label, &sweep.parameters[column].path, "", (from, to)))
            }
            @if let Some((metric, axis)) = &metric {
                (drawn_axis(x(axes.len()), axis, &metric.name, &metric.name, " metric", (from, to)))
                text class="tick" x=(short(x(axes.len()))) y=(TOP - 14.0) text-anchor="middle" { "best" }
            }
        }
    }
}

fn class(shade: Option<usize>) -> String {
    match shade {
        Some(shade) => format!("trial q{shade}"),
        None => "trial none".to_owned(),
    }
}

fn drawn_axis(
    x: f64,
    axis: &ParameterAxis,
    label: &str,
    full: &str,
    class: &str,
    (from, to): (f64, f64),
) -> Markup {
    html! {
        g class=(format!("axis{class}")) {
            line x1=(short(x)) x2=(short(x)) y1=(from) y2=(to) {}
            text class="label" x=(short(x)) y=(TOP - 28.0) text-anchor="middle" { (text::short(label, 22)) title { (full) } }
            @for tick in axis.ticks() {
                line x1=(short(x - 4.0)) x2=(short(x)) y1=(short(tick.at)) y2=(short(tick.at)) {}
                text class="tick" x=(short(x - 7.0)) y=(short(tick.at + 4.0)) text-anchor="end" { (tick.label) }
            }
        }
    }
}

/// A trial in words.
pub(super) fn spoken(sweep: &Sweep, trial: &Trial) -> String {
    let values = sweep
        .parameters
        .iter()
        .zip(&trial.values)
        .map(|(parameter, value)| format!("{} {}", parameter.label, value.text));
    let values = values.collect::<Vec<_>>().join(", ");
    let value = match (&sweep.metric, trial.value) {
        (Some(metric), Some(value)) => format!("{} {}", metric.name, text::number(value)),
        _ => trial.state.to_owned(),
    };
    format!("{}: {value}; {values}", trial.name)
}

/// A place in the drawing.
fn short(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}
