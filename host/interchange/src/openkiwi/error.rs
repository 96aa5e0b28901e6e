//! What can be wrong with a system, once its file could be read.

use kiwi_core::diagnostic::Diagnostic;

use crate::pickle::ElementType;
use crate::tensor;

/// An error with a system of OpenKiwi, or with one that is to become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Some other value than a system.
    #[error("it holds no system of OpenKiwi but {found}")]
    NotSystem {
        /// What it holds.
        found: String,
    },
    /// An entry that every system has.
    #[error("it lacks the entry `{path}`")]
    Missing {
        /// Where it belongs.
        path: String,
    },
    /// An entry of another type.
    #[error("its entry `{path}` is {found}")]
    Type {
        /// Where.
        path: String,
        /// What is there.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A class that is not here.
    #[error("its {part} is a `{found}`")]
    Class {
        /// System, encoder or head.
        part: &'static str,
        /// The class.
        found: String,
        /// The class that is here.
        expected: &'static str,
    },
    /// An option that works differently here or not at all.
    #[error("it was made with `{path}` {found}, {why}")]
    Option {
        /// Where.
        path: String,
        /// Its value, as JSON.
        found: String,
        /// The value that works.
        expected: String,
        /// What it would do.
        why: &'static str,
    },
    /// An option that is not known.
    #[error("it has an option that is not known, `{path}`")]
    UnknownOption {
        /// Where.
        path: String,
        /// Its value, as JSON.
        found: String,
        /// What is known there.
        known: Vec<&'static str>,
    },
    /// Values within values without end, or more of them than any system has.
    #[error("its entry `{path}` is nested or repeated without end")]
    Endless {
        /// Where.
        path: String,
    },
    /// A vocabulary with other special tokens.
    #[error("its {side} vocabulary does not begin with the special tokens")]
    Specials {
        /// Which side's.
        side: &'static str,
        /// What it begins with.
        found: Vec<String>,
    },
    /// A word with two ids.
    #[error("its {side} vocabulary has {word:?} twice, as entries {first} and {second}")]
    Repeated {
        /// Which side's.
        side: &'static str,
        /// The word.
        word: String,
        /// Its first id.
        first: usize,
        /// Its second.
        second: usize,
    },
    /// Two vocabularies where the system has one.
    #[error("it shares one vocabulary between both sides, and has two")]
    NotShared,
    /// A tensor of another type.
    #[error("its tensor `{name}` is a {}", found.storage())]
    ElementType {
        /// The tensor.
        name: String,
        /// Its storage.
        found: ElementType,
    },
    /// A tensor of another type in a saved system.
    #[error("its tensor `{name}` is of type {found}")]
    SavedType {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor that does not fit its storage.
    #[error("its tensor `{name}` {cause}")]
    Tensor {
        /// The tensor.
        name: String,
        /// Why.
        cause: tensor::Error,
    },
    /// A tensor of another shape.
    #[error("its tensor `{name}` has the shape {found:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that options and vocabularies give it.
        expected: Vec<usize>,
    },
    /// A state dict of no tensors.
    #[error("it has vocabularies and options, and no weights")]
    NoWeights,
    /// Tensors that the options call for.
    #[error("it lacks {} of the encoder's tensors: {}", names.len(), listed(names))]
    MissingTensors {
        /// Their names.
        names: Vec<String>,
    },
    /// Tensors that no option calls for.
    #[error("it has {} tensors that its options do not call for: {}", names.len(), listed(names))]
    ExtraTensors {
        /// Their names.
        names: Vec<String>,
    },
    /// A head with parameters.
    #[error("its head has tensors, and `TLMOutputs` has none: {}", listed(names))]
    HeadTensors {
        /// Their names.
        names: Vec<String>,
    },
    /// Two tensors that are one by the options and have different values.
    #[error("it shares its embeddings, and `{second}` is not `{first}`")]
    NotTied {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

impl Error {
    /// The complaint with what was expected and what to do.
    pub(crate) fn complete(&self, error: Diagnostic) -> Diagnostic {
        match self {
            Self::NotSystem { .. } | Self::Missing { .. } => error
                .expected("a dictionary with class_name, config, vocab, encoder and tlm_outputs")
                .help("name a system that OpenKiwi's pretraining saved, not one for quality estimation or a bare state dict"),
            Self::Type { expected, .. } => error.expected(*expected).help("get a complete copy of the system"),
            Self::Class { expected, .. } => error.expected(format!("`{expected}`")).help(
                "only systems of the class Predictor travel between OpenKiwi and this program: PredictorEncoder with TLMOutputs",
            ),
            Self::Option { expected, .. } => {
                error.expected(expected.clone()).help("train the system anew with this option as expected")
            }
            Self::UnknownOption { found, known, .. } => error
                .note(format!("its value is {found}"))
                .expected(format!("one of {}", known.join(", ")))
                .help("give a system that OpenKiwi 2.1.0 saved"),
            Self::Specials { found, .. } => error
                .note(format!("it begins with {}", found.join(" ")))
                .expected(super::vocabulary::SPECIALS.join(" "))
                .help("only vocabularies of OpenKiwi 2 begin so; those of version 0.3 and before do not"),
            Self::ElementType { .. } => {
                error.expected("a FloatStorage").help("save it once more after `.float()` on its encoder")
            }
            Self::NoWeights => error.help("give the system with its weights: this one is for `load_vocabs` of OpenKiwi"),
            Self::SavedType { .. } => error.expected("F32").help("save the system with parameters of 32 bits"),
            Self::Shape { expected, .. } => {
                error.expected(format!("{expected:?}, by its options and vocabularies")).help(DIFFERENT)
            }
            Self::MissingTensors { .. } | Self::ExtraTensors { .. } | Self::NotTied { .. } => error.help(DIFFERENT),
            Self::Endless { .. } => error.help("no program of OpenKiwi writes such a file: do not trust it"),
            Self::Repeated { .. } | Self::NotShared | Self::Tensor { .. } | Self::HeadTensors { .. } => {
                error.help("get a complete and unchanged copy of the system")
            }
        }
    }
}

const DIFFERENT: &str = "options and tensors do not belong together: get the system as it was saved";

/// The first few of many names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        shown += " and others";
    }
    shown
}
