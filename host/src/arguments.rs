//! The command line: what can be asked, with its help. What is done about it stands in [`crate::commands`].

mod explain;
mod held;
mod help;
mod init;
mod interchange;
mod mlflow;
mod plugins;
mod report;
mod schema;
mod score;
mod shell;
mod sweep;
mod train;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use kiwi_core::request::Format;
use kiwi_plugin_metadata::{API_VERSION, TARGET, TORCH_VERSION};

pub(crate) use explain::ExplainArguments;
pub(crate) use held::HeldArguments;
pub(crate) use help::{EXAMPLES, grouped};
pub(crate) use init::{DeviceArgument, InitArguments, SizeArgument};
pub(crate) use interchange::{
    ExportArguments, ExportCommand, ExportSystemArguments, ImportArguments, ImportCommand,
    ImportConfigArguments, ImportSystemArguments,
};
pub(crate) use mlflow::{MlflowArguments, MlflowCommand, SyncArguments};
pub(crate) use plugins::{
    CheckPluginArguments, IN_PROCESS, InspectArguments, ListArguments, LockArguments, NewArguments,
    PackageArguments, PluginsArguments, PluginsCommand,
};
pub(crate) use report::ReportArguments;
pub(crate) use schema::{ProbeArguments, SchemaArguments};
pub(crate) use score::{Asked, ScoreArguments};
pub(crate) use shell::{CompletionsArguments, DoctorArguments, ManArguments, OpenArguments, Step};
pub(crate) use sweep::SweepArguments;
pub(crate) use train::{CheckArguments, TrainArguments};

/// Trains translation language models whose parts come from plugins.
#[derive(Debug, Parser)]
#[command(name = "kiwi-host", version, long_version = LONG_VERSION.as_str())]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(InitArguments),
    Train(TrainArguments),
    Check(CheckArguments),
    Sweep(SweepArguments),
    Evaluate(EvaluateArguments),
    Score(ScoreArguments),
    Features(FeaturesArguments),
    Inspect(InspectSystemArguments),
    Report(ReportArguments),
    Import(ImportArguments),
    ImportConfig(ImportConfigArguments),
    Export(ExportArguments),
    Mlflow(MlflowArguments),
    Plugins(PluginsArguments),
    Schema(SchemaArguments),
    Explain(ExplainArguments),
    Doctor(DoctorArguments),
    Completions(CompletionsArguments),
    Man(ManArguments),
    #[command(hide = true)]
    Probe(ProbeArguments),
    #[command(hide = true)]
    DoctorInProcess(OpenArguments),
}

/// A saved system and a parallel corpus.
#[derive(Debug, Args)]
pub(crate) struct CorpusArguments {
    /// Source side of the corpus, one sentence a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) source: PathBuf,
    /// Target side of the corpus, its lines being translations of the source's.
    #[arg(long, value_name = "FILE")]
    pub(crate) target: PathBuf,
    /// The target as a person corrected it (its post-edits), for a system that was trained on them (`fine_tune`).
    #[arg(long = "pe", value_name = "FILE")]
    pub(crate) post_edit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) system: SystemArguments,
}

/// More threads than any machine has cores: each takes memory, and a slip of the hand all of it.
const THREADS: u64 = 1024;
/// More pairs or words than any batch holds.
const PAIRS: u64 = 1_000_000;

