//! Arguments of `train` and `check`.

use std::path::PathBuf;

use clap::{Args, value_parser};

use super::{CommonArguments, FormatArgument, HeldArguments, parse_override};
use crate::launch;

/// Train a system as a config says.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host train --example > config.json
  kiwi-host train config.json
  kiwi-host train config.json --set trainer.epochs=3 --set system.optimizer.learning_rate=0.001
  kiwi-host train config.json --output-dir runs/first --plugin-dir ~/my-plugins
  kiwi-host train config.json --output-dir runs/first --resume
  kiwi-host train config.json --set trainer.gpus=-1
  kiwi-host train config.json --nproc 4
  kiwi-host train config.json --locked")]
pub(crate) struct TrainArguments {
    /// The config, a JSON file.
    #[arg(required_unless_present = "example")]
    pub(crate) config: Option<PathBuf>,
    /// Give a value of the config in place of the file's.
    ///
    /// PATH leads to the value, as `system.model.encoder.hidden_size` or `data.train.input.source[0]`. VALUE is JSON;
    /// what is no JSON is taken as a string. May be given more than once.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_override)]
    pub(crate) overrides: Vec<(String, String)>,
    /// Directory of the run, in place of the config's `run.output_dir`.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Go on with the run in the directory from its last resume point, as `trainer.resume` says.
    ///
    /// A run that was killed, interrupted, or stopped by an error ends as if it never had been; one that is finished goes on if
    /// there are more epochs or steps to do.
    #[arg(long)]
    pub(crate) resume: bool,
    /// With --resume: go on even if config, corpora or plugins have changed since. With `system.load`: load the system even if
    /// a plugin is of a version that is not compatible with the one it was saved with.
    #[arg(long, conflicts_with = "example")]
    pub(crate) allow_changed: bool,
    /// Train in N processes on this machine, which share the work.
    ///
    /// With `trainer.gpus` 0 all of them compute on the CPU; with 1 or -1 each takes a GPU, of numbers 0 to N-1; a list of GPUs, or
    /// a larger number of them, must be one of N. Unless --threads is given, the cores are divided among them. Where `trainer.gpus`
    /// asks for several GPUs, as many processes are started without --nproc. Not for what `torchrun` or `srun` starts, which do so
    /// themselves. A signal is handed on to all; the exit code is that of the first that fails.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=launch::MOST), allow_negative_numbers = true)]
    pub(crate) nproc: Option<u16>,
    /// Print a small config to begin with, and do nothing else.
    #[arg(long, conflicts_with_all = ["config", "overrides", "output_dir", "resume", "nproc", "locked", "lock"])]
    pub(crate) example: bool,
    #[command(flatten)]
    pub(crate) held: HeldArguments,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Find out all that training would find out before its first step, and train nothing.
///
/// Reads the config, opens its plugins, reads the corpora and fits vocabularies, builds the system, and trains on a
/// few batches of all sizes, to throw the result away. Prints what the run would be: counts, vocabularies, optimizer steps, parameters, the memory it needs.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host check config.json
  kiwi-host check config.json --set system.batch_size=64 --format json")]
pub(crate) struct CheckArguments {
    /// The config, a JSON file.
    pub(crate) config: PathBuf,
    /// Give a value of the config in place of the file's, as for `train`.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_override)]
    pub(crate) overrides: Vec<(String, String)>,
    /// Directory of the run, in place of the config's `run.output_dir`. Nothing is written there.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output_dir: Option<PathBuf>,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) held: HeldArguments,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
