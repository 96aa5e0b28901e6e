//! What encoder and head need of the corpora and of the rest of a run. Their checked configs say it, so that the host knows it
//! before a corpus is read and can refuse what would fail hours later.
//!
//! ```
//! use kiwi_plugin_api::{EncoderNeeds, HeadNeeds};
//!
//! let encoder = EncoderNeeds::default().longest("target", 512, "max_positions").carries_state();
//! let head = HeadNeeds::default().features(["target_logits"]);
//! # assert!(encoder.carries_state && head.features.is_some());
//! ```

use serde::{Deserialize, Serialize};

/// What an encoder needs; by default nothing but `source` and `target`, of any length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EncoderNeeds {
    /// Fields of a batch that it reads besides `source` and `target`.
    pub fields: Vec<NeededField>,
    /// The longest sentences it can take.
    pub longest: Vec<LongestSentence>,
    /// Parameters whose gradients are sparse, which some optimizers refuse.
    pub sparse_gradients: Vec<SparseGradient>,
    /// Whether it carries state from batch to batch: see [`crate::Encoder::reset_state`].
    pub carries_state: bool,
}

impl EncoderNeeds {
    /// It reads `field` besides `source` and `target`, because of `option`, as [`NeededField`].
    #[must_use]
    pub fn reads(mut self, field: impl Into<String>, option: impl Into<String>) -> Self {
        self.fields.push(NeededField::new(field, option));
        self
    }

    /// It takes so many positions of `field`, as `option` says and [`LongestSentence`] counts.
    #[must_use]
    pub fn longest(mut self, field: impl Into<String>, positions: i64, option: impl Into<String>) -> Self {
        self.longest.push(LongestSentence { field: field.into(), positions, option: option.into() });
        self
    }

    /// The gradient of `parameter` is sparse, because of `option`, as [`SparseGradient`].
    #[must_use]
    pub fn sparse_gradient(mut self, parameter: impl Into<String>, option: impl Into<String>) -> Self {
        self.sparse_gradients.push(SparseGradient { parameter: parameter.into(), option: option.into() });
        self
    }

    /// It carries state from batch to batch.
    #[must_use]
    pub fn carries_state(mut self) -> Self {
        self.carries_state = true;
        self
    }
}

/// What a head needs; by default nothing but `source` and `target`, and every feature that the encoder can give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HeadNeeds {
    /// Fields of a batch that it reads besides `source` and `target`.
    pub fields: Vec<NeededField>,
    /// The features that it reads. An encoder need not compute any other. `None` for all that there are.
    pub features: Option<Vec<String>>,
    /// Parameters whose gradients are sparse, which some optimizers refuse.
    pub sparse_gradients: Vec<SparseGradient>,
}

impl HeadNeeds {
    /// It reads `field` besides `source` and `target`, because of `option`, as [`NeededField`].
    #[must_use]
    pub fn reads(mut self, field: impl Into<String>, option: impl Into<String>) -> Self {
        self.fields.push(NeededField::new(field, option));
        self
    }

    /// It reads these features, besides those named before, and no other.
    #[must_use]
    pub fn features<T: Into<String>>(mut self, features: impl IntoIterator<Item = T>) -> Self {
        self.features.get_or_insert_default().extend(features.into_iter().map(Into::into));
        self
    }

    /// The gradient of `parameter` is sparse, because of `option`, as [`SparseGradient`].
    #[must_use]
    pub fn sparse_gradient(mut self, parameter: impl Into<String>, option: impl Into<String>) -> Self {
        self.sparse_gradients.push(SparseGradient { parameter: parameter.into(), option: option.into() });
        self
    }
}

/// A field of a batch that a component reads besides `source` and `target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NeededField {
    /// Its name: `pe` for the post-edits.
    pub field: String,
    /// The option that asks for it, a path below the component's part of the config; empty where it always needs the field.
    pub option: String,
}

impl NeededField {
    /// The field `field`, because of `option`.
    #[must_use]
    pub fn new(field: impl Into<String>, option: impl Into<String>) -> Self {
        Self { field: field.into(), option: option.into() }
    }
}

/// The longest sentence of a field that an encoder can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LongestSentence {
    /// Name of the field.
    pub field: String,
    /// Positions, `<bos>` and `<eos>` counted: two more than words.
    pub positions: i64,
    /// The option that sets the limit, a path below the component's part of the config; empty where none does.
    pub option: String,
}

/// A parameter whose gradient is sparse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SparseGradient {
    /// Name of the parameter, among the component's own.
    pub parameter: String,
    /// The option that asks for it, a path below the component's part of the config; empty where none does.
    pub option: String,
}
