//! What is said of each code, a file for each hundred.

pub(super) mod command_line;
pub(super) mod config;
pub(super) mod corpora;
pub(super) mod exchange;
pub(super) mod machine;
pub(super) mod plugins;
pub(super) mod run;
pub(super) mod systems;

use super::{Example, Page};
