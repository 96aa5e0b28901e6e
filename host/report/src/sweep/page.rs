//! The page about a sweep.

use maud::{Markup, PreEscaped, html};

use super::coordinates::{self, DRAWN, SHADES, shades};
use super::{Sweep, Trial};
use crate::chart::data;
use crate::curves::charts::charts;
use crate::page::{BEGINNING, POLICY, SCRIPT, STYLE, curves};
use crate::run::Run;
use crate::text;

const SWEEP_STYLE: &str = include_str!("sweep.css");
const SWEEP_SCRIPT: &str = include_str!("sweep.js");

/// The page.
pub(super) fn render(sweep: &Sweep, runs: &[Run]) -> String {
    let charts = charts(runs);
    let page = html! {
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (sweep.title) " – kiwi-host sweep" }
                style { (PreEscaped(STYLE)) (PreEscaped(SWEEP_STYLE)) }
            }
            body {
                a class="skip" href="#trials" { "Skip to the trials" }
                header {
                    h1 { (sweep.title) }
                    p { (sweep.about) " " (counts(&sweep.trials)) }
                    (best(sweep))
                }
                main {
                    (parameters(sweep))
                    (trials(sweep))
                    @if !runs.is_empty() { @if runs.len() < sweep.trials.len() {
                        p class="faint" id="which" { "Below are the curves of the " (runs.len()) " best trials that have a record." }
                    } }
                    (curves::section(runs, &charts))
                }
                script type="application/json" id="data" { (PreEscaped(data::json(runs, &charts))) }
                script { (PreEscaped(SCRIPT)) }
                script { (PreEscaped(SWEEP_SCRIPT)) }
            }
        }
    };
    format!("{BEGINNING}{}\n", page.into_string())
}

/// How many trials there are of each state.
fn counts(trials: &[Trial]) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for trial in trials {
        match counted.iter_mut().find(|(state, _)| *state == trial.state) {
            Some((_, count)) => *count += 1,
            None => counted.push((trial.state, 1)),
        }
    }
    let told: Vec<_> =
        counted.into_iter().map(|(state, count)| format!("{} {state}", text::count(count as u64))).collect();
    format!("Trials: {}.", told.join(", "))
}

fn best(sweep: &Sweep) -> Markup {
    let found = sweep.trials.first().and_then(|trial| Some((trial, trial.finite()?, sweep.metric.as_ref()?)));
    html! {
        @if let Some((trial, value, metric)) = found {
            p class="best" {
                "Best is trial " strong { (trial.name) } " with " (text::short(&metric.name, 120)) " " strong { (text::number(value)) } ": "
                @for (place, (parameter, value)) in sweep.parameters.iter().zip(&trial.values).enumerate() {
                    @if place > 0 { ", " }
                    code { (parameter.path) } " = " code { (value.text) }
                }
                "."
            }
            @if let Some(config) = &sweep.best_config {
                p class="faint" { "Its config is " code { (config.display()) } ", its run lies in " code { (trial.run.display()) } "." }
            }
        } @else { p class="faint" { "No trial has a value of the main metric yet." } }
    }
}

/// The drawing of all trials.
fn parameters(sweep: &Sweep) -> Markup {
    let without = sweep.trials.iter().filter(|trial| trial.finite().is_none()).count();
    html! {
        section aria-labelledby="parameters" {
            h2 id="parameters" { "Parameters and the main metric" }
            p class="key" {
                span { "best " @for shade in 0..SHADES { span class=(format!("shade q{shade}")) aria-hidden="true" {} } " worst" }
                @if without > 0 { span { span class="shade none" aria-hidden="true" {} " no value" } }
            }
            div class="drawing coordinates" tabindex="-1" { (coordinates::svg(sweep)) }
            p class="faint scripted" id="parallel-help" {
                "Point at a line or at a row of the table, or use the arrow keys in the drawing, to see a trial. Drag along an axis to see only the trials there, or go to it by Tab: Up cuts from below, Down from above, with Shift they give back. Escape shows all."
            }
            p id="chosen-trial" role="status" class="chosen-trial scripted" {}
            @if sweep.trials.len() > DRAWN { p class="faint" { "The best " (DRAWN) " of " (text::count(sweep.trials.len() as u64)) " trials are drawn." } }
        }
    }
}

/// The table of all trials.
fn trials(sweep: &Sweep) -> Markup {
    let shades = shades(&sweep.trials);
    let metric = sweep.metric.as_ref().map_or("main metric", |metric| metric.name.as_str());
    let number = |value: Option<f64>| value.map_or_else(|| "".to_owned(), |value| value.to_string());
    html! {
        section aria-labelledby="trials" {
            h2 id="trials" { "Trials" }
            div class="wide" tabindex="0" role="region" aria-labelledby="trials" {
                table class="trials" {
                    thead { tr {
                        th scope="col" { "Trial" }
                        th scope="col" class="n" aria-sort=(sorted(sweep)) { (text::short(metric, 60)) }
                        @for parameter in &sweep.parameters { th scope="col" class=[is_number(sweep, parameter).then_some("n")] title=(parameter.path) { (text::short(&parameter.label, 60)) } }
                        th scope="col" class="n" { "Epochs" } th scope="col" class="n" { "Steps" } th scope="col" class="n" { "Time" }
                        th scope="col" { "State" } th scope="col" { "Run" }
                    } }
                    tbody { @for (place, trial) in sweep.trials.iter().enumerate() { tr data-trial=(place) data-spoken=(coordinates::spoken(sweep, trial)) {
                        th scope="row" { span class=(shade(shades[place])) aria-hidden="true" {} (trial.name) }
                        td class="n" data-sort=(number(trial.value)) { @match trial.value { Some(value) => (text::number(value)), None => span class="faint" { "none" } } }
                        @for (value, parameter) in trial.values.iter().zip(&sweep.parameters) {
                            td class=[is_number(sweep, parameter).then_some("n")] data-sort=(number(value.number)) { (text::short(&value.text, 60)) }
                        }
                        td class="n" data-sort=(number(trial.epochs.map(|count| count as f64))) { @if let Some(count) = trial.epochs { (text::count(count)) } }
                        td class="n" data-sort=(number(trial.steps.map(|count| count as f64))) { @if let Some(count) = trial.steps { (text::count(count)) } }
                        td class="n" data-sort=(number(trial.seconds)) { @if let Some(seconds) = trial.seconds { (text::duration(seconds)) } }
                        td { span class=(format!("state {}", trial.state)) { (trial.state) } @if !trial.note.is_empty() { div class="faint note" { (text::short(&trial.note, 400)) } } }
                        td { code { (trial.run.display()) } }
                    } } }
                }
            }
        }
    }
}

/// How the table is sorted as it comes.
fn sorted(sweep: &Sweep) -> &'static str {
    if sweep.metric.as_ref().is_some_and(|metric| metric.higher_is_better) {
        "descending"
    } else {
        "ascending"
    }
}

fn is_number(sweep: &Sweep, parameter: &super::Parameter) -> bool {
    let place = sweep.parameters.iter().position(|other| other.path == parameter.path);
    place.is_some_and(|place| {
        sweep.trials.iter().all(|trial| trial.values.get(place).is_some_and(|value| value.number.is_some()))
    })
}

fn shade(shade: Option<usize>) -> String {
    match shade {
        Some(shade) => format!("shade q{shade}"),
        None => "shade none".to_owned(),
    }
}