/// A number from 1 on.
fn at_most(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

/// A saved system and how it is run.
#[derive(Debug, Args)]
pub(crate) struct SystemArguments {
    /// The saved system, as training leaves it in the run's `checkpoints`.
    pub(crate) system: PathBuf,
    /// Pairs in one batch.
    #[arg(long, value_name = "N", default_value = "32", value_parser = at_most(PAIRS))]
    pub(crate) batch_size: usize,
    /// Give a value in place of the one that the system was saved with.
    ///
    /// PATH leads to the value: an option of its parts as `system.model.encoder.dropout`, `system.metrics` for metrics
    /// besides the head's own, `system.batch_size`, `system.num_data_workers`, `trainer.precision`. VALUE is JSON; what
    /// is no JSON is taken as a string. May be given more than once.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_override)]
    pub(crate) overrides: Vec<(String, String)>,
    /// Where to compute: cpu, cuda (the first GPU) or cuda:N (the GPU of number N, counted from 0).
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// Run the system even if a plugin is of a version that is not compatible with the one it was saved with.
    #[arg(long)]
    pub(crate) allow_changed: bool,
    #[command(flatten)]
    pub(crate) held: HeldArguments,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Compute the metrics of a saved system on a parallel corpus.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host evaluate SYSTEM.safetensors --source test.src --target test.tgt
  kiwi-host evaluate SYSTEM.safetensors --source test.src --target test.tgt --format json
  kiwi-host evaluate SYSTEM.safetensors --source test.src --target test.tgt --set 'system.metrics=[\"NLL\"]'")]
pub(crate) struct EvaluateArguments {
    /// How the metrics are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) corpus: CorpusArguments,
}

/// Write the features of each pair of a parallel corpus that quality estimation reads.
///
/// One safetensors file: `features` [positions, size] float32, the positions of all pairs one after the other (a pair has its
/// target words, <bos> and <eos>), and `offsets` [pairs + 1] int64, where each pair begins and the last ends. A pair's features
/// do not depend on the others, and memory does not grow with the corpus.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  kiwi-host features SYSTEM.safetensors --source test.src --target test.mt -o features.safetensors")]
pub(crate) struct FeaturesArguments {
    /// The file to write, which must not exist yet.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) corpus: CorpusArguments,
}

/// Show what a saved system holds: parts, options, plugins, vocabularies, tensors.
///
/// No plugin is opened, and no libtorch is needed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host inspect SYSTEM.safetensors
  kiwi-host inspect SYSTEM.safetensors --format json")]
pub(crate) struct InspectSystemArguments {
    /// The saved system, as training leaves it in the run's `checkpoints`.
    pub(crate) system: PathBuf,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// What every command takes; before the command or after it, or both.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct CommonArguments {
    /// A directory to search for plugins, before all others. May be given more than once.
    #[arg(long = "plugin-dir", value_name = "DIRECTORY")]
    plugin_directories: Vec<PathBuf>,
    /// Directory of libtorch, the one that holds lib/libtorch_cpu.so.
    #[arg(long, value_name = "DIRECTORY")]
    libtorch: Option<PathBuf>,
    /// Threads for libtorch's operators, at most 1024.
    #[arg(long, value_name = "N", value_parser = at_most(THREADS))]
    threads: Option<usize>,
    /// When to use colours [default: auto].
    #[arg(long, value_name = "WHEN", value_enum)]
    color: Option<ColorArgument>,
    /// Say only what is wrong.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more.
    #[arg(short, long)]
    verbose: bool,
}

/// What every command takes, from both places.
#[derive(Debug, Clone)]
pub(crate) struct CommonOptions {
    pub(crate) plugin_directories: Vec<PathBuf>,
    pub(crate) libtorch: Option<PathBuf>,
    pub(crate) threads: Option<usize>,
    pub(crate) color: ColorArgument,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
}

impl Command {
    /// What is typed for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Train(_) => "train",
            Self::Check(_) => "check",
            Self::Sweep(_) => "sweep",
            Self::Evaluate(_) => "evaluate",
            Self::Score(_) => "score",
            Self::Features(_) => "features",
            Self::Inspect(_) => "inspect",
            Self::Report(_) => "report",
            Self::Import(arguments) => match arguments.command {
                ImportCommand::Openkiwi(_) => "import openkiwi",
            },
            Self::ImportConfig(_) => "import-config",
            Self::Export(arguments) => match arguments.command {
                ExportCommand::Openkiwi(_) => "export openkiwi",
            },
            Self::Mlflow(arguments) => match arguments.command {
                MlflowCommand::Sync(_) => "mlflow sync",
            },
            Self::Plugins(arguments) => match arguments.command {
                PluginsCommand::List(_) => "plugins list",
                PluginsCommand::Inspect(_) => "plugins inspect",
                PluginsCommand::Check(_) => "plugins check",
                PluginsCommand::CheckInProcess => "plugins check-in-process",
                PluginsCommand::New(_) => "plugins new",
                PluginsCommand::Lock(_) => "plugins lock",
                PluginsCommand::Package(_) => "plugins package",
            },
            Self::Schema(_) => "schema",
            Self::Explain(_) => "explain",
            Self::Doctor(_) => "doctor",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
            Self::Probe(_) => "probe",
            Self::DoctorInProcess(_) => "doctor-in-process",
        }
    }
}

impl Arguments {
    /// All that can be typed, with its help.
    pub(crate) fn whole_command() -> clap::Command {
        help::with_help(Self::command())
    }

