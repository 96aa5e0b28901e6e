//! The messages of plugins, on their way into the report. Plugins may log from any thread.

use std::sync::Mutex;

use kiwi_plugin_api::abi::host::set_logger;
use kiwi_plugin_api::log::Level;

static PENDING: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

/// Takes the messages of plugins out of where they are collected.
pub(super) struct PluginLog;

impl PluginLog {
    /// Begins to collect.
    pub(super) fn install() -> Self {
        set_logger(receive);
        Self
    }

    /// What has come since the last time.
    pub(super) fn drain(&self) -> Vec<(Level, String)> {
        PENDING.lock().map(|mut pending| std::mem::take(&mut *pending)).unwrap_or_default()
    }
}

fn receive(level: Level, plugin: &str, class: &str, message: &str) {
    let who = if class.is_empty() { plugin.to_owned() } else { format!("{plugin}::{class}") };
    if let Ok(mut pending) = PENDING.lock() {
        pending.push((level, format!("{who}: {message}")));
    }
}
