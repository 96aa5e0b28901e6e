//! Arguments of the commands that may be held to a lock of plugins.

use std::path::{Path, PathBuf};

use clap::Args;
use kiwi_core::plugins::LockChoice;

/// Which plugins a command may use.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HeldArguments {
    /// Use the plugins of the lock and no others: a plugin that is not in it, or of another version or SHA-256, is refused.
    ///
    /// The lock is `plugins.lock` beside the config or the saved system, as `kiwi-host plugins lock` writes it. Without --locked
    /// a plugin that is not as the lock says is a warning.
    #[arg(long)]
    locked: bool,
    /// The lock, in place of `plugins.lock` beside the config or the saved system; --locked goes without saying.
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

impl HeldArguments {
    /// Whether a lock was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.locked || self.lock.is_some()
    }

    /// The lock that counts for a config or a saved system.
    pub(crate) fn choice(&self, of: &Path) -> LockChoice {
        LockChoice::of(of, self.lock.clone(), self.locked)
    }
}
