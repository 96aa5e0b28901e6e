//! Runs as one page that a browser shows, also without a network: how they ended, their curves over one another, where the
//! time went, what their configs and plugins have not in common. No libtorch here.
//!
//! [`system_page`] makes a page of one saved system likewise.
//!
//! ```text
//! run's directory ─ find, run ─► Run ─┬ curves ─► charts ─ chart ─► SVG, and JSON for the script ─┐
//!  (events.jsonl, config.json)        └ outcome, differences ──────────────────────────────────── page ─► one file
//! ```
//!
//! The same runs give the same bytes. What a page holds is bounded, whatever the runs logged; where something is left out the
//! page says so. Not here: what a line of the record means (`kiwi_tracking`).

mod chart;
mod curves;
mod differences;
mod error;
mod find;
mod outcome;
mod page;
mod run;
pub mod sweep;
mod system_page;
mod text;
mod write;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod structure;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use find::corpus_for_run;
pub use system_page::{CorpusFiles, Reading, SystemReport, is_system};

/// Writes one page about the runs in `directories`; the path of the page.
///
/// Without `output` the page of a single run is `report.html` in its directory.
///
/// # Errors
/// When a directory is not that of a run, or is given twice, when several runs have no `output`, or when the page cannot be
/// written.
pub fn report(directories: &[PathBuf], output: Option<&Path>) -> Result<PathBuf, Error> {
    let target = match (output, directories) {
        (Some(output), _) => output.to_owned(),
        (None, [only]) => only.join("report.html"),
        (None, _) => return Err(Error::WhereTo { runs: directories.len() }),
    };
    find::runs(directories)?;
    write::check(&target)?;
    let runs = run::read_all(directories)?;
    write::write(&target, &page::render(&runs))?;
    Ok(target)
}
