//! The script that ours is measured against: the same model in PyTorch, which prints the same line of JSON.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::report::Speed;
use super::settings::Settings;
use super::text::{Side, Text};
use crate::workspace::{Workspace, display};

/// Name of the script, where its folder is given.
const SCRIPT: &str = "pytorch_peer.py";

/// The script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    script: PathBuf,
}

/// What it said of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PeerMeasurement {
    /// Its line of JSON.
    pub(super) line: String,
    /// The figures of it that are compared.
    pub(super) speed: Speed,
}

/// What is needed of its line.
#[derive(Debug, Deserialize)]
struct Line {
    target_tokens_per_second: f64,
    peak_rss_mib: f64,
}

impl Peer {
    /// The script, given as such or by its folder.
    pub(super) fn find(path: &Path) -> Result<Self> {
        let script = if path.is_dir() { path.join(SCRIPT) } else { path.to_path_buf() };
        let script = script.canonicalize().with_context(|| {
            format!("cannot find {}: give --peer the script, or the folder of a {SCRIPT}", script.display())
        })?;
        Ok(Self { script })
    }

    /// Runs it, with the torch in `.python` if there is one, else with the one of `python3`.
    pub(super) fn measure(
        &self,
        workspace: &Workspace,
        settings: &Settings,
        batches: u64,
        text: &Text,
    ) -> Result<PeerMeasurement> {
        let mut command = workspace.command("python3");
        command.arg(&self.script);
        command.args(["--batches", &batches.to_string(), "--tuned"]);
        Self::run(command, workspace, settings, text)
    }

    /// Runs its model forward over the whole text by the script `forward`.
    pub(super) fn forward(
        &self,
        workspace: &Workspace,
        forward: &Path,
        settings: &Settings,
        text: &Text,
    ) -> Result<PeerMeasurement> {
        let mut command = workspace.command("python3");
        command.arg(forward).arg(&self.script);
        Self::run(command, workspace, settings, text)
    }

    fn run(
        mut command: Command,
        workspace: &Workspace,
        settings: &Settings,
        text: &Text,
    ) -> Result<PeerMeasurement> {
        command.arg("--source").arg(text.file(Side::Source)).arg("--target").arg(text.file(Side::Target));
        command.args(settings.peer_arguments());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let packages = workspace.root.join(".python");
        if packages.is_dir() {
            command.env("PYTHONPATH", packages);
        }
        let line = display(&command);
        eprintln!("$ {line}");
        let output =
            command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run `{line}`"))?;
        if !output.status.success() {
            bail!(
                "`{line}` failed: {}; what it says is above. If it lacks torch, `cargo xtask setup --python` fetches it",
                output.status
            );
        }
        read(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Its last line that says anything.
fn read(printed: &str) -> Result<PeerMeasurement> {
    let line = printed.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let found: Line = serde_json::from_str(line)
        .with_context(|| format!("the peer must end with one line of JSON, not with: {line}"))?;
    let speed = Speed { words_per_second: found.target_tokens_per_second, memory_mib: found.peak_rss_mib };
    Ok(PeerMeasurement { line: line.to_owned(), speed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_last_line_is_read() {
        let line = r#"{"implementation": "pytorch-peer", "target_tokens_per_second": 915.25, "peak_rss_mib": 1100.5}"#;
        let measured = read(&format!("a warning\n{line}\n\n")).unwrap();
        assert_eq!(measured.line, line);
        assert_eq!(measured.speed, Speed { words_per_second: 915.25, memory_mib: 1100.5 });
        assert!(read("").is_err() && read("{}").is_err());
    }

    #[test]
    fn it_is_found_by_its_folder_too() {
        let folder = tempfile::tempdir().unwrap();
        let message = Peer::find(folder.path()).unwrap_err().to_string();
        assert!(message.contains(SCRIPT), "{message}");
        std::fs::write(folder.path().join(SCRIPT), "").unwrap();
        let found = Peer::find(folder.path()).unwrap();
        assert_eq!(found, Peer::find(&folder.path().join(SCRIPT)).unwrap());
    }
}
