//! Arguments of `sweep`.

use std::path::PathBuf;

use clap::Args;

use super::{CommonArguments, FormatArgument, HeldArguments};

/// Search hyper-parameters: train by many variants of a config, and say which is best.
///
/// The sweep file names a config, the values of it that are searched, and how: each combination (`grid`), combinations that are drawn
/// (`random`), or drawn ones that end early unless they are among the best (`successive_halving`). All configs are checked before
/// anything runs. Each trial is a run of `kiwi-host train` in a directory of its own. At the end, and by --status, prints the trials,
/// best first; best.json in the directory of the sweep is the config of the best, and report.html a page about all of them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host sweep --example > sweep.json
  kiwi-host sweep sweep.json --dry-run
  kiwi-host sweep sweep.json --output-dir sweeps/rates
  kiwi-host sweep sweep.json --output-dir sweeps/rates --resume
  kiwi-host sweep sweep.json --output-dir sweeps/rates --status --format json
  kiwi-host train sweeps/rates/best.json

Exits with 0 if a trial has finished, with 1 if all have failed, with 75 if a signal ended it: --resume goes on.")]
pub(crate) struct SweepArguments {
    /// The sweep file, in JSON.
    #[arg(required_unless_present = "example")]
    pub(crate) sweep: Option<PathBuf>,
    /// Directory of the sweep, in place of the file's `output_dir` [default: sweeps/NAME, by the name of the sweep file].
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Go on with the sweep in the directory.
    ///
    /// Trials that have ended are not run again, and those that were under way go on from their last resume points.
    #[arg(long)]
    pub(crate) resume: bool,
    /// With --resume: try the trials again that have failed. They go on from their last resume points, if they have any.
    #[arg(long, requires = "resume")]
    pub(crate) retry_failed: bool,
    /// Print what has become of the trials until now, and do nothing else. The sweep may go on meanwhile.
    #[arg(long, conflicts_with_all = ["resume", "report", "dry_run"])]
    pub(crate) status: bool,
    /// Write report.html in the directory of the sweep anew, print its path, and do nothing else.
    #[arg(long, conflicts_with_all = ["resume", "dry_run"])]
    pub(crate) report: bool,
    /// Check all configs, print the trials, and run none of them.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// Print a sweep file to begin with, for the config of `train --example` in example.json, and do nothing else.
    #[arg(long, conflicts_with_all = ["sweep", "output_dir", "resume", "status", "report", "dry_run", "locked", "lock"])]
    pub(crate) example: bool,
    /// How the trials are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) held: HeldArguments,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
