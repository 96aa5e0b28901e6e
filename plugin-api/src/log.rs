//! Messages of a plugin to its host, which adds the plugin's name and the class, and the host's wish to stop.
//!
//! The globals of `log` and `tracing` are per library, so a plugin's own would reach nobody.

use crate::abi::callbacks;

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Shown with `--verbose`.
    Debug = 0,
    /// Shown unless `--quiet`.
    Info = 1,
    /// Always shown.
    Warning = 2,
}

impl Level {
    /// The level of this number; what is higher than all is a warning.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Debug,
            1 => Self::Info,
            _ => Self::Warning,
        }
    }
}

/// Says something that interests only whoever looks for it.
pub fn debug(message: impl AsRef<str>) {
    callbacks::log(Level::Debug, message.as_ref());
}

/// Says something a user wants to know.
pub fn info(message: impl AsRef<str>) {
    callbacks::log(Level::Info, message.as_ref());
}

/// Says something a user should act upon.
pub fn warning(message: impl AsRef<str>) {
    callbacks::log(Level::Warning, message.as_ref());
}

/// Whether the host wants to stop: what takes long should ask now and then and return an error if so.
#[must_use]
pub fn cancelled() -> bool {
    callbacks::cancelled()
}
