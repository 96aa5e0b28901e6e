//! What the system consists of: its parts with plugins and options, how its text is processed, how it was trained.

use kiwi_core::saved_system::Part;
use maud::{Markup, html};
use serde_json::Value;

use super::super::SystemReport;
use crate::text;

/// So many options of a part are shown.
const OPTIONS: usize = 500;
/// Characters of a value.
const VALUE: usize = 400;

pub(super) fn section(report: &SystemReport) -> Markup {
    let header = report.header();
    let parts = [("encoder", &header.encoder), ("head", &header.head)];
    let of = |prefix: &str| {
        let own = report.tensors.iter().filter(|tensor| tensor.name.split('.').next() == Some(prefix));
        own.map(|tensor| tensor.numbers).sum::<u64>()
    };
    html! {
        section aria-labelledby="parts" {
            h2 id="parts" { "Parts" }
            div class="wide" tabindex="0" role="region" aria-labelledby="parts" { table {
                thead { tr {
                    th scope="col" { "Part" } th scope="col" { "Class" } th scope="col" { "Plugin" } th scope="col" class="n" { "Parameters" } th scope="col" { "SHA-256 of its file" }
                } }
                tbody { @for (name, part) in parts { tr {
                    th scope="row" { (name) }
                    td { (text::short(&part.class_name, 120)) }
                    td { (text::short(&part.plugin.name, 120)) " " (text::short(&part.plugin.version, 60)) }
                    td class="n" { (text::count(of(name))) }
                    td { code { (text::short(&part.plugin.sha256, 64)) } }
                } } }
            } }
            @for (name, part) in parts { (options(&format!("Options of the {name}"), &part.config, extra(part))) }
            (options("Text", &header.data_processing, None))
            @match &header.training {
                Some(training) => (options("Training", training, None)),
                None => p class="faint" { "The file does not say how the system was trained." },
            }
        }
    }
}

fn extra(part: &Part) -> Option<String> {
    part.extra.as_ref().map(|extra| text::short(&extra.to_string(), 4000))
}

fn options(title: &str, config: &Value, extra: Option<String>) -> Markup {
    let rows = paths("", config);
    html! {
        details {
            summary { (title) " (" (text::count(rows.len() as u64)) ")" }
            @if rows.is_empty() { p class="faint" { "None." } }
            @else { div class="wide" { table {
                thead { tr { th scope="col" { "Option" } th scope="col" { "Value" } } }
                tbody { @for (path, value) in rows.iter().take(OPTIONS) { tr {
                    th scope="row" { code { (text::short(path, VALUE)) } } td { code { (text::short(value, VALUE)) } }
                } } }
            } } }
            @if rows.len() > OPTIONS { p class="faint" { "and " (text::count((rows.len() - OPTIONS) as u64)) " more" } }
            @if let Some(extra) = extra { p { "Saved besides its tensors: " code { (extra) } } }
        }
    }
}

/// Each value by its path, as `embeddings.source.dim`.
fn paths(prefix: &str, value: &Value) -> Vec<(String, String)> {
    let within = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    match value {
        Value::Object(entries) if !entries.is_empty() || prefix.is_empty() => {
            entries.iter().flat_map(|(key, value)| paths(&within(key), value)).collect()
        }
        value => vec![(prefix.to_owned(), value.to_string())],
    }
}
