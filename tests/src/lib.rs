//! What the tests share: the built program and plugins, the golden cases, a toy corpus, and driving the program as a user would.
//! The tests themselves are in `tests/tests/`.

pub mod built;
pub mod cpp;
pub mod golden;
pub mod gpu;
pub mod interrupted;
pub mod moments;
pub mod other_builds;
pub mod outcome;
pub mod plugin_files;
pub mod python;
pub mod ranks;
pub mod small_disk;
pub mod toy_corpus;
pub mod trained;
pub mod workplace;
