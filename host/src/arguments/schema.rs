//! Arguments of `schema`, and of the command by which it asks a plugin.

use std::path::PathBuf;

use clap::Args;

use super::CommonArguments;

/// Print the JSON Schema of configs, by which editors complete and check them.
///
/// It has the options of the installed plugins. Give its path (or URI) in a config as "$schema". Each plugin is asked for the options of its components once, in a process of its
/// own; the answers are kept in the user's cache directory. A plugin that cannot be used is left out, and one that does not answer
/// has options that are not described, each with a warning.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host schema -o kiwi-host.schema.json
  kiwi-host schema --plugin-dir ~/my-plugins -o kiwi-host.schema.json")]
pub(crate) struct SchemaArguments {
    /// The file to write, in place of standard output. One that exists is replaced only if it is such a schema.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How long a plugin may take to answer.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(crate) time_limit: u64,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Ask the plugin that standard input says; what `schema` runs.
#[derive(Debug, Args)]
pub(crate) struct ProbeArguments {
    /// The file that the answer goes to.
    pub(crate) answer: PathBuf,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
