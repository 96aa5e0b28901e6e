//! The boundary in plain C, for plugins that are not written in Rust: what such a plugin exports and what it is called with.
//!
//! [`values`] is what crosses, [`tables`] what a plugin hands out, [`host`] the functions that it calls. The header
//! `plugin-api/include/kiwi_plugin.h` is generated from these three files by `cargo xtask generate`; the C++ headers beside it
//! are written by hand. Nothing here is `unsafe`, and nothing runs: the host's side is [`super::host`].
//!
//! Rules of growth. A struct that begins with `size` is only ever appended to; who receives it reads no more than `size` says,
//! and what is not there counts as zero. Every other struct is as it is for ever, since arrays of it cross. Results come back
//! through functions of the host, so that neither side frees what the other allocated.

pub mod host;
pub mod tables;
pub mod values;

pub use host::{KiwiCall, KiwiConfig, KiwiHost};
pub use tables::{
    KiwiComponent, KiwiEncoderTable, KiwiHeadTable, KiwiMetricTable, KiwiOptimizerTable, KiwiPlugin,
};
pub use values::{
    KiwiBatch, KiwiEncoderContext, KiwiFeature, KiwiGroup, KiwiHeadContext, KiwiNamedInteger,
    KiwiNamedTensor, KiwiPass, KiwiScheduleContext, KiwiScheduleKeys, KiwiSpecialIds, KiwiTensor, KiwiText,
};

/// Name of the exported function `const KiwiPlugin *kiwi_plugin_c_root(void)`.
pub const SYMBOL: &[u8] = b"kiwi_plugin_c_root\0";
