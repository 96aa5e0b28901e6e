//! What the program asks of the engine and what comes back, as JSON over the engine's one C function.
//!
//! `kiwi_engine_run(request, length, send, context)` takes a [`Request`], calls `send(context, message, length)` with
//! a [`Message`] as often as it has something to say, and returns an [`crate::exit_code::ExitCode`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::plugin_check::PluginCheckRequest;
use crate::plugins::{LockChoice, ResolvedComponent};
use crate::scoring::Scoring;

/// Name of the engine's one exported function.
pub const ENGINE_ENTRY: &str = "kiwi_engine_run";

/// A command for the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Train a system as a config says.
    Train(TrainRequest),
    /// Find out all that training would find out before its first step.
    Check(CheckRequest),
    /// Have components check what a config says to them, and do nothing else.
    CheckOptions(OptionsRequest),
    /// Ask the components of one plugin what only they can say of themselves; in a process of its own.
    Probe(ProbeRequest),
    /// Compute the metrics of a saved system on a parallel corpus.
    Evaluate(SystemRequest),
    /// Score each pair of a parallel corpus with a saved system.
    Score(SystemRequest),
    /// Score each pair of a parallel corpus as [`Request::Score`] in JSON, with the words of its source (`source`) besides, and end
    /// with the figures of [`Request::Evaluate`] in JSON.
    Read(SystemRequest),
    /// Write what quality estimation reads of each pair of a parallel corpus.
    Features(FeaturesRequest),
    /// Open a plugin and check one of its components.
    CheckPlugin(PluginCheckRequest),
    /// Say what the engine is: an [`EngineDescription`].
    Describe,
}

/// What the engine says of itself and of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineDescription {
    /// Its version, which is the program's.
    pub version: String,
    /// Threads that libtorch's operators use unless told otherwise.
    pub threads: i32,
    /// GPUs that libtorch sees, if its CUDA part is open.
    pub gpus: Option<usize>,
}

impl Request {
    /// The command as it is typed; empty for what is a part of several.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        match self {
            Self::Train(_) => "train",
            Self::Check(_) => "check",
            // A plugin that is checked is watched from outside.
            Self::CheckOptions(_) | Self::CheckPlugin(_) | Self::Probe(_) | Self::Describe => "",
            Self::Evaluate(_) => "evaluate",
            Self::Score(_) => "score",
            Self::Read(_) => "report",
            Self::Features(_) => "features",
        }
    }
}

/// `kiwi-host train CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRequest {
    /// The config file.
    pub config: PathBuf,
    /// Values that replace those of the file: (path such as `trainer.epochs`, JSON value or bare string).
    pub overrides: Vec<(String, String)>,
    /// Directory of the run, in place of `run.output_dir`.
    pub output_dir: Option<PathBuf>,
    /// Go on with the run in the directory, as `trainer.resume` says.
    pub resume: bool,
    /// Go on even if config, corpora or plugins are not those of the run, or plugins not those of the loaded system.
    pub allow_changed: bool,
    /// What holds for every command.
    pub common: Common,
}

/// `kiwi-host check CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// What training would be asked.
    pub train: TrainRequest,
    /// Whether findings are printed for people or as JSON.
    pub format: Format,
}

/// The components of a config that is wrong elsewhere: what is wrong with their options is told all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionsRequest {
    /// The components, each with what the config says to it.
    pub components: Vec<ResolvedComponent>,
}

/// The components of one plugin, to be asked for what a [`crate::plugins::probe::PluginProbe`] holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// The components.
    pub components: Vec<ResolvedComponent>,
}

/// `kiwi-host evaluate SYSTEM` and `kiwi-host score SYSTEM`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemRequest {
    /// The saved system.
    pub system: PathBuf,
    /// Source side, one sentence a line. Not read where [`Scoring::input`] is given.
    pub source: PathBuf,
    /// Target side, one sentence a line.
    pub target: PathBuf,
    /// The target as a person corrected it, one sentence a line; for systems that need it.
    pub post_edit: Option<PathBuf>,
    /// Pairs in one batch.
    pub batch_size: usize,
    /// Values that replace those the system was saved with: (path such as `system.metrics`, JSON value or bare string).
    pub overrides: Vec<(String, String)>,
    /// Where to compute: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Take plugins of other versions than the system was saved with, compatible or not.
    pub allow_changed: bool,
    /// Whether data is printed for people or as JSON.
    pub format: Format,
    /// What `score` alone is told; `None`: a JSON line a pair with its words, to standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
    /// What holds for every command.
    pub common: Common,
}

/// `kiwi-host features SYSTEM`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturesRequest {
    /// The saved system and the corpus.
    pub system: SystemRequest,
    /// The safetensors file to write.
    pub output: PathBuf,
}

/// What holds for every command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// Directories of `--plugin-dir`, in order; searched before all others.
    pub plugin_directories: Vec<PathBuf>,
    /// Path of the running program: plugins beside it are found.
    pub program: PathBuf,
    /// Threads for libtorch's operators; `None` leaves libtorch's own choice.
    pub threads: Option<usize>,
    /// How much is said on standard error.
    pub verbosity: Verbosity,
    /// Whether standard error is a terminal that understands a moving progress bar.
    pub interactive: bool,
    /// Whether standard error takes colours.
    pub color: bool,
    /// The lock of plugins that counts for the command, if one does.
    pub lock: Option<LockChoice>,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// JSON, one object a line.
    Json,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// As the config says, else as [`Verbosity::Normal`].
    #[default]
    FromConfig,
    /// Errors and warnings only.
    Quiet,
    /// Progress and the log.
    Normal,
    /// Details too.
    Verbose,
}

/// What the engine has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", content = "content", rename_all = "snake_case")]
pub enum Message {
    /// Complaints, to be printed to standard error.
    Diagnostics(Vec<Diagnostic>),
    /// A line of data, to be printed to standard output.
    Data(String),
    /// From now on the engine takes care of signals that ask a run to end.
    SignalsTaken,
}
