//! How the runs ended, what they came to, where the time went, and what they warned of.

use kiwi_tracking::record::{Kept, Seconds};
use maud::{Markup, html};

use super::name;
use crate::outcome::State;
use crate::run::Run;
use crate::text;

/// How each run ended, in a line.
pub(super) fn states(runs: &[Run]) -> Markup {
    html! {
        ul class="states" {
            @for (place, run) in runs.iter().enumerate() {
                li {
                    @if runs.len() > 1 { (name(place, run)) " " }
                    (state(run.outcome.state)) ": " span class="reason" { (run.outcome.reason) }
                    @if let Some(started) = run.started() {
                        span class="faint" { " · experiment " (text::short(&started.experiment, 120)) ", run " code { (text::short(&started.run_id, 64)) } }
                    }
                }
            }
        }
    }
}

fn state(state: State) -> Markup {
    html! { span class=(format!("state {}", state.name())) { span aria-hidden="true" { (state.sign()) } " " (state.name()) } }
}

/// The table of what runs came to, and where their time went.
pub(super) fn overview(runs: &[Run]) -> Markup {
    let estimated = runs.iter().any(|run| run.outcome.summary.is_none());
    let skipped = runs
        .iter()
        .any(|run| run.outcome.summary.as_ref().is_some_and(|summary| !summary.skipped.is_empty()));
    html! {
        section aria-labelledby="overview" {
            h2 id="overview" { "Overview" }
            div class="wide" tabindex="0" role="region" aria-labelledby="overview" {
                table {
                    thead { tr {
                        th scope="col" { "Run" } th scope="col" { "State" } th scope="col" { "Best system" } th scope="col" { "Last system" }
                        th scope="col" class="n" { "Steps" } th scope="col" class="n" { "Epochs" } th scope="col" class="n" { "Words/s" }
                        th scope="col" class="n" { "Time" } th scope="col" class="n" { "Peak memory" }
                        @if skipped { th scope="col" { "Skipped batches" } }
                    } }
                    tbody { @for (place, run) in runs.iter().enumerate() { tr {
                        @let (outcome, summary) = (&run.outcome, run.outcome.summary.as_ref());
                        @let sign = if summary.is_some() { "" } else { "*" };
                        th scope="row" { (name(place, run)) }
                        td { (state(outcome.state)) }
                        td { (kept(outcome.best.as_ref())) }
                        td { (kept(outcome.last.as_ref())) }
                        td class="n" { (text::count(outcome.steps)) }
                        td class="n" { (text::count(outcome.epochs)) @if let Some(started) = run.started() { " of " (text::count(started.epochs)) } }
                        td class="n" { @match outcome.words_per_second {
                            Some(speed) if speed.is_finite() => { (text::count(speed.round() as u64)) (sign) },
                            Some(speed) => (text::number(speed)),
                            None => (unknown()),
                        } }
                        td class="n" { (text::duration(outcome.seconds)) (sign) }
                        td class="n" { @match summary.and_then(|summary| summary.peak_memory) { Some(bytes) => (text::bytes(bytes)), None => (unknown()) } }
                        @if skipped { td { @if let Some(summary) = summary {
                            @for (reason, count) in summary.skipped.iter().take(20) { div { (text::count(*count)) " " (text::short(reason, 40)) } }
                        } } }
                    } } }
                }
            }
            @if estimated { p class="faint" { "* The run has no summary: the mean of what was logged, and the time up to the last record." } }
            (times(runs))
        }
    }
}

fn unknown() -> Markup {
    html! { span class="faint" { "not known" } }
}

fn kept(kept: Option<&Kept>) -> Markup {
    html! {
        @match kept {
            Some(kept) => {
                strong { (text::number(kept.value.0)) } " " span class="faint" { (text::short(&kept.metric, 120)) }
                div class="file" { code { (text::short(&kept.file, 300)) } }
                div class="faint" { "epoch " (kept.epoch) ", step " (text::count(kept.step)) }
            },
            None => span class="faint" { "none" },
        }
    }
}

const PARTS: [&str; 7] = ["data", "forward", "backward", "optimizer", "validation", "saving", "other"];

/// The parts of a run's time, in the order of [`PARTS`]; a part that is no time is none.
fn parts(seconds: &Seconds) -> [f64; 7] {
    let time = |seconds: f64| if seconds.is_finite() { seconds.clamp(0.0, 1e12) } else { 0.0 };
    let Seconds { total, data, forward, backward, optimizer, validation, saving } = *seconds;
    let [data, forward, backward, optimizer, validation, saving] =
        [data, forward, backward, optimizer, validation, saving].map(|part| time(part.0));
    let other = (time(total.0) - (data + forward + backward + optimizer + validation + saving)).max(0.0);
    [data, forward, backward, optimizer, validation, saving, other]
}

fn times(runs: &[Run]) -> Markup {
    let known = || {
        runs.iter()
            .enumerate()
            .filter_map(|(place, run)| Some((place, run, parts(&run.outcome.summary.as_ref()?.seconds))))
    };
    html! {
        h3 id="times" { "Where the time went" }
        @if known().next().is_none() { p class="faint" { "Only a run that finished tells." } }
        @else {
            div class="wide" tabindex="0" role="region" aria-labelledby="times" {
                table class="times" {
                    thead { tr {
                        th scope="col" { "Run" }
                        @for (place, part) in PARTS.iter().enumerate() {
                            th scope="col" class="n" { span class=(format!("swatch p{place}")) aria-hidden="true" {} (part) }
                        }
                        th scope="col" class="n" { "all" }
                    } }
                    tbody { @for (place, run, parts) in known() {
                        @let total = parts.iter().sum::<f64>();
                        @let share = |part: f64| if total > 0.0 { part / total * 100.0 } else { 0.0 };
                        tr {
                            th scope="row" { (name(place, run)) }
                            @for part in parts { td class="n" { (text::duration(part)) div class="faint" { (format!("{:.1} %", share(part))) } } }
                            td class="n" { (text::duration(total)) }
                        }
                        tr class="bar" aria-hidden="true" { td colspan="9" {
                            svg width="100%" height="16" {
                                @for (place, part) in parts.iter().enumerate() {
                                    @let before = share(parts[..place].iter().sum());
                                    rect class=(format!("p{place}")) x=(format!("{before:.2}%")) width=(format!("{:.2}%", share(*part))) height="16" {}
                                }
                            }
                        } }
                    } }
                }
            }
        }
    }
}

/// Warnings, and what is odd about the records.
pub(super) fn notes(runs: &[Run]) -> Markup {
    html! {
        section aria-labelledby="notes" {
            h2 id="notes" { "Warnings and notes" }
            @if runs.iter().all(|run| run.warnings.is_empty() && run.notes.is_empty()) { p class="faint" { "None." } }
            @for (place, run) in runs.iter().enumerate().filter(|(_, run)| !run.warnings.is_empty() || !run.notes.is_empty()) {
                @if runs.len() > 1 { h3 { (name(place, run)) } }
                ul class="notes" {
                    @for warning in &run.warnings { li { strong class="warning" { "warning:" } " " (warning) } }
                    @if run.more_warnings > 0 { li { "and " (text::count(run.more_warnings as u64)) " more warnings, which output.log has" } }
                    @for note in &run.notes { li { (note) } }
                }
            }
        }
    }
}
