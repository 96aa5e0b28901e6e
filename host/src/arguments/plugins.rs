//! Arguments of the commands that look at plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CommonArguments, FormatArgument};

/// See which plugins are installed and what they say about themselves. Nothing of them is run.
#[derive(Debug, Args)]
pub(crate) struct PluginsArguments {
    #[command(subcommand)]
    pub(crate) command: PluginsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// List plugins and what they register, and files that cannot be used with the reason.
    ///
    /// With --verbose also the directories searched, in order, and what was passed over there.
    List(ListArguments),
    /// Show everything that one plugin says about itself, and whether this host can use it.
    ///
    /// Exits with 3 if it cannot.
    Inspect(InspectArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host plugins inspect kiwi-encoders
  kiwi-host plugins inspect ./target/release/libmy_plugin.so --format json")]
pub(crate) struct InspectArguments {
    /// A file, or the name of an installed plugin.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) plugin: PathBuf,
    /// How the facts are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
