//! `cargo xtask bench`: how fast the built program trains, against what the machine can do and against PyTorch.
//!
//! [`settings`] says what is trained, on which [`text`], [`synthetic`] if none is given. [`ours`] runs the program and reads
//! its [`log`], [`peer`] runs the script of the other side, [`turns`] both by turns; [`floor`] is what a step takes at least,
//! [`report`] the results, [`curves`] the table of many, [`scoring`] how fast it scores. Results go to standard output, all else to standard error.

mod curves;
mod floor;
mod log;
mod ours;
mod peer;
mod report;
mod scoring;
mod settings;
mod synthetic;
mod text;
mod turns;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use curves::Curve;
use ours::Program;
use peer::Peer;
use settings::Settings;
use text::Text;
use turns::Turns;

use crate::build::{self, Profile};
use crate::workspace::Workspace;

/// Timed batches of a run, unless the user says otherwise.
const BATCHES: u64 = 40;

/// The same for each row of `--curves`.
const BATCHES_OF_A_ROW: u64 = 8;

/// What `cargo xtask bench` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Source of the text to train on, one sentence a line, words separated by spaces.
    #[arg(long, value_name = "FILE", requires = "target", required_unless_present = "curves")]
    source: Option<PathBuf>,
    /// Target of the text, line by line.
    #[arg(long, value_name = "FILE", requires = "source", required_unless_present = "curves")]
    target: Option<PathBuf>,
    /// Timed batches of each run, after the warm-up [default: 40, with --curves 8].
    #[arg(long, value_name = "BATCHES", value_parser = crate::bench::at_least_one)]
    batches: Option<u64>,
    #[command(flatten)]
    settings: Settings,
    /// Runs of each side, in turn.
    #[arg(long, value_name = "RUNS", default_value_t = 1, value_parser = crate::bench::at_least_one)]
    repeat: u64,
    /// Script to measure against, or the folder that holds it as `pytorch_peer.py`; run by `python3`.
    #[arg(long, value_name = "PATH")]
    peer: Option<PathBuf>,
    /// Score the text in place of training on it, in turn with the forward pass of the peer's model.
    #[arg(long, conflicts_with = "curves")]
    score: bool,
    /// With --score: batches that are computed at the same time.
    #[arg(long, value_name = "N", requires = "score", value_parser = crate::bench::at_least_one)]
    workers: Option<u64>,
    /// A table in Markdown with one thing varied at a time, all or those that are named (`--curves=length,threads`). Without
    /// --source and --target the text is made up: sentences of 13 words, 18 000 types.
    #[arg(long, value_enum, value_name = "WHAT", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    curves: Option<Vec<Curve>>,
}

/// A number on the command line that 0 would make no sense of.
fn at_least_one(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number >= 1);
    number.ok_or_else(|| "expected an integer of at least 1".to_owned())
}

/// Builds the program, trains with it for some steps, and prints what that came to: a line of JSON for each run, or a table.
pub(crate) fn measure(workspace: &Workspace, options: Options) -> Result<()> {
    let text = match (&options.source, &options.target) {
        (Some(source), Some(target)) => Some(Text::new(source, target)?),
        _ => None,
    };
    let peer = options.peer.as_deref().map(Peer::find).transpose()?;
    let folder = workspace.target_directory.join("bench");
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}: make room or rights there", folder.display()))?;
    let program = Program { workspace, file: build::build(workspace, Profile::Release)?, folder };
    if options.score {
        let text = text.context("no text to score: give --source and --target")?;
        let Options { settings, repeat, workers, .. } = &options;
        return scoring::run(&program, peer.as_ref(), settings, &text, *repeat, *workers);
    }
    let default = if options.curves.is_some() { BATCHES_OF_A_ROW } else { BATCHES };
    let mut turns = Turns::new(program, peer, options.batches.unwrap_or(default), options.repeat);

    if let Some(named) = &options.curves {
        let chosen = if named.is_empty() { Curve::value_variants() } else { named.as_slice() };
        return curves::print(&mut turns, chosen, &options.settings, text);
    }
    let text = text.context("no text to train on: give --source and --target")?;
    let medians = turns.run(&options.settings, &text, |line| println!("{line}"))?;
    if let Some(comparison) = medians.comparison() {
        println!("{}", serde_json::to_string(&comparison)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::settings::{Order, Precision};
    use super::text::Side;
    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        CommandLine::try_parse_from([&["bench"], arguments].concat()).map(|line| line.options)
    }

    /// The defaults, changed by arguments of the command line.
    pub(super) fn settings(arguments: &[&str]) -> Settings {
        parse(&[&["--curves"], arguments].concat()).unwrap().settings
    }

    #[test]
    fn the_defaults_are_the_peers() {
        let settings = settings(&[]);
        assert_eq!((settings.order, settings.precision), (Order::Corpus, Precision::Single));
        let arguments = settings.peer_arguments().join(" ");
        assert_eq!(
            arguments,
            "--warmup 2 --batch-size 32 --threads 2 --hidden-size 400 --rnn-layers 2 --embeddings-dim 200 \
             --out-embeddings-dim 200 --dropout 0.5 --max-size 60000 --learning-rate 0.001 --seed 42 --precision 32"
        );
    }

    #[test]
    fn text_is_required_but_for_curves() {
        assert!(parse(&[]).is_err());
        assert!(parse(&["--source=a"]).is_err());
        assert!(parse(&["--curves", "--source=a"]).is_err());
        let options = parse(&["--source=a", "--target=b", "--repeat=3"]).unwrap();
        assert_eq!((options.repeat, options.batches), (3, None));
        assert_eq!(parse(&["--curves"]).unwrap().curves, Some(Vec::new()));
        let named = parse(&["--curves=hidden-size,threads"]).unwrap().curves;
        assert_eq!(named, Some(vec![Curve::HiddenSize, Curve::Threads]));
        assert!(parse(&["--source=a", "--target=b", "--batches=0"]).is_err());
    }

    #[test]
    fn a_config_says_what_the_settings_say() {
        let folder = tempfile::tempdir().unwrap();
        let line = ["ein Wort".to_owned()];
        let text = Text::write(folder.path(), "train", &line, &line).unwrap();
        let settings = settings(&["--precision=bf16", "--order=bucketed", "--dropout=0.1"]);
        let config = settings.config(42, &text, &text);
        assert_eq!(config["trainer"]["max_steps"], 42);
        assert_eq!(config["trainer"]["precision"], "bf16");
        assert_eq!(config["trainer"]["batch_order"], "bucketed");
        assert_eq!(config["system"]["model"]["encoder"]["dropout"], 0.1);
        assert_eq!(config["data"]["train"]["input"]["source"], text.file(Side::Source).to_str().unwrap());
    }
}
