//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;

use super::CommonArguments;

/// Write a page about runs that a browser shows: outcomes, curves, what differs.
///
/// It tells how they ended, lays their curves over one another, and says where their configs differ. The page is one file that needs no network. It may be made while a run goes on. Prints the path of the page.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host report runs/first
  kiwi-host report runs/first runs/second -o comparison.html")]
pub(crate) struct ReportArguments {
    /// The directory of a run, as training writes it. May be given more than once.
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The file to write. An earlier report is replaced, any other file is not. [default: report.html in the directory of the
    /// only run]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
