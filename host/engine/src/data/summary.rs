//! What is worth saying about corpora and vocabularies, as data and as lines of the log.

use std::fmt;
use std::path::PathBuf;

use kiwi_text::{EncodedCorpus, Field, FitStatistics};
use serde_json::{Value, json};

/// All of it.
pub(crate) struct Summary {
    /// How the training corpus was split, if it was.
    pub(crate) split: Option<String>,
    pub(crate) vocabularies: Vec<VocabularySummary>,
    /// The training corpus, then the validation sets.
    pub(crate) corpora: Vec<CorpusSummary>,
}

impl Summary {
    /// As lines of the log.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let vocabularies = self.vocabularies.iter().map(ToString::to_string);
        self.split.iter().cloned().chain(vocabularies).chain(self.corpora.iter().map(ToString::to_string))
    }
}

/// A vocabulary: `source`, `target` or `shared`.
pub(crate) struct VocabularySummary {
    pub(crate) name: String,
    /// Special tokens included.
    pub(crate) entries: usize,
    /// What it covers of the text it was fitted on, if it was.
    pub(crate) fit: Option<FitStatistics>,
    /// The saved system it was taken from, if it was.
    pub(crate) taken_from: Option<PathBuf>,
}

impl VocabularySummary {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "entries": self.entries,
            "types": self.fit.map(|fit| fit.types),
            "types_kept": self.fit.map(|fit| fit.kept_types),
            "taken_from": self.taken_from,
        })
    }
}

impl fmt::Display for VocabularySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vocabulary: {} entries", self.name, self.entries)?;
        if let Some(fit) = &self.fit {
            write!(
                f,
                " (5 special tokens, {} of {}); {} of {} become <unk>",
                fit.kept_types,
                counted(fit.types, "type"),
                percent(fit.unknown_words, fit.running_words),
                counted(fit.running_words, "running word")
            )?;
        }
        match &self.taken_from {
            Some(file) => write!(f, ", taken over from {}", file.display()),
            None => Ok(()),
        }
    }
}

/// A corpus and its batches.
pub(crate) struct CorpusSummary {
    pub(crate) name: String,
    pub(crate) pairs: usize,
    /// Of each field: its name, its words, and how many of these are `<unk>`.
    pub(crate) words: Vec<(&'static str, u64, u64)>,
    /// Of the first epoch.
    pub(crate) batches: usize,
}

impl CorpusSummary {
    pub(crate) fn new(name: impl Into<String>, corpus: &EncodedCorpus, batches: usize) -> Self {
        let fields = Field::ALL.into_iter().filter(|field| corpus.has(*field));
        let words = fields
            .map(|field| (field.name(), corpus.running_words(field), corpus.unknown_words(field)))
            .collect();
        Self { name: name.into(), pairs: corpus.pairs(), words, batches }
    }

    pub(crate) fn to_json(&self) -> Value {
        let words: serde_json::Map<_, _> = self
            .words
            .iter()
            .map(|(field, words, unknown)| ((*field).to_owned(), json!({"words": words, "unknown": unknown})))
            .collect();
        json!({"name": self.name, "pairs": self.pairs, "fields": words, "batches": self.batches})
    }
}

impl fmt::Display for CorpusSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} corpus: {}", self.name, counted(self.pairs, "pair"))?;
        for (field, words, unknown) in &self.words {
            write!(
                f,
                ", {} ({} <unk>)",
                counted(*words, &format!("{field} word")),
                percent(*unknown, *words)
            )?;
        }
        write!(f, ", {}", counted(self.batches, "batch"))
    }
}

/// A count with its noun, as `1 pair` and `2 pairs`.
pub(crate) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    match count {
        1 => format!("1 {noun}"),
        _ if noun.ends_with("batch") => format!("{count} {noun}es"),
        _ => format!("{count} {noun}s"),
    }
}

/// A share in per cent, with two digits behind the point.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    format!("{:.2} %", 100.0 * part as f64 / whole.max(1) as f64)
}
