//! The tensors: how many parameters which part has, and what the numbers of each come to.

use maud::{Markup, html};

use super::super::SystemReport;
use super::super::tensors::{TensorFacts, groups};
use super::{bars, by, column, share};
use crate::text;

/// So many tensors are shown.
const TENSORS: usize = 1000;
/// So many groups of them.
const GROUPS: usize = 30;

pub(super) fn section(report: &SystemReport) -> Markup {
    let tensors = &report.tensors;
    let odd: Vec<_> = tensors.iter().filter(|tensor| !tensor.remarks.is_empty()).collect();
    html! {
        section aria-labelledby="tensors" {
            h2 id="tensors" { "Tensors" }
            p { (text::count(tensors.len() as u64)) " tensors, " (text::count(report.parameters())) " numbers." }
            @if tensors.iter().any(|tensor| tensor.values.as_ref().is_some_and(|values| values.not_finite > 0)) {
                p class="warning" { strong { "There are numbers that are not finite: " } "what the system computes from them is not either." }
            }
            h3 id="parameters" { "Parameters" }
            (parameters(report))
            h3 id="remarks" { "What is odd" }
            @if odd.is_empty() { p class="faint" { "Nothing: every number is finite, and no table has rows of zeros or a row that outgrew the others." } }
            @else { ul class="notes" { @for tensor in odd.iter().take(100) { li { code { (text::short(&tensor.name, 200)) } ": " (tensor.remarks.join("; ")) } } } }
            @if odd.len() > 100 { p class="faint" { "and " (text::count((odd.len() - 100) as u64)) " more tensors" } }
            h3 id="all-tensors" { "All tensors" }
            @if tensors.is_empty() { p class="faint" { "None." } }
            @else {
                p class="faint" { "Mean, deviation, least and largest are over finite numbers. The length of a row is its Euclidean norm." }
                div class="wide" tabindex="0" role="region" aria-labelledby="all-tensors" { (table(tensors)) }
            }
            @if tensors.len() > TENSORS { p class="faint" { "and " (text::count((tensors.len() - TENSORS) as u64)) " more" } }
        }
    }
}

fn parameters(report: &SystemReport) -> Markup {
    let groups = groups(&report.tensors);
    let (all, largest) = (report.parameters(), groups.first().map_or(0, |(_, numbers)| *numbers));
    html! {
        div class="wide" tabindex="0" role="region" aria-labelledby="parameters" { table class="groups" {
            thead { tr {
                th scope="col" { "Of" } th scope="col" class="n" { "Parameters" } th scope="col" class="n" { "Share" } td class="bars" aria-hidden="true" {}
            } }
            tbody { @for (name, numbers) in groups.iter().take(GROUPS) { tr {
                th scope="row" { code { (text::short(name, 120)) } }
                td class="n" { (text::count(*numbers)) }
                td class="n" { (share(*numbers, all)) }
                (bars::cell(*numbers as f64, largest as f64))
            } } }
        } }
        @if groups.len() > GROUPS { p class="faint" { "and " (text::count((groups.len() - GROUPS) as u64)) " smaller groups" } }
    }
}

fn table(tensors: &[TensorFacts]) -> Markup {
    html! {
        table class="sortable tensors" {
            thead { tr {
                (column("Name", false, false)) th scope="col" { "Shape" } (column("Type", false, false)) (column("Size", true, false))
                (column("Mean", true, false)) (column("Deviation", true, false)) (column("Least", true, false)) (column("Largest", true, false))
                (column("Zeros", true, false)) (column("Middle row", true, false)) (column("Longest row", true, false))
            } }
            tbody { @for tensor in tensors.iter().take(TENSORS) { tr class=[(!tensor.remarks.is_empty()).then_some("differs")] {
                th scope="row" { code { (text::short(&tensor.name, 200)) } @if !tensor.remarks.is_empty() { div class="warning" { (tensor.remarks.join("; ")) } } }
                td class="shape" { @if tensor.shape.is_empty() { "one number" } @else { (tensor.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")) } }
                td { (tensor.dtype) }
                td class="n" data-v=(tensor.bytes) { (size(tensor.bytes)) }
                @let values = tensor.values.as_ref();
                @let finite = values.and_then(|values| values.finite);
                @for number in [finite.map(|of| of.mean.0), finite.map(|of| of.std.0), finite.map(|of| of.min.0), finite.map(|of| of.max.0)] { (cell(number)) }
                @match values {
                    Some(values) => td class="n" data-v=(values.zeros) { (text::count(values.zeros)) },
                    None => td class="n" data-v="-Infinity" { "–" },
                }
                @let rows = values.and_then(|values| values.rows);
                (cell(rows.map(|rows| rows.median.0)))
                (cell(rows.map(|rows| rows.longest.0)))
            } } }
        }
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { text::bytes(bytes) }
}

fn cell(number: Option<f64>) -> Markup {
    html! {
        @match number {
            Some(number) => td class="n" data-v=(by(number)) { (text::number(number)) },
            None => td class="n" data-v="-Infinity" { "–" },
        }
    }
}
