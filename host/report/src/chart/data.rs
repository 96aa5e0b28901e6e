//! The curves of a page as JSON, for its script.

use kiwi_tracking::number::Number;
use serde::Serialize;

use super::{COLOURS, DASHES, MARKS};
use crate::curves::Point;
use crate::curves::charts::Charts;
use crate::curves::collect::MarkKind;
use crate::run::Run;

#[derive(Serialize)]
struct Data<'a> {
    runs: Vec<RunData<'a>>,
    charts: Vec<ChartData<'a>>,
}

#[derive(Serialize)]
struct RunData<'a> {
    label: &'a str,
    colour: usize,
    marks: Vec<MarkData<'a>>,
}

#[derive(Serialize)]
struct MarkData<'a> {
    kind: &'static str,
    step: u64,
    seconds: Number,
    text: &'a str,
}

#[derive(Serialize)]
struct ChartData<'a> {
    title: &'a str,
    series: Vec<SeriesData<'a>>,
}

/// Points as columns: names of fields would take more room than the numbers.
#[derive(Serialize)]
struct SeriesData<'a> {
    run: usize,
    name: &'a str,
    dotted: bool,
    dash: usize,
    steps: Vec<u64>,
    seconds: Vec<Number>,
    values: Vec<Number>,
    best: Option<[Number; 3]>,
}

/// JSON that may stand within a `script` element.
pub(crate) fn json(runs: &[Run], charts: &Charts) -> String {
    let run_data = runs.iter().enumerate().map(|(place, run)| RunData {
        label: &run.label,
        colour: place % COLOURS,
        marks: run
            .collected
            .marks
            .iter()
            .take(MARKS)
            .map(|mark| MarkData {
                kind: match mark.kind {
                    MarkKind::RateLowered => "lowered",
                    MarkKind::Resumed => "resumed",
                },
                step: mark.step,
                seconds: seconds(mark.seconds),
                text: &mark.text,
            })
            .collect(),
    });
    let chart_data = charts.charts.iter().map(|chart| ChartData {
        title: &chart.title,
        series: chart
            .series
            .iter()
            .map(|series| {
                let name = &chart.names[series.name];
                let point =
                    |point: Point| [Number(point.step as f64), seconds(point.seconds), value(point.value)];
                SeriesData {
                    run: series.run,
                    name: &name.name,
                    dotted: name.dotted,
                    dash: name.dash % DASHES,
                    steps: series.points.iter().map(|point| point.step).collect(),
                    seconds: series.points.iter().map(|point| seconds(point.seconds)).collect(),
                    values: series.points.iter().map(|point| value(point.value)).collect(),
                    best: series.best.map(point),
                }
            })
            .collect(),
    });
    let data = Data { runs: run_data.collect(), charts: chart_data.collect() };
    let text = serde_json::to_string(&data).unwrap_or_default();
    // No text may end the element or begin a comment in it.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn seconds(seconds: f64) -> Number {
    Number((seconds * 10.0).round() / 10.0)
}

/// Six digits are more than a chart shows.
fn value(value: f64) -> Number {
    Number(if value.is_finite() { format!("{value:.5e}").parse().unwrap_or(value) } else { value })
}
