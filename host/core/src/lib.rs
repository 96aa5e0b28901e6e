//! What the program `kiwi-host` and the engine both need, none of it touching libtorch: the configuration of a run,
//! the plugins that are installed, the resolution of each `class_name` to one component of one plugin, the format of a
//! saved system, and how complaints are written down.
//!
//! The way of a config: [`config::RawConfig`] (parsed, each value with its place in the file) → [`config::RunConfig`]
//! (checked, defaults filled) → [`plan::Plan`] (names resolved). Building tensors from a plan is the engine's.

pub mod config;
pub mod data_format;
pub mod device;
pub mod diagnostic;
pub mod environment;
pub mod error_code;
pub mod exit_code;
pub mod libtorch;
pub mod place;
pub mod plan;
pub mod plugin_check;
pub mod plugins;
pub mod request;
pub mod run_directory;
pub mod saved_system;
pub mod scoring;
pub mod shell;
pub mod system_options;
pub mod tracking_uri;
