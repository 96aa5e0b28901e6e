//! Arguments of the commands that read and write files of OpenKiwi.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CommonArguments;

/// Make a saved system of one that another program saved.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    #[command(subcommand)]
    pub(crate) command: ImportCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    Openkiwi(ImportSystemArguments),
}

/// Make a saved system of one that OpenKiwi saved: a .torch file of any version of torch, or a checkpoint (.ckpt).
///
/// No Python is needed and no code of the file is run: a file that names anything but what such a system consists of is
/// refused. Weights, options and vocabularies are the same afterwards; what cannot be the same here is refused.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host import openkiwi best_model.torch -o best_model.safetensors
  kiwi-host import openkiwi 'model_epoch=05-val_PERP=4.2.ckpt' -o system.safetensors

Exits with 2 if the file cannot be imported, with 3 if no plugin provides PredictorEncoder or TLMOutputs.")]
pub(crate) struct ImportSystemArguments {
    /// The file that OpenKiwi saved.
    pub(crate) file: PathBuf,
    /// The saved system to write. A file that exists is not replaced.
    #[arg(short, long, value_name = "SYSTEM")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Make a file for another program of a saved system.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(subcommand)]
    pub(crate) command: ExportCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    Openkiwi(ExportSystemArguments),
}

/// Make a file that OpenKiwi 2.1.0 loads, by `load` or as the encoder of an estimator.
///
/// The file is one of torch.save (torch 1.6 and later). OpenKiwi's loading imports the classes that it names, which are its
/// own; PyTorch 2.6 and later ask for `weights_only=False` then.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host export openkiwi SYSTEM.safetensors -o predictor.torch
  kiwi-host export openkiwi SYSTEM.safetensors -o vocabularies.torch --no-weights")]
pub(crate) struct ExportSystemArguments {
    /// The saved system, as training leaves it in the run's `checkpoints`.
    pub(crate) system: PathBuf,
    /// The file to write. A file that exists is not replaced.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Leave out the weights: vocabularies and options only, for `load_vocabs`.
    #[arg(long)]
    pub(crate) no_weights: bool,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Make a config of one that OpenKiwi pretrains by, in YAML.
///
/// The files that its `defaults` name are merged in as Hydra does, and `${section.key}` is put in. What is left out, written
/// otherwise or works otherwise here stands on standard error, each with its place in the YAML file. What is wrong in the
/// config is reported as for `train`, and then nothing is written.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host import-config predictor.yaml -o predictor.json
  kiwi-host import-config predictor.yaml > predictor.json")]
pub(crate) struct ImportConfigArguments {
    /// The config, in YAML.
    pub(crate) file: PathBuf,
    /// The config to write, in JSON; without it the config is printed. A file that exists is not replaced.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
