//! Arguments of the commands that look at plugins, and of the one that makes them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kiwi_core::plugins::Kind;

use super::{CommonArguments, FormatArgument};

/// See which plugins are installed and what they say about themselves, and begin a new one.
#[derive(Debug, Args)]
pub(crate) struct PluginsArguments {
    #[command(subcommand)]
    pub(crate) command: PluginsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// List plugins and what they register, and files that cannot be used with the reason. Nothing of them is run.
    ///
    /// With --verbose also the directories searched, in order, and what was passed over there.
    List(ListArguments),
    /// Show everything that one plugin says about itself, and whether this host can use it. Nothing of it is run.
    ///
    /// Exits with 3 if it cannot.
    Inspect(InspectArguments),
    New(NewArguments),
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

/// Write a crate that is a plugin of your own, to begin with.
///
/// It builds, passes its own tests, and has a config and a few sentences that train by it, before anything is changed. It
/// depends on the plugin API where its source lies on this machine.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host plugins new bag-of-words --kind encoder
  kiwi-host plugins new lion --kind optimizer --class lion --output ~/plugins/lion

Then, in the new directory:
  cargo build
  cargo test
  kiwi-host train config.json --plugin-dir target/debug")]
pub(crate) struct NewArguments {
    /// Name of the crate, which is the plugin's name.
    pub(crate) name: String,
    /// What the plugin registers.
    #[arg(long, value_enum)]
    pub(crate) kind: KindArgument,
    /// Directory to write, which must not exist yet; NAME in the current directory unless given.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output: Option<PathBuf>,
    /// The component's `class_name`; the crate's name as `BagOfWords` unless given.
    #[arg(long)]
    pub(crate) class: Option<String>,
    /// Directory of the source of kiwi-plugin-api, in place of the one that this program comes with.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) api: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArgument {
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
            KindArgument::Encoder => Self::Encoder,
            KindArgument::Head => Self::Head,
            KindArgument::Optimizer => Self::Optimizer,
            KindArgument::Metric => Self::Metric,
        }
    }
}
