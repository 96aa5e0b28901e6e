//! Systems of OpenKiwi: the dictionary in such a file, and the saved system that is the same.
//!
//! `__version__`, `class_name`, `config`, `vocab` (a vocabulary for each side), `encoder` and `tlm_outputs` (each with
//! `class_name`, `config` and `state_dict`). A checkpoint of Lightning has these too, beside entries of its own.

mod error;
mod export;
mod import;
mod json;
mod options;
mod parameters;
#[cfg(test)]
mod tests;
mod training;
mod vocabulary;

pub use error::Error;
pub use export::{Exported, export};
pub use import::{Imported, Plugins, import};

/// OpenKiwi's version whose systems are read and written.
pub const VERSION: &str = "2.1.0";

const SYSTEM: &str = "Predictor";
const ENCODER: &str = "PredictorEncoder";
const HEAD: &str = "TLMOutputs";

/// What the names of the encoder's tensors begin with in a saved system.
const PREFIX: &str = "encoder.";
