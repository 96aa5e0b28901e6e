//! What the engine says of a corpus that a system is run on: a line of JSON for each pair, as `kiwi-host score` has it and with the
//! source's words besides, and at the end the line of `kiwi-host evaluate`.

use std::collections::BTreeMap;

use kiwi_tracking::number::Number;
use serde::Deserialize;

/// A line.
#[derive(Debug)]
pub(super) enum Line {
    Pair(Pair),
    Evaluated(Evaluated),
}

/// The score of a pair.
#[derive(Debug, Deserialize)]
pub(super) struct Pair {
    /// Its number in the corpus, from 1.
    pub(super) pair: u64,
    /// The words of the source.
    pub(super) source: Vec<String>,
    pub(super) words: Vec<String>,
    /// The negative log-likelihood of each in nats; `None` for a word that is not counted.
    pub(super) word_nll: Vec<Option<Number>>,
    /// Of its post-edit, where the system predicts it.
    #[serde(rename = "pe")]
    pub(super) post_edit: Option<Sentence>,
}

/// The score of a further sentence.
#[derive(Debug, Deserialize)]
pub(super) struct Sentence {
    pub(super) words: Vec<String>,
    pub(super) word_nll: Vec<Option<Number>>,
}

/// The figures of the whole corpus.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Evaluated {
    pub(crate) pairs: u64,
    /// Mean of the batch losses.
    pub(crate) loss: Number,
    /// `None` where a metric has nothing to say.
    pub(crate) metrics: BTreeMap<String, Option<Number>>,
}

/// Reads a line.
///
/// # Errors
/// It is neither.
pub(super) fn line(text: &str) -> Result<Line, serde_json::Error> {
    serde_json::from_str(text).map(Line::Pair).or_else(|error| {
        // The only line of its kind: what is wrong with any other is wrong with a pair.
        serde_json::from_str(text).map(Line::Evaluated).map_err(|_| error)
    })
}
