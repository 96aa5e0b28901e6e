//! Arguments of the commands that set up a shell and look at an installation.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use serde::{Deserialize, Serialize};

use super::{CommonArguments, FormatArgument};

/// Find out what is wrong with an installation, and what a report of a bug should hold.
///
/// Looks at the program, its engine, libtorch, GPUs, plugins, the user's directories, the machine, and the environment variables that
/// count. What has to be opened is opened in a process of its own, so that a crash is a finding. Each finding is ok, a note (worth
/// knowing), a warning (something will not work) or an error (nothing will), with what to do. Passwords and tokens are not shown.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host doctor
  kiwi-host doctor --verbose > report.txt
  kiwi-host doctor --format json | jq '.findings[] | select(.level != \"ok\")'

Exits with 2 if there is an error among the findings.")]
pub(crate) struct DoctorArguments {
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Print a script by which a shell completes commands, options, their values and files.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host completions bash > ~/.local/share/bash-completion/completions/kiwi-host
  kiwi-host completions zsh > ~/.zfunc/_kiwi-host
  kiwi-host completions fish > ~/.config/fish/completions/kiwi-host.fish
  source <(kiwi-host completions bash)

The folder of the script for zsh must be one of $fpath, named before compinit is called.")]
pub(crate) struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Print a man page, or write all of them.
///
/// Without a command the page is that of the program.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host man | man -l -
  kiwi-host man plugins check | man -l -
  kiwi-host man --output-dir ~/.local/share/man/man1")]
pub(crate) struct ManArguments {
    /// The command whose page is printed, as `train` or `plugins check`.
    #[arg(value_name = "COMMAND", conflicts_with = "output_dir")]
    pub(crate) command: Vec<String>,
    /// Directory to write a page for each command to, which is made if it is not there. Earlier pages are replaced, any other file is
    /// not.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) output_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Open what `doctor` asks for; what it runs.
#[derive(Debug, Args)]
pub(crate) struct OpenArguments {
    /// The word that each line for `doctor` begins with.
    pub(crate) word: String,
    /// What to open, in this order.
    #[arg(value_enum, required = true)]
    pub(crate) steps: Vec<Step>,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// Something that `doctor` has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// The CPU part of libtorch.
    Libtorch,
    /// The NVIDIA driver's library.
    Driver,
    /// The CUDA part of libtorch, where there is a driver.
    Cuda,
    /// The engine, which is asked what it is.
    Engine,
    /// The library over NCCL, where the CUDA part of libtorch is open.
    Nccl,
}
