//! The command of a trial: `kiwi-host train` with the trial's config, in the trial's directory.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use kiwi_core::config::sweep::Resource;
use kiwi_core::environment;
use kiwi_core::place::LAUNCHED;
use kiwi_core::run_directory;
use kiwi_sweep::Directory;

use crate::arguments::CommonOptions;

/// What all trials are told.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) program: PathBuf,
    pub(super) options: CommonOptions,
    /// Threads of each, unless the command line or the environment says.
    pub(super) threads: Option<usize>,
    /// The lock of plugins that they are held to.
    pub(super) lock: Option<PathBuf>,
}

/// How far a trial goes on its rung.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    pub(super) resource: Resource,
    pub(super) budget: u64,
}

impl Settings {
    /// The command of a trial, by its number; `gpu` is the one that it sees.
    pub(super) fn command(
        &self,
        directory: &Directory,
        number: usize,
        length: Option<Length>,
        gpu: Option<usize>,
        log: File,
    ) -> Command {
        let mut command = Command::new(&self.program);
        for plugins in &self.options.plugin_directories {
            command.arg("--plugin-dir").arg(plugins);
        }
        if let Some(libtorch) = &self.options.libtorch {
            command.arg("--libtorch").arg(libtorch);
        }
        if let Some(threads) = self.options.threads.or(self.threads) {
            command.args(["--threads", &threads.to_string()]);
        }
        // The run's own log has the rest.
        command.args(["--quiet", "--color", "never", "train"]).arg(directory.config(number));
        let run = directory.trial(number);
        command.arg("--output-dir").arg(&run);
        if run_directory::is_run(&run) {
            command.arg("--resume");
        }
        if let Some(Length { resource, budget }) = length {
            command.arg("--set").arg(format!("{}={budget}", resource.key()));
        }
        if let Some(lock) = &self.lock {
            command.arg("--lock").arg(lock);
        }
        if let Some(gpu) = gpu {
            command.env(environment::CUDA_VISIBLE_DEVICES.name, visible(gpu));
        }
        // It ends when this process does, however that ends.
        command.env(LAUNCHED, process::id().to_string());
        command.env_remove(environment::TORCHELASTIC_ERROR_FILE.name);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
    }
}

/// A GPU as the environment names it: GPUs that are hidden from this program are not counted.
fn visible(gpu: usize) -> String {
    let shown = env::var(environment::CUDA_VISIBLE_DEVICES.name).unwrap_or_default();
    let named = shown.split(',').nth(gpu).map(str::trim).filter(|name| !name.is_empty());
    named.map_or_else(|| gpu.to_string(), str::to_owned)
}

/// What a process said last of why it failed.
pub(super) fn last_error(log: &Path) -> Option<String> {
    let bytes = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
    let last = lines.next()?;
    let failed =
        last.strip_prefix("kiwi-host train failed with exit code ").and_then(|rest| rest.split_once(": "));
    Some(failed.map_or(last, |(_, reason)| reason).to_owned())
}