    /// What was typed. Ends the program where it is wrong, or asks for help or the version.
    pub(crate) fn of_program() -> Self {
        let command = Self::whole_command().color(help::color(std::env::args_os()));
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// What every command takes: directories from both places, and of all else what stands nearer to the end.
    pub(crate) fn common(&self) -> CommonOptions {
        let before = &self.common;
        let after = match &self.command {
            Command::Init(arguments) => &arguments.common,
            Command::Train(arguments) => &arguments.common,
            Command::Check(arguments) => &arguments.common,
            Command::Sweep(arguments) => &arguments.common,
            Command::Evaluate(arguments) => &arguments.corpus.system.common,
            Command::Score(arguments) => &arguments.system.common,
            Command::Features(arguments) => &arguments.corpus.system.common,
            Command::Inspect(arguments) => &arguments.common,
            Command::Report(arguments) => &arguments.common,
            Command::Import(arguments) => match &arguments.command {
                ImportCommand::Openkiwi(arguments) => &arguments.common,
            },
            Command::ImportConfig(arguments) => &arguments.common,
            Command::Export(arguments) => match &arguments.command {
                ExportCommand::Openkiwi(arguments) => &arguments.common,
            },
            Command::Mlflow(arguments) => match &arguments.command {
                MlflowCommand::Sync(arguments) => &arguments.common,
            },
            Command::Plugins(arguments) => match &arguments.command {
                PluginsCommand::List(arguments) => &arguments.common,
                PluginsCommand::Inspect(arguments) => &arguments.common,
                PluginsCommand::Check(arguments) => &arguments.common,
                PluginsCommand::CheckInProcess => before,
                PluginsCommand::New(arguments) => &arguments.common,
                PluginsCommand::Lock(arguments) => &arguments.common,
                PluginsCommand::Package(arguments) => &arguments.common,
            },
            Command::Schema(arguments) => &arguments.common,
            Command::Explain(arguments) => &arguments.common,
            Command::Doctor(arguments) => &arguments.common,
            Command::Completions(arguments) => &arguments.common,
            Command::Man(arguments) => &arguments.common,
            Command::Probe(arguments) => &arguments.common,
            Command::DoctorInProcess(arguments) => &arguments.common,
        };
        let loudness = if after.quiet || after.verbose { after } else { before };
        CommonOptions {
            plugin_directories: [&before.plugin_directories[..], &after.plugin_directories].concat(),
            libtorch: after.libtorch.as_ref().or(before.libtorch.as_ref()).cloned(),
            threads: after.threads.or(before.threads),
            color: after.color.or(before.color).unwrap_or_default(),
            quiet: loudness.quiet,
            verbose: loudness.verbose,
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorArgument {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FormatArgument {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl From<FormatArgument> for Format {
    fn from(format: FormatArgument) -> Self {
        match format {
            FormatArgument::Human => Self::Human,
            FormatArgument::Json => Self::Json,
        }
    }
}

pub(crate) fn parse_override(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("there is no path before `=`".to_owned()),
        Some((path, value)) => Ok((path.trim().to_owned(), value.to_owned())),
        None => Err("expected PATH=VALUE, as `trainer.epochs=3`".to_owned()),
    }
}

static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    format!("{version}\nplugin API {API_VERSION}\ntorch {TORCH_VERSION}\ntarget {TARGET}")
});

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn common_options_stand_before_the_command_and_after_it() {
        let arguments = Arguments::parse_from([
            "kiwi-host",
            "--plugin-dir",
            "a",
            "--threads",
            "2",
            "-v",
            "--color",
            "never",
            "train",
            "c.json",
            "--plugin-dir",
            "b",
            "--threads",
            "3",
            "-q",
            "--plugin-dir",
            "c",
        ]);
        let common = arguments.common();
        assert_eq!(common.plugin_directories, ["a", "b", "c"].map(PathBuf::from));
        assert_eq!(common.threads, Some(3));
        assert!(common.quiet && !common.verbose);
        assert_eq!(common.color, ColorArgument::Never);
    }

    #[test]
    fn no_slip_of_the_hand_takes_all_memory_or_none_of_the_batch() {
        let score = ["kiwi-host", "score", "best.safetensors", "--source", "a", "--target", "b"];
        for (option, wrong) in [
            ("--threads", "0"),
            ("--threads", "99999999999"),
            ("--workers", "5000"),
            ("--batch-size", "0"),
            ("--max-length", "0"),
        ] {
            let refused = Arguments::try_parse_from(score.into_iter().chain([option, wrong])).unwrap_err();
            assert!(refused.to_string().contains(&format!("{wrong} is not in 1..=")), "{refused}");
        }
    }

    #[test]
    fn a_value_may_hold_equals_signs() {
        assert_eq!(parse_override("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert!(parse_override("a.b").is_err());
        assert!(parse_override("=1").is_err());
    }
}
