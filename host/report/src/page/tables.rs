//! Tables of what runs have and have not in common: configs, environments, components, tests.

use std::collections::BTreeMap;

use kiwi_tracking::record::Started;
use maud::{Markup, html};

use super::name;
use crate::differences;
use crate::run::{Config, Run};
use crate::text;

/// So many rows of a table are shown.
const ROWS: usize = 500;
/// Characters of a value.
const VALUE: usize = 400;

/// A row of a table with a column for each run.
struct Row {
    label: String,
    /// `None` where a run has nothing there.
    values: Vec<Option<String>>,
}

impl Row {
    fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }
}

fn table(heading: &str, label: &str, missing: &str, rows: &[Row], runs: &[Run]) -> Markup {
    // Where all rows differ there is nothing to tell apart.
    let all_differ = rows.iter().all(Row::differs);
    let differs = |row: &Row| row.differs() && !all_differ;
    html! {
        div class="wide" tabindex="0" role="region" aria-labelledby=(heading) {
            table class="compared" {
                thead { tr {
                    th scope="col" { (label) }
                    @for (place, run) in runs.iter().enumerate() { th scope="col" { (name(place, run)) } }
                } }
                tbody { @for row in rows.iter().take(ROWS) { tr class=[differs(row).then_some("differs")] {
                    th scope="row" { (text::short(&row.label, VALUE)) @if differs(row) { " " span class="differ" { "differs" } } }
                    @for value in &row.values { td { @match value {
                        Some(value) => code { (text::short(value, VALUE)) },
                        None => span class="faint" { (missing) },
                    } } }
                } } }
            }
        }
        @if rows.len() > ROWS { p class="faint" { "and " (text::count((rows.len() - ROWS) as u64)) " more rows" } }
    }
}

/// Where configs differ; nothing for one run.
pub(super) fn differences(runs: &[Run]) -> Markup {
    if runs.len() < 2 {
        return html! {};
    }
    let configs: Vec<_> = runs.iter().map(|run| run.config.value()).collect();
    let differences = differences::differences(&configs);
    let rows: Vec<_> = differences
        .into_iter()
        .map(|difference| Row { label: difference.path, values: difference.values })
        .collect();
    html! {
        section aria-labelledby="differences" {
            h2 id="differences" { "Where the configs differ" }
            @for (place, run) in runs.iter().enumerate() {
                @if let Config::Unknown(reason) = &run.config { p { (name(place, run)) ": " (reason) } }
            }
            @if rows.is_empty() { p class="faint" { "Nowhere." } }
            @else { (table("differences", "Path", "not there", &rows, runs)) }
        }
    }
}

pub(super) fn environments(runs: &[Run]) -> Markup {
    let fact = |label: &str, fact: &dyn Fn(&Started) -> Option<String>| Row {
        label: label.to_owned(),
        values: runs.iter().map(|run| over_parts(&run.parts, fact)).collect(),
    };
    let rows = [
        fact("kiwi-host", &|started| Some(started.environment.kiwi_host.clone())),
        fact("libtorch", &|started| Some(started.environment.torch.clone())),
        fact("device", &|started| Some(started.environment.device.clone())),
        fact("threads", &|started| Some(started.environment.threads.to_string())),
        fact("processor", &|started| started.environment.processor.clone()),
        fact("platform", &|started| Some(started.environment.platform.clone())),
        fact("batches of an epoch", &|started| Some(text::count(started.batches))),
        fact("parameters that train", &|started| Some(text::count(started.parameters))),
        fact("main metric", &|started| {
            Some(format!("{} ({})", started.main_metric.as_ref()?, started.ordering))
        }),
    ];
    html! {
        section aria-labelledby="environment" {
            h2 id="environment" { "Environment" }
            (table("environment", "Fact", "not known", &rows, runs))
        }
    }
}

/// What holds in all parts of a run, or one after the other.
fn over_parts(parts: &[Started], fact: impl Fn(&Started) -> Option<String>) -> Option<String> {
    let mut facts: Vec<String> = parts.iter().filter_map(fact).collect();
    facts.dedup();
    if facts.is_empty() { None } else { Some(facts.join(", after a resume ")) }
}

pub(super) fn components(runs: &[Run]) -> Markup {
    // Components of one role and class are told apart by their order.
    let mut rows: BTreeMap<(usize, String), Vec<Option<String>>> = BTreeMap::new();
    for (place, run) in runs.iter().enumerate() {
        let mut parts: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
        for part in &run.parts {
            let mut seen: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
            for component in part.components.iter().take(ROWS) {
                let order = ["encoder", "head", "optimizer", "metric"];
                let rank = order.iter().position(|role| *role == component.role).unwrap_or(order.len());
                let plugin = format!("{} {} {}", component.plugin, component.version, component.sha256);
                seen.entry((rank, format!("{} {}", component.role, component.class)))
                    .or_default()
                    .push(plugin);
            }
            for ((rank, label), plugins) in seen {
                for (number, plugin) in plugins.into_iter().enumerate() {
                    let label = if number == 0 { label.clone() } else { format!("{label} ({})", number + 1) };
                    parts.entry((rank, label)).or_default().push(plugin);
                }
            }
        }
        for (key, mut plugins) in parts {
            plugins.dedup();
            let values = rows.entry(key).or_insert_with(|| vec![None; runs.len()]);
            values[place] = Some(plugins.join(", after a resume "));
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|((_, label), values)| Row { label, values }).collect();
    html! {
        section aria-labelledby="components" {
            h2 id="components" { "Components" }
            p class="faint" { "Plugin, its version, and the SHA-256 of its file." }
            (table("components", "Component", "not used", &rows, runs))
        }
    }
}

/// What tests of trained systems gave.
pub(super) fn tests(runs: &[Run]) -> Markup {
    if runs.iter().all(|run| run.tests.is_empty()) {
        return html! {};
    }
    html! {
        section aria-labelledby="tests" {
            h2 id="tests" { "Tests" }
            div class="wide" tabindex="0" role="region" aria-labelledby="tests" { table {
                thead { tr { th scope="col" { "Run" } th scope="col" { "System" } th scope="col" { "Figure" } th scope="col" class="n" { "Value" } } }
                tbody { @for (place, run) in runs.iter().enumerate() { @for test in &run.tests { @for (figure, value) in test.values.iter().take(ROWS) { tr {
                    th scope="row" { (name(place, run)) }
                    td { @match &test.system { Some(system) => code { (text::short(system, 300)) }, None => "the last, as it was in memory" } }
                    td { (text::short(figure, 120)) }
                    td class="n" { @match value { Some(value) => (text::number(value.0)), None => span class="faint" { "nothing to say" } } }
                } } } } }
            } }
        }
    }
}

/// The whole configs.
pub(super) fn configs(runs: &[Run]) -> Markup {
    html! {
        section aria-labelledby="configs" {
            h2 id="configs" { @if runs.len() == 1 { "Config" } @else { "Configs" } }
            @for (place, run) in runs.iter().enumerate() {
                @match &run.config {
                    Config::Known(_, config) => details class="config" {
                        summary { (name(place, run)) }
                        pre tabindex="0" role="region" aria-label=(format!("Config of {}", run.label)) { code { (config) } }
                    },
                    Config::Unknown(reason) => p { (name(place, run)) ": " (reason) },
                }
            }
        }
    }
}
