//! Arguments of the commands that look at plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CommonArguments, FormatArgument, parse_override};

/// See which plugins are installed and what they say about themselves, and agree on them. Nothing of them is run.
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
    /// Write down which plugins a config uses, by version and SHA-256, for `--locked` to hold commands to.
    ///
    /// Without a config, all that are installed. Metrics are asked for by heads, so that all plugins that register metrics are
    /// among those of a config. The lock is JSON to be reviewed and kept with the config. A lock that says something else is
    /// shown with what differs, and replaced only with --force.
    Lock(LockArguments),
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

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host plugins lock config.json
  kiwi-host train config.json --locked
  kiwi-host plugins lock --output team.lock")]
pub(crate) struct LockArguments {
    /// The config whose plugins are locked.
    pub(crate) config: Option<PathBuf>,
    /// Give a value of the config in place of the file's, as for `train`.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_override, requires = "config")]
    pub(crate) overrides: Vec<(String, String)>,
    /// The lock to write [default: plugins.lock beside the config].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace a lock that says something else.
    #[arg(long)]
    pub(crate) force: bool,
    /// How it is printed what was locked.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
