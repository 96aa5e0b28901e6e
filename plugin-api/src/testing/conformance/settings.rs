//! What the suite is told: where to compute, with which options, how patiently.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tch::Device;

use super::threads::Threads;

/// How to see how much memory the process uses.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Bytes in use now; `None` where the system does not tell.
    pub read: fn() -> Option<u64>,
    /// Whether every byte is counted, as an allocator does, or whole pages only.
    pub exact: bool,
}

/// How the suite runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Where to compute.
    pub device: Device,
    /// Options by class, for components that need some or are to be checked with some. Others are checked with their defaults.
    pub options: BTreeMap<String, Value>,
    /// How often a component is called to see whether it leaves something over.
    pub calls: usize,
    /// How long such repeated calls may take; a slow component is called less often, and the finding says how often.
    pub patience: Duration,
    /// How to see how much memory is used.
    pub memory: Memory,
    /// Whether a value is a valid JSON Schema; the error says what is wrong.
    pub valid_schema: fn(&Value) -> Result<(), String>,
    /// The threads from before the plugin was opened; without them nothing is said of threads.
    pub threads: Option<Threads>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            options: BTreeMap::new(),
            calls: 1000,
            patience: Duration::from_secs(6),
            memory: Memory { read: resident, exact: false },
            valid_schema: |_| Ok(()),
            threads: None,
        }
    }
}

impl Settings {
    /// The same on another device.
    #[must_use]
    pub fn on(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The same with these options for a class.
    #[must_use]
    pub fn with_options(mut self, class: impl Into<String>, options: Value) -> Self {
        self.options.insert(class.into(), options);
        self
    }
}

/// Memory of the process that is resident, as Linux tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
