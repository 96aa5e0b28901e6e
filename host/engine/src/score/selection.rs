//! Which pairs are kept, and the count of what became of all.

use kiwi_core::scoring::KeepRule;
use kiwi_text::{EncodedCorpus, Field};
use serde::{Deserialize, Serialize};

use super::figures::Figures;

/// What became of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// Its perplexity is over the threshold.
    OverThreshold,
    /// A side has no words, or no target word counts.
    WithoutWords,
    /// It is longer than what is scored.
    TooLong,
    /// Its perplexity is no number.
    NotANumber,
}

/// The fate of a pair of a window by the highest perplexity that is kept. A perplexity without bound is over every threshold.
pub(super) fn fate(corpus: &EncodedCorpus, pair: usize, figures: Option<&Figures>, threshold: f64) -> Fate {
    match perplexity(corpus, pair, figures) {
        Ok(perplexity) if perplexity <= threshold => Fate::Kept,
        Ok(_) => Fate::OverThreshold,
        Err(fate) => fate,
    }
}

/// The perplexity that a pair is judged by, or why there is none.
pub(super) fn perplexity(
    corpus: &EncodedCorpus,
    pair: usize,
    figures: Option<&Figures>,
) -> Result<f64, Fate> {
    let figures = figures.ok_or(Fate::TooLong)?;
    if [Field::Source, Field::Target].iter().any(|field| corpus.sentence(pair, *field).is_empty()) {
        return Err(Fate::WithoutWords);
    }
    let perplexity = figures.target.totals().perplexity().ok_or(Fate::WithoutWords)?;
    if perplexity.is_nan() { Err(Fate::NotANumber) } else { Ok(perplexity) }
}

/// How many pairs there were of each fate, and their target words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) pairs: u64,
    pub(super) words: u64,
    pub(super) kept: u64,
    pub(super) kept_words: u64,
    pub(super) over_threshold: u64,
    pub(super) without_words: u64,
    pub(super) too_long: u64,
    pub(super) not_a_number: u64,
}

impl Counts {
    /// Counts a pair of so many target words.
    pub(super) fn add(&mut self, fate: Option<Fate>, words: usize) {
        let words = words as u64;
        self.pairs += 1;
        self.words += words;
        match fate {
            None => {}
            Some(Fate::Kept) => {
                self.kept += 1;
                self.kept_words += words;
            }
            Some(Fate::OverThreshold) => self.over_threshold += 1,
            Some(Fate::WithoutWords) => self.without_words += 1,
            Some(Fate::TooLong) => self.too_long += 1,
            Some(Fate::NotANumber) => self.not_a_number += 1,
        }
    }

    /// In one line, for people.
    pub(super) fn summary(&self, rule: Option<KeepRule>) -> String {
        let read = format!("{} pairs of {} target words scored", self.pairs, self.words);
        let Some(rule) = rule else { return read };
        let share = |part: u64| 100.0 * part as f64 / self.pairs.max(1) as f64;
        let dropped = self.pairs - self.kept;
        let reasons: Vec<String> = [
            (self.over_threshold, "over the threshold"),
            (self.without_words, "with a side without words"),
            (self.too_long, "too long"),
            (self.not_a_number, "of a perplexity that is no number"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
        let by = match rule {
            KeepRule::Threshold(threshold) => format!("perplexity at most {threshold}"),
            KeepRule::Best(best) => format!("the best {best}"),
        };
        format!(
            "{read}; {} kept ({:.2} %; {by}), {} words; {dropped} dropped ({:.2} %){reasons}",
            self.kept,
            share(self.kept),
            self.kept_words,
            share(dropped)
        )
    }
}
