//! Arguments of `init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::CommonArguments;

/// Write a config that fits a corpus, and beside it what was chosen and why.
///
/// Reads the corpus (pairs, words, types, lengths) and chooses vocabularies, batches, validation, model, optimizer and schedule by
/// it. The config passes `kiwi-host check` and is a place to begin: change what you know better. Without --train-source on a
/// terminal it asks; in a script it never does.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host init
  kiwi-host init --train-source train.en --train-target train.de
  kiwi-host init --train-source train.en --train-target train.de --valid-source dev.en --valid-target dev.de \\
      --size base --device cuda -o runs/base.json")]
pub(crate) struct InitArguments {
    /// Source side of the training corpus, one sentence a line. May be given more than once.
    #[arg(long, value_name = "FILE", requires = "train_target")]
    pub(crate) train_source: Vec<PathBuf>,
    /// Target side of the training corpus; line i translates line i of the source.
    #[arg(long, value_name = "FILE", requires = "train_source")]
    pub(crate) train_target: Vec<PathBuf>,
    /// Source side of the validation corpus. Without it a part of the training corpus is held out.
    #[arg(long, value_name = "FILE", requires = "valid_target")]
    pub(crate) valid_source: Vec<PathBuf>,
    /// Target side of the validation corpus.
    #[arg(long, value_name = "FILE", requires = "valid_source")]
    pub(crate) valid_target: Vec<PathBuf>,
    /// Source side of a corpus that the best system is tested on.
    #[arg(long, value_name = "FILE", requires = "test_target")]
    pub(crate) test_source: Vec<PathBuf>,
    /// Target side of the test corpus.
    #[arg(long, value_name = "FILE", requires = "test_source")]
    pub(crate) test_target: Vec<PathBuf>,
    /// How large the model is. [default: by corpus and device]
    #[arg(long, value_enum)]
    pub(crate) size: Option<SizeArgument>,
    /// Where to train. `auto`: on the first GPU if there is one that this program can use.
    #[arg(long, value_enum)]
    pub(crate) device: Option<DeviceArgument>,
    /// The config to write, a .json file. The document beside it has the same name with .md. [default: config.json]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace a config and a document that are there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask nothing: what is not given has its default.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// How large a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SizeArgument {
    /// One layer of 128: minutes on a CPU, for small corpora and for trying things out.
    Small,
    /// Two layers of 400.
    Base,
    /// Three layers of 800: for millions of pairs, on a GPU.
    Large,
}

/// Where to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceArgument {
    /// On the first GPU if there is one that can be used, else on the CPU.
    Auto,
    /// On the CPU.
    Cpu,
    /// On the first GPU.
    Cuda,
}
