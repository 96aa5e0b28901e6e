//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::{CommonArguments, FormatArgument, HeldArguments, parse_override};

/// Heading of what is for a saved system alone.
const CORPUS: &str = "A saved system on a corpus";

/// Write a page that a browser shows: about runs, or about one saved system.
///
/// A directory is that of a run: how runs ended, their curves over one another, where their configs differ. It may be made while a
/// run goes on. A file is a saved system: its parts, options, vocabularies and tensors; and if it is run on a corpus, where it is
/// surprised, sentence by sentence and word by word. The page is one file that needs no network. Prints the path of the page.
///
/// A page about runs or without a corpus needs no libtorch and opens no plugin.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host report runs/first
  kiwi-host report runs/first runs/second -o comparison.html
  kiwi-host report SYSTEM.safetensors
  kiwi-host report SYSTEM.safetensors --source test.src --target test.tgt -o test.html
  kiwi-host report SYSTEM.safetensors --source test.src --target test.tgt --format json > test.json")]
pub(crate) struct ReportArguments {
    /// The directory of a run, as training writes it, which may be given more than once; or one saved system, as training leaves it in
    /// the run's `checkpoints`.
    #[arg(value_name = "RUN|SYSTEM", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The file to write. An earlier report is replaced, any other file is not. [default: report.html in the directory of the
    /// only run; beside a saved system, with its name and .html]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What is printed: the path of the page, or one JSON object, with the path as `page` and for a saved system with the figures of
    /// the page.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    /// Source side of a corpus to run the saved system on, one sentence a line.
    #[arg(long, value_name = "FILE", requires = "target", help_heading = CORPUS)]
    pub(crate) source: Option<PathBuf>,
    /// Target side of the corpus, its lines being translations of the source's.
    #[arg(long, value_name = "FILE", requires = "source", help_heading = CORPUS)]
    pub(crate) target: Option<PathBuf>,
    /// The target as a person corrected it (its post-edits), for a system that was trained on them (`fine_tune`).
    #[arg(long = "pe", value_name = "FILE", requires = "source", help_heading = CORPUS)]
    pub(crate) post_edit: Option<PathBuf>,
    /// Show so many of the most surprising pairs, as many of the least, and as many drawn at random (the same each time), from 1 to
    /// 5000. The figures are over all pairs.
    #[arg(long, value_name = "N", default_value = "150", value_parser = RangedU64ValueParser::<u64>::new().range(1..=5000),
          requires = "source", help_heading = CORPUS)]
    pub(crate) sentences: u64,
    /// Pairs in one batch.
    #[arg(long, value_name = "N", default_value = "32", value_parser = super::at_most(super::PAIRS),
          requires = "source", help_heading = CORPUS)]
    pub(crate) batch_size: usize,
    /// Give a value in place of the one that the system was saved with, as `evaluate` and `score` take it. May be given more than
    /// once.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_override, requires = "source", help_heading = CORPUS)]
    pub(crate) overrides: Vec<(String, String)>,
    /// Where to compute: cpu, cuda (the first GPU) or cuda:N (the GPU of number N, counted from 0).
    #[arg(long, value_name = "DEVICE", default_value = "cpu", requires = "source", help_heading = CORPUS)]
    pub(crate) device: String,
    /// Run the system even if a plugin is of a version that is not compatible with the one it was saved with.
    #[arg(long, requires = "source", help_heading = CORPUS)]
    pub(crate) allow_changed: bool,
    #[command(flatten, next_help_heading = CORPUS)]
    pub(crate) held: HeldArguments,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
