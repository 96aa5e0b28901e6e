//! The metadata records inside a kiwi-host plugin file.
//!
//! A plugin carries facts about itself in a section of its own in the shared library: one `plugin` record and one
//! `component` or `system` record for each thing it registers, one after the other. They are written at compile time by
//! `kiwi-plugin-api`'s macros ([`writer`]) and read from the bytes of the file ([`reader`]): nothing of the plugin runs.
//!
//! [`compatibility`] decides from them whether a host can use a plugin. No libtorch here, and no dynamic loading.

pub mod compatibility;
pub mod reader;
pub mod writer;

/// The version of `kiwi-plugin-api`, which is the version of the ABI between host and plugins.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The libtorch release that host, engine and plugins are built against: the one constant in the workspace.
/// `tch = "=0.24.0"` binds this release and no other.
pub const TORCH_VERSION: &str = "2.11.0";

/// Target triple that this crate was built for, and with it whatever depends on it.
pub const TARGET: &str = env!("KIWI_TARGET");

/// Version line of the compiler that built this crate, and with it whatever depends on it.
pub const RUSTC: &str = env!("KIWI_RUSTC");

/// Name of the section that holds the records.
#[cfg(not(any(target_os = "macos", target_os = "windows")))]
pub const SECTION: &str = ".kiwi_plugin";
/// Name of the section that holds the records.
#[cfg(target_os = "macos")]
pub const SECTION: &str = "__DATA,__kiwi_plugin";
/// Name of the section that holds the records.
#[cfg(target_os = "windows")]
pub const SECTION: &str = ".kiwi";

/// First bytes of each record.
pub const MAGIC: [u8; 8] = *b"KIWIPLUG";

/// Version of the record format: a reader refuses records of a newer one.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes before the fields of a record: magic, format version, length of the fields.
pub const HEADER_LENGTH: usize = 16;

/// Values of the field [`field::RECORD`]: what a record describes.
pub mod record {
    /// Facts about the whole plugin, one a file.
    pub const PLUGIN: &str = "plugin";
    /// One component: an encoder, a head, an optimizer or a metric.
    pub const COMPONENT: &str = "component";
    /// A system: a name that stands for an encoder and a head.
    pub const SYSTEM: &str = "system";
}

/// Keys of the fields.
pub mod field {
    /// What the record describes, one of [`super::record`]. Always the first field.
    pub const RECORD: &str = "record";
    /// `plugin`: its name, the name of its crate.
    pub const NAME: &str = "name";
    /// `plugin`: its own semantic version.
    pub const VERSION: &str = "version";
    /// `plugin`: one sentence.
    pub const DESCRIPTION: &str = "description";
    /// `plugin`: SPDX expression.
    pub const LICENSE: &str = "license";
    /// `plugin`: authors, separated by `:`.
    pub const AUTHORS: &str = "authors";
    /// `plugin`: version of `kiwi-plugin-api` it was built with.
    pub const API_VERSION: &str = "api_version";
    /// `plugin`: oldest version of `kiwi-plugin-api` that a host must have to run it.
    pub const MINIMUM_HOST_API: &str = "minimum_host_api";
    /// `plugin`: libtorch release it was built against, `major.minor.patch`.
    pub const TORCH: &str = "torch";
    /// `plugin`: target triple.
    pub const TARGET: &str = "target";
    /// `plugin`: version line of the compiler.
    pub const RUSTC: &str = "rustc";
    /// `plugin`: panic strategy, `unwind` or `abort`.
    pub const PANIC: &str = "panic";
    /// `component`: one of [`super::kind`].
    pub const KIND: &str = "kind";
    /// `component` and `system`: the name that a config gives as `class_name`.
    pub const CLASS: &str = "class";
    /// `component` and `system`: one sentence.
    pub const SUMMARY: &str = "summary";
    /// `system`: class of its encoder unless the config names another.
    pub const ENCODER: &str = "encoder";
    /// `system`: class of its head unless the config names another.
    pub const HEAD: &str = "head";
}

/// Values of the field [`field::KIND`].
pub mod kind {
    /// Turns batches into features.
    pub const ENCODER: &str = "encoder";
    /// Turns features into a loss and what metrics need.
    pub const HEAD: &str = "head";
    /// Updates parameters.
    pub const OPTIMIZER: &str = "optimizer";
    /// Turns what a head reports into a figure.
    pub const METRIC: &str = "metric";
}
