//! The page: one file of HTML with its style (`page.css`) and script (`page.js`), to which nothing is loaded from elsewhere.
//!
//! [`overview`] says how the runs ended, [`curves`] has the charts, [`tables`] what runs have not in common. `maud` escapes all
//! text; what is written without its escaping comes from the files beside this one and from [`crate::chart::data`].

pub(crate) mod curves;
mod overview;
mod tables;

use maud::{Markup, PreEscaped, html};

use crate::chart::{COLOURS, data};
use crate::curves::charts::charts;
use crate::run::Run;

/// What each page begins with: by this it is known that a file is one.
pub(crate) const BEGINNING: &str = "<!DOCTYPE html>\n<!-- made by kiwi-host report -->\n";

pub(crate) const STYLE: &str = include_str!("page.css");
pub(crate) const SCRIPT: &str = include_str!("page.js");
/// Nothing is loaded, whatever a text in the page should manage to ask for.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page about `runs`.
pub(crate) fn render(runs: &[Run]) -> String {
    let title = match runs {
        [only] => only.label.clone(),
        several => format!("{} runs", several.len()),
    };
    let charts = charts(runs);
    let page = html! {
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – kiwi-host report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#curves" { "Skip to the curves" }
                header {
                    h1 { (title) }
                    (overview::states(runs))
                }
                main {
                    (overview::overview(runs))
                    (curves::section(runs, &charts))
                    (tables::tests(runs))
                    (tables::differences(runs))
                    (tables::environments(runs))
                    (tables::components(runs))
                    (overview::notes(runs))
                    (tables::configs(runs))
                }
                script type="application/json" id="data" { (PreEscaped(data::json(runs, &charts))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    format!("{BEGINNING}{}\n", page.into_string())
}

/// A run's name beside its colour.
fn name(place: usize, run: &Run) -> Markup {
    html! {
        span class="name" { span class=(format!("swatch c{}", place % COLOURS)) aria-hidden="true" {} (run.label) }
    }
}

#[cfg(test)]
mod tests;
