//! `cargo xtask bench --score`: how fast `kiwi-host score` goes through a text, in turn with the forward pass of the peer's model.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::ours::Program;
use super::peer::Peer;
use super::report::{median, rounded};
use super::settings::Settings;
use super::text::{Side, Text};
use crate::workspace::display;

/// Pairs that the system is trained on, for a step: what it learned makes no difference to its speed.
const TRAINING_STEPS: u64 = 1;

/// The script that runs the peer's model forward.
const FORWARD: &str = include_str!("score_peer.py");

/// Scores the text with both in turn, and prints a line of JSON for each run and one with the ratio of the medians.
pub(super) fn run(
    program: &Program<'_>,
    peer: Option<&Peer>,
    settings: &Settings,
    text: &Text,
    repeat: u64,
    workers: Option<u64>,
) -> Result<()> {
    let system = program.train_for_scoring(settings, TRAINING_STEPS, text)?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..repeat {
        let found = score(program, settings, text, &system, workers)?;
        println!(
            "{}",
            json!({"implementation": "kiwi-host score", "target_tokens_per_second": found, "threads": settings.threads,
                "batch_size": settings.batch_size})
        );
        ours.push(found);
        if let Some(peer) = peer {
            let script = program.folder.join("score_peer.py");
            fs::write(&script, FORWARD).with_context(|| format!("cannot write {}", script.display()))?;
            let measured = peer.forward(program.workspace, &script, settings, text)?;
            println!("{}", measured.line);
            peers.push(measured.speed.words_per_second);
        }
    }
    let (ours, peers) = (median(ours), median(peers));
    if let (Some(ours), Some(peer)) = (ours, peers) {
        let ratio = rounded(ours / peer, 3);
        println!("{}", json!({"kiwi_words_per_second": ours, "peer_words_per_second": peer, "ratio": ratio}));
    }
    Ok(())
}

/// Scores the text once; target words a second.
fn score(
    program: &Program<'_>,
    settings: &Settings,
    text: &Text,
    system: &PathBuf,
    workers: Option<u64>,
) -> Result<f64> {
    let scores = program.folder.join("scores.tsv");
    if scores.exists() {
        fs::remove_file(&scores).with_context(|| format!("cannot remove {}", scores.display()))?;
    }
    let mut command = program.workspace.command(&program.file);
    command.arg("score").arg(system);
    command.arg("--source").arg(text.file(Side::Source)).arg("--target").arg(text.file(Side::Target));
    command.args(["--format", "tsv", "--output"]).arg(&scores);
    command.args(["--threads", &settings.threads.to_string(), "--color", "never"]);
    command.args(["--batch-size", &settings.batch_size.to_string()]);
    command.args(["--set", &format!("trainer.precision={}", settings.precision.in_config())]);
    if let Some(workers) = workers {
        command.args(["--workers", &workers.to_string()]);
    }
    let line = display(&command);
    eprintln!("$ {line}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("`{line}` failed: {}\n{said}", output.status);
    }
    rate(&said).with_context(|| format!("`{line}` does not say its target words/s: {said}"))
}

/// The rate at the end of `…; 12 s at 9876 target words/s`.
fn rate(said: &str) -> Option<f64> {
    let line = said.lines().rfind(|line| line.ends_with(" target words/s"))?;
    line.rsplit_once(" at ")?.1.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_the_last_line() {
        let said = "a note\n29000 pairs of 360000 target words scored; 2 min at 9876 target words/s\n";
        assert_eq!(rate(said), Some(9876.0));
        assert_eq!(rate("nothing of the kind"), None);
    }
}
