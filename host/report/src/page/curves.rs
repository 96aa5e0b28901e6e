//! The charts with what steers them, their keys, and their values as a table.

use maud::{Markup, html};

use super::name;
use crate::chart::{COLOURS, MARKS, svg};
use crate::curves::Point;
use crate::curves::charts::{Chart, Charts, Name};
use crate::curves::collect::MarkKind;
use crate::run::Run;
use crate::text;

pub(crate) fn section(runs: &[Run], charts: &Charts) -> Markup {
    html! {
        section aria-labelledby="curves" {
            h2 id="curves" { "Curves" }
            @if charts.charts.is_empty() { p class="faint" { "Nothing was logged." } }
            @else {
                (controls(runs))
                (key(runs, charts))
                div class="charts" { @for (place, chart) in charts.charts.iter().enumerate() { (figure(place, chart, runs)) } }
                @if charts.thinned { p class="faint" {
                    "Long curves are drawn with at most " (charts.most_points) " points each; the lowest and the highest value of each stretch are among them. The tables of values are of all points."
                } }
                @if charts.left_out > 0 { p class="faint" { (text::count(charts.left_out as u64)) " more curves are not drawn: that is more than a page can show." } }
                @if runs.len() > COLOURS { p class="faint" { "There are " (COLOURS) " colours; further runs have the same again." } }
                @if runs.iter().any(|run| run.collected.marks.len() > MARKS) {
                    p class="faint" { "Of each run the first " (MARKS) " lowered rates and resumes are marked." }
                }
            }
        }
    }
}

fn controls(runs: &[Run]) -> Markup {
    html! {
        div class="controls" role="group" aria-label="What the charts show" {
            @if runs.len() > 1 {
                div class="legend" {
                    @for (place, run) in runs.iter().enumerate() {
                        label { input type="checkbox" class="scripted" data-run=(place) checked autocomplete="off"; " " (name(place, run)) }
                    }
                }
            }
            div class="switches scripted" {
                label { "over " select id="over" autocomplete="off" { option value="steps" { "optimizer steps" } option value="seconds" { "time of the run" } } }
                label { input type="checkbox" id="log" autocomplete="off"; " log scale" }
                button type="button" id="whole" disabled { "Show all" }
                span class="faint" { "Drag over a chart to look closer, or go to one by Tab: arrow keys read values, + and − look closer and back, Escape shows all." }
            }
        }
    }
}

/// What signs in the charts mean; only those that occur.
fn key(runs: &[Run], charts: &Charts) -> Markup {
    let series = || charts.charts.iter().flat_map(|chart| &chart.series);
    let odd = series().any(|series| series.extremes.odd > 0);
    let without_log = series().any(|series| series.extremes.lowest.is_some_and(|lowest| lowest.value <= 0.0));
    let marked = |kind| runs.iter().any(|run| run.collected.marks.iter().any(|mark| mark.kind == kind));
    let mark = |class: &str| {
        html! {
            svg class="sample" viewBox="0 0 14 14" aria-hidden="true" { line class=(format!("mark {class}")) x1="7" x2="7" y1="0" y2="14" {} }
        }
    };
    html! {
        ul class="key" aria-label="Signs in the charts" {
            @if series().any(|series| series.best.is_some()) { li { span aria-hidden="true" { "★ " } "best validation" } }
            @if odd || without_log { li {
                span class="odd" aria-hidden="true" { "× " }
                @if odd { "not a finite number" }
                @if odd && without_log { "; " }
                @if without_log { span class="scripted" { "on a log scale: not above 0" } }
            } }
            @if marked(MarkKind::RateLowered) { li { (mark("lowered")) " learning rate lowered" } }
            @if marked(MarkKind::Resumed) { li { (mark("resumed")) " resumed" } }
        }
    }
}

fn figure(place: usize, chart: &Chart, runs: &[Run]) -> Markup {
    let id = format!("chart-{place}");
    html! {
        figure data-chart=(place) aria-labelledby=(id) {
            figcaption {
                h3 id=(id) { (text::short(&chart.title, 120)) }
                @if chart.names.len() > 1 {
                    ul class="names" { @for name in chart.names.iter().take(24) { li { (sample(name)) " " (text::short(&name.name, 120)) } } }
                }
            }
            div class="drawing" { (svg(chart, runs)) }
            details {
                summary { "Values" }
                div class="wide" tabindex="0" role="region" aria-label=(format!("Values of {}", text::short(&chart.title, 120))) { (values(chart, runs)) }
            }
        }
    }
}

fn sample(name: &Name) -> Markup {
    let dotted = if name.dotted { " dotted" } else { "" };
    html! {
        svg class="sample" viewBox="0 0 30 14" aria-hidden="true" {
            g class=(format!("curve d{}{dotted}", name.dash % 4)) {
                path d="M0 7L30 7" {}
                @if name.dotted { circle cx="15" cy="7" r="2.6" {} }
            }
        }
    }
}

fn values(chart: &Chart, runs: &[Run]) -> Markup {
    let value = |point: Option<Point>| {
        html! {
            td class="n" { @if let Some(point) = point {
                (text::number(point.value)) div class="faint" { "step " (text::count(point.step)) }
            } }
        }
    };
    let odd = chart.series.iter().any(|series| series.extremes.odd > 0);
    html! {
        table {
            thead { tr {
                th scope="col" { "Curve" } th scope="col" class="n" { "First" } th scope="col" class="n" { "Last" }
                th scope="col" class="n" { "Lowest" } th scope="col" class="n" { "Highest" } th scope="col" class="n" { "Points" }
                @if odd { th scope="col" class="n" { "Not finite" } }
            } }
            tbody { @for series in &chart.series { tr {
                @let extremes = &series.extremes;
                th scope="row" {
                    @if runs.len() > 1 { (name(series.run, &runs[series.run])) " " }
                    (text::short(&chart.names[series.name].name, 120))
                }
                (value(extremes.first)) (value(extremes.last)) (value(extremes.lowest)) (value(extremes.highest))
                td class="n" { (text::count(extremes.count as u64)) }
                @if odd { td class="n" { (text::count(extremes.odd as u64)) } }
            } } }
        }
    }
}
