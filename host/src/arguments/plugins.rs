//! Arguments of the commands that look at plugins, and of the one that makes them.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kiwi_core::plugins::Kind;

use super::{CommonArguments, FormatArgument, parse_override};

/// List, inspect and check plugins, agree on which are used, and begin a new one.
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
    /// Find out what is wrong with a plugin, before its users do.
    Check(CheckPluginArguments),
    /// Open a plugin as `plugins check` asks on standard input.
    #[command(name = "check-in-process", hide = true)]
    CheckInProcess,
    New(NewArguments),
    /// Write down which plugins a config uses, by version and SHA-256, for `--locked` to hold commands to.
    ///
    /// Without a config, all that are installed. Metrics are asked for by heads, so that all plugins that register metrics are
    /// among those of a config. The lock is JSON to be reviewed and kept with the config. A lock that says something else is
    /// shown with what differs, and replaced only with --force.
    Lock(LockArguments),
    Package(PackageArguments),
}

/// How the program runs itself to open a plugin.
pub(crate) const IN_PROCESS: [&str; 2] = ["plugins", "check-in-process"];

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
    pub(crate) kind: Option<AnyKindArgument>,
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

/// Find out what is wrong with a plugin, before its users do.
///
/// Reads what its file says, opens it, and has each component do what a run would have it do, on small batches: options, forward
/// and backward, gradients against finite differences, the same bits for the same seed, padding, saved state, handles and memory over
/// a thousand calls. Whatever runs code of the plugin runs in processes of its own with limits on time and memory, so that crashes
/// and endless loops are findings too. Exits with 1 if a check failed, with 3 if the plugin cannot be opened.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host plugins check ./target/debug/libmy_plugin.so
  kiwi-host plugins check my-plugin --class MyEncoder --options options.json
  kiwi-host plugins check my-plugin --format json | jq 'select(.outcome == \"fail\")'")]
pub(crate) struct CheckPluginArguments {
    /// A file, or the name of an installed plugin.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) plugin: PathBuf,
    /// Check components of this class only.
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Options to check components with, in place of their defaults: a JSON file, from class to options.
    ///
    /// As `{"MyEncoder": {"size": 8}}`. Options that a component requires are made up where its schema says enough.
    #[arg(long, value_name = "FILE")]
    pub(crate) options: Option<PathBuf>,
    /// Where to compute: cpu, cuda or cuda:N; unless given, the CPU, and the first GPU where there is one.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Seconds that one check may take.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) time_limit: NonZeroU64,
    /// Memory that the process of a check may take, resident, in MiB.
    #[arg(long, value_name = "MIB", default_value = "8192")]
    pub(crate) memory_limit: NonZeroU64,
    /// How the findings are printed.
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
/// Make a wheel of a plugin, which `pip install` puts where kiwi-host finds it.
///
/// Its name, version, licence and authors are those that the plugin has from its crate. It asks for the torch that the plugin was built
/// for. Prints the path of the wheel. Nothing of the plugin is run: check it first.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host plugins check target/release/libacme_encoder.so
  kiwi-host plugins package target/release/libacme_encoder.so --output dist
  pip install dist/acme_encoder-1.0.0-py3-none-manylinux_2_34_x86_64.whl")]
pub(crate) struct PackageArguments {
    /// The file, or the name of an installed plugin.
    pub(crate) plugin: PathBuf,
    /// The directory to write to, which is made if it does not exist.
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) output: PathBuf,
    /// The name by which pip knows it; the plugin's unless given.
    #[arg(long, value_parser = name_of_package)]
    pub(crate) name: Option<String>,
    /// A licence to put in. May be given more than once.
    #[arg(long = "license", value_name = "FILE")]
    pub(crate) licenses: Vec<PathBuf>,
    /// Replace a wheel of the same name.
    #[arg(long)]
    pub(crate) force: bool,
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

/// What a class stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnyKindArgument {
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

impl From<AnyKindArgument> for Kind {
    fn from(kind: AnyKindArgument) -> Self {
        match kind {
            AnyKindArgument::System => Self::System,
            AnyKindArgument::Encoder => Self::Encoder,
            AnyKindArgument::Head => Self::Head,
            AnyKindArgument::Optimizer => Self::Optimizer,
            AnyKindArgument::Metric => Self::Metric,
        }
    }
}

/// A name that pip takes (PEP 508).
fn name_of_package(text: &str) -> Result<String, String> {
    let inner = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let ends = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    if text.chars().all(inner) && ends(text.chars().next()) && ends(text.chars().next_back()) {
        Ok(text.to_owned())
    } else {
        Err("a name has letters, digits, `-`, `_` and `.`, and begins and ends with a letter or digit"
            .to_owned())
    }
}
