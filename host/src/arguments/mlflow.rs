//! Arguments of the commands about MLflow.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CommonArguments, FormatArgument};

/// Send runs to a tracking server of MLflow.
#[derive(Debug, Args)]
pub(crate) struct MlflowArguments {
    #[command(subcommand)]
    pub(crate) command: MlflowCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MlflowCommand {
    Sync(SyncArguments),
}

/// Send what a tracking server does not have yet of a run that finished, failed, was killed or still goes on.
///
/// Parameters, values, files and the state are those that the run's directory holds. What was sent, by the run itself or by this
/// command, is not sent again, so that it may be interrupted and repeated. On another server the run becomes a new one. User name,
/// password and token are read from the environment, see `kiwi-host --help`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host mlflow sync runs/first http://127.0.0.1:5000
  kiwi-host mlflow sync runs/first --format json

Exits with 1 if the server cannot be reached or does not take the run, and with 2 if RUN is no run's directory or no server is
named.")]
pub(crate) struct SyncArguments {
    /// Directory of the run, which holds its events.jsonl.
    pub(crate) run: PathBuf,
    /// The tracking server, http(s)://HOST:PORT, in place of the one that the run's config or MLFLOW_TRACKING_URI names.
    pub(crate) uri: Option<String>,
    /// How it is printed what was sent.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
