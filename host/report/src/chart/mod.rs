//! Charts as SVG, drawn when the page is made, so that they are there without a script and on paper: over optimizer steps,
//! with linear axes.
//!
//! [`axis`] chooses what an axis shows, [`data`] is the same curves as JSON, from which `page.js` draws anew whenever something
//! is asked of a chart. Both give their elements the same classes, so that `page.css` holds for both.

pub(crate) mod axis;
pub(crate) mod data;

use std::fmt::Write as _;

use axis::Axis;
use maud::{Markup, html};

use crate::curves::Point;
use crate::curves::charts::{Chart, Series};
use crate::curves::collect::{Mark, MarkKind};
use crate::run::Run;
use crate::text;

/// Colours of runs; more runs have the same colours again.
pub(crate) const COLOURS: usize = 8;
/// Dash patterns of curves of one run.
const DASHES: usize = 4;
/// So many marks of a run are drawn.
pub(crate) const MARKS: usize = 200;

/// Points of a curve with more are not drawn besides its line.
const DOTS: usize = 80;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 38.0;

/// The chart, over the steps of the runs.
pub(crate) fn svg(chart: &Chart, runs: &[Run]) -> Markup {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let x = Axis::of_steps(points().map(|point| point.step as f64), LEFT, WIDTH - RIGHT);
    let y = Axis::over(points().map(|point| point.value), HEIGHT - BOTTOM, TOP, 0.06);
    let place = |point: &Point| (x.place(point.step as f64), y.place(point.value));
    // Validations stand before the noise of training.
    let mut ordered: Vec<_> = chart.series.iter().collect();
    ordered.sort_by_key(|series| chart.names[series.name].dotted);
    let mut shown: Vec<_> = chart.series.iter().map(|series| series.run).collect();
    shown.sort_unstable();
    shown.dedup();
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(spoken(chart, runs)) {
            @for tick in y.ticks(5) {
                line class="grid" x1=(LEFT) x2=(WIDTH - RIGHT) y1=(short(y.place(tick))) y2=(short(y.place(tick))) {}
                text class="tick" x=(LEFT - 6.0) y=(short(y.place(tick) + 4.0)) text-anchor="end" { (axis::label(tick)) }
            }
            @for tick in x.ticks(6) {
                line class="grid" y1=(TOP) y2=(HEIGHT - BOTTOM) x1=(short(x.place(tick))) x2=(short(x.place(tick))) {}
                text class="tick" x=(short(x.place(tick))) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (axis::label(tick)) }
            }
            text class="tick" x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 4.0) text-anchor="middle" { "optimizer steps" }
            @for run in shown {
                @for mark in runs[run].collected.marks.iter().take(MARKS) {
                    @if let at = x.place(mark.step as f64) && (LEFT..=WIDTH - RIGHT).contains(&at) {
                        (mark_line(mark, run, at, &runs[run].label))
                    }
                }
            }
            @for series in ordered {
                @let name = &chart.names[series.name];
                g class=(format!("curve c{} d{}{}", series.run % COLOURS, name.dash % DASHES, if name.dotted { " dotted" } else { "" })) {
                    path d=(path(series, place)) {}
                    @for (index, point) in series.points.iter().enumerate() {
                        @if point.value.is_finite() && (is_alone(&series.points, index) || name.dotted && series.points.len() <= DOTS) {
                            @let (x, y) = place(point);
                            circle cx=(short(x)) cy=(short(y)) r="2.6" {}
                        }
                    }
                    @for point in series.points.iter().filter(|point| !point.value.is_finite()) {
                        @let at = short(x.place(point.step as f64));
                        text class="odd" x=(at) y=(odd_place(point.value)) text-anchor="middle" {
                            "×"
                            title { (runs[series.run].label) ": " (name.name) " is " (text::number(point.value)) " at step " (text::count(point.step)) }
                        }
                    }
                    @if let Some(best) = series.best.filter(|best| best.value.is_finite()) {
                        @let (x, y) = place(&best);
                        text class="best" x=(short(x)) y=(short(y + 6.0)) text-anchor="middle" {
                            "★"
                            title { (runs[series.run].label) ": best " (name.name) " " (text::number(best.value)) " at step " (text::count(best.step)) }
                        }
                    }
                }
            }
        }
    }
}

fn mark_line(mark: &Mark, run: usize, at: f64, label: &str) -> Markup {
    let class = match mark.kind {
        MarkKind::RateLowered => "lowered",
        MarkKind::Resumed => "resumed",
    };
    html! {
        line class=(format!("mark {class} c{}", run % COLOURS)) x1=(short(at)) x2=(short(at)) y1=(TOP) y2=(HEIGHT - BOTTOM) {
            title { (label) ": " (mark.text) }
        }
    }
}

/// What is not finite stands at the edge of the chart: below where it has no bound downwards.
fn odd_place(value: f64) -> f64 {
    if value == f64::NEG_INFINITY { HEIGHT - BOTTOM - 1.0 } else { TOP + 9.0 }
}

/// Whether no line leads to a point.
fn is_alone(points: &[Point], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| points.get(before));
    [before, points.get(index + 1)].into_iter().flatten().all(|beside| !beside.value.is_finite())
}

/// The line of a curve, with a gap where it is not finite.
fn path(series: &Series, place: impl Fn(&Point) -> (f64, f64)) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for point in &series.points {
        if !point.value.is_finite() {
            pen_down = false;
            continue;
        }
        let (x, y) = place(point);
        let (x, y) = (short(x), short(y));
        // Writing to a string never fails.
        let _ = write!(path, "{}{x} {y}", if pen_down { "L" } else { "M" });
        pen_down = true;
    }
    path
}

/// A place in the drawing.
fn short(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

/// The chart in words.
fn spoken(chart: &Chart, runs: &[Run]) -> String {
    let mut words = format!("{} over optimizer steps.", chart.title);
    for series in chart.series.iter().take(12) {
        let (name, label) = (&chart.names[series.name].name, &runs[series.run].label);
        if let (Some(first), Some(last)) = (series.extremes.first, series.extremes.last) {
            let (first, last) = (text::number(first.value), text::number(last.value));
            let _ = write!(words, " {label}, {name}: from {first} to {last}.");
        }
    }
    words
}
