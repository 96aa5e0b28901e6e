//! The page about a saved system: the frame, style (`system.css` besides the style of all pages) and script (`system.js`).
//!
//! [`corpus`] says what the system made of a corpus, with [`bars`] for charts, [`sentences`] shows pairs with their words coloured;
//! [`parts`], [`entries`] and [`numbers`] say what the file holds. `maud` escapes all text. Without the script everything is there
//! in one order; with it tables are sorted and searched.

mod bars;
mod corpus;
mod entries;
mod numbers;
mod parts;
mod sentences;
#[cfg(test)]
mod tests;

use maud::{Markup, PreEscaped, html};

use super::reading::Reading;
use super::{CorpusFiles, SystemReport};
use crate::page::{BEGINNING, POLICY, STYLE};
use crate::text;

const SYSTEM_STYLE: &str = include_str!("system.css");
const SCRIPT: &str = include_str!("system.js");

/// The page.
pub(super) fn render(report: &SystemReport, corpus: Option<(&CorpusFiles, &Reading)>) -> String {
    let path = report.saved.path();
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let page = html! {
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (name) " – kiwi-host report" }
                style { (PreEscaped(STYLE)) (PreEscaped(SYSTEM_STYLE)) }
            }
            body {
                @if corpus.is_some() { a class="skip" href="#sentences" { "Skip to the sentences" } }
                a class="skip" href="#parts" { "Skip to what the file holds" }
                header {
                    h1 { (name) }
                    p {
                        "A saved system of kiwi-host: " strong { (text::short(&report.header().class_name, 120)) } ", "
                        (text::count(report.parameters())) " parameters, " (text::bytes(report.bytes)) "."
                    }
                }
                main {
                    @if let Some((files, reading)) = corpus {
                        (corpus::summary(files, reading))
                        (sentences::section(reading))
                        (corpus::distributions(reading))
                        (corpus::words(reading))
                    }
                    (parts::section(report))
                    (entries::section(report))
                    (numbers::section(report))
                }
                div id="spoken" class="unseen" role="status" {}
                (entries::data(report))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    format!("{BEGINNING}{}\n", page.into_string())
}

/// A mean surprise.
fn nats(nats: f64) -> String {
    if nats.is_finite() { format!("{nats:.3}") } else { text::number(nats) }
}

/// The probability that a surprise stands for.
fn probability(nats: f64) -> String {
    let probability = (-nats).exp();
    match probability {
        _ if probability.is_nan() => "NaN".to_owned(),
        _ if probability >= 0.1 => format!("{:.0} %", probability * 100.0),
        _ if probability >= 0.001 => format!("{:.2} %", probability * 100.0),
        _ if nats < 30.0 => format!("1 in {}", text::count(nats.exp().round() as u64)),
        _ => format!("1 in {}", text::number(nats.exp())),
    }
}

/// A share of a whole.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "none".to_owned() } else { format!("{:.2} %", part as f64 / whole as f64 * 100.0) }
}

/// A number by which the script sorts a column. What is no number comes before the largest.
fn by(number: f64) -> String {
    if number.is_nan() { "Infinity".to_owned() } else { number.to_string().replace("inf", "Infinity") }
}

/// The heading of a column that the script lets sort; it is sorted by it as the page is made if `sorted`.
fn column(label: &str, numbers: bool, sorted: bool) -> Markup {
    html! {
        th scope="col" class=[numbers.then_some("n")] data-sort=(if numbers { "number" } else { "text" })
            aria-sort=[sorted.then_some("descending")] { (label) }
    }
}
