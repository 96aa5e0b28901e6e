//! Arguments of the commands that look at plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kiwi_core::plugins::Kind;

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
#[command(after_long_help = "\
Examples:
  kiwi-host plugins list
  kiwi-host plugins list --why adam
  kiwi-host plugins list --why kiwi-encoders::PredictorEncoder --kind encoder --format json")]
pub(crate) struct ListArguments {
    /// Show how a class is looked up: where, what became of each file there, and which component it stands for.
    ///
    /// CLASS is `Class` or `plugin::Class`, as for `class_name` in a config. Exits with 3 if it stands for no component, or for more
    /// than one.
    #[arg(long, value_name = "CLASS")]
    pub(crate) why: Option<String>,
    /// What the class is to be, where classes of several kinds have one name.
    #[arg(long, value_enum, requires = "why")]
    pub(crate) kind: Option<KindArgument>,
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

/// What a class stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArgument {
    /// A name for an encoder and a head.
    System,
    /// Turns batches into features.
    Encoder,
    /// Turns features into a loss and what metrics need.
    Head,
    /// Updates parameters.
    Optimizer,
    /// Turns what a head reports into a figure.
    Metric,
}

impl From<KindArgument> for Kind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::System => Self::System,
            KindArgument::Encoder => Self::Encoder,
            KindArgument::Head => Self::Head,
            KindArgument::Optimizer => Self::Optimizer,
            KindArgument::Metric => Self::Metric,
        }
    }
}
