//! What a system makes of a corpus, taken in line by line ([`pair`]) and kept in bounded memory: sums over all pairs, counts
//! ([`histogram`]), and of the pairs themselves the most and the least surprising and a sample ([`kept`]).
//!
//! The surprise of a word is its negative log-likelihood in nats, that of a sentence the mean over its words that are counted; the
//! perplexity is the exponential of a mean surprise.

mod groups;
mod histogram;
mod kept;
mod pair;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use kiwi_core::saved_system::SystemHeader;

pub(crate) use groups::{Group, Groups, Named};
pub(crate) use histogram::Histogram;
pub(crate) use pair::Evaluated;
pub(crate) use words::{Entries, RankedWord};

use super::vocabulary::specials;
use crate::text;
use kept::{Largest, drawn};
use pair::{Line, Pair, line};

/// Words of a sentence that are shown.
const WORDS: usize = 400;
/// Characters of a word that are shown.
const CHARACTERS: usize = 200;

/// A system's vocabulary, asked by word.
#[derive(Debug)]
struct Ids {
    ids: HashMap<String, u32>,
    specials: u32,
}

impl Ids {
    fn kind(&self, word: &str) -> (u32, Kind) {
        match self.ids.get(word) {
            Some(id) if *id < self.specials => (*id, Kind::Special),
            Some(id) => (*id, Kind::Known),
            None => (0, Kind::Unknown),
        }
    }
}

/// What a word is to a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Known,
    /// Not in the vocabulary: the system sees `<unk>`.
    Unknown,
    /// Spelled like a special token.
    Special,
}

/// A word that is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// `None` of words that are not predicted or not counted.
    pub(crate) nll: Option<f64>,
}

/// A sentence that is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sentence {
    pub(crate) words: Vec<Word>,
    /// Words at its end that are not shown.
    pub(crate) more: usize,
}

/// A pair that is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// Its number in the corpus, from 1.
    pub(crate) number: u64,
    pub(crate) source: Sentence,
    pub(crate) target: Sentence,
    pub(crate) post_edit: Option<Sentence>,
    /// Words of the target that count.
    pub(crate) words: u64,
    /// The sum of their surprises in nats.
    pub(crate) nll: f64,
}

impl Shown {
    /// Mean surprise of its words in nats.
    pub(crate) fn mean(&self) -> f64 {
        self.nll / self.words as f64
    }
}

/// Why a pair is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Chosen {
    pub(crate) most: bool,
    pub(crate) least: bool,
    pub(crate) sample: bool,
}

/// Words of one side of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Side {
    /// All words.
    pub(crate) words: u64,
    /// Those that are not in the vocabulary.
    pub(crate) unknown: u64,
    /// Those that count in the surprise.
    pub(crate) counted: u64,
    /// The sum of their surprises in nats.
    pub(crate) nll: f64,
}

impl Side {
    /// Mean surprise in nats, where words count.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.counted > 0).then(|| self.nll / self.counted as f64)
    }
}

/// What a system made of a corpus.
#[derive(Debug)]
pub struct Reading {
    source_ids: HashSet<String>,
    target_ids: Ids,
    pub(crate) pairs: u64,
    /// Pairs of whose target no word counts; they have no mean.
    pub(crate) without_words: u64,
    pub(crate) source: Side,
    pub(crate) target: Side,
    pub(crate) post_edit: Option<Side>,
    pub(crate) sentences: Histogram,
    pub(crate) words: Histogram,
    pub(crate) groups: Groups,
    pub(crate) entries: Entries,
    /// At most so many pairs are shown for each reason.
    pub(crate) shown_of_each: usize,
    most: Largest<Rc<Shown>>,
    least: Largest<Rc<Shown>>,
    sample: Largest<Rc<Shown>>,
    pub(crate) evaluated: Option<Evaluated>,
}

impl Reading {
    /// Nothing yet of a corpus for the system of this header, of which `shown_of_each` pairs are to be shown as the most surprising,
    /// as the least surprising and as a sample.
    #[must_use]
    pub fn new(header: &SystemHeader, shown_of_each: usize) -> Self {
        let ids = (0..).zip(&header.target_vocabulary).map(|(id, word)| (word.clone(), id)).collect();
        Self {
            source_ids: header.source_vocabulary.iter().cloned().collect(),
            target_ids: Ids { ids, specials: specials(&header.target_vocabulary) as u32 },
            pairs: 0,
            without_words: 0,
            source: Side::default(),
            target: Side::default(),
            post_edit: None,
            sentences: Histogram::default(),
            words: Histogram::default(),
            groups: Groups::default(),
            entries: Entries::new(&header.target_vocabulary),
            shown_of_each,
            most: Largest::new(shown_of_each),
            least: Largest::new(shown_of_each),
            sample: Largest::new(shown_of_each),
            evaluated: None,
        }
    }

    /// Takes in a line of the engine's data.
    ///
    /// # Errors
    /// It is none that is known.
    pub fn take(&mut self, text: &str) -> Result<(), serde_json::Error> {
        match line(text)? {
            Line::Pair(pair) => self.pair(&pair),
            Line::Evaluated(evaluated) => self.evaluated = Some(evaluated),
        }
        Ok(())
    }

    fn pair(&mut self, pair: &Pair) {
        self.pairs += 1;
        self.source.words += pair.source.len() as u64;
        self.source.unknown +=
            pair.source.iter().filter(|word| !self.source_ids.contains(*word)).count() as u64;
        let (mut counted, mut sum) = (0, 0.0);
        for (word, nll) in pair.words.iter().zip(&pair.word_nll) {
            let (id, kind) = self.target_ids.kind(word);
            self.target.words += 1;
            self.target.unknown += u64::from(kind == Kind::Unknown);
            let Some(nll) = nll.map(|nll| nll.0) else { continue };
            counted += 1;
            sum += nll;
            self.words.add(nll);
            self.entries.add(id, nll);
            let rank = (kind == Kind::Known).then(|| u64::from(id - self.target_ids.specials) + 1);
            self.groups.word(rank, nll);
        }
        self.target.counted += counted;
        self.target.nll += sum;
        if let Some(post_edit) = &pair.post_edit {
            let side = self.post_edit.get_or_insert_default();
            side.words += post_edit.words.len() as u64;
            let unknown = post_edit.words.iter().filter(|word| self.target_ids.kind(word).1 == Kind::Unknown);
            side.unknown += unknown.count() as u64;
            for nll in post_edit.word_nll.iter().flatten() {
                side.counted += 1;
                side.nll += nll.0;
            }
        }
        if counted == 0 {
            self.without_words += 1;
            return;
        }
        let mean = sum / counted as f64;
        self.sentences.add(mean);
        self.groups.sentence(counted, sum);
        self.keep(pair, counted, sum);
    }

    fn keep(&mut self, pair: &Pair, words: u64, nll: f64) {
        // What is no number is the first to be looked at.
        let mean = nll / words as f64;
        let (most, least) = if mean.is_nan() { (f64::NAN, f64::NEG_INFINITY) } else { (mean, -mean) };
        let sample = drawn(pair.pair);
        let keys = [most, least, sample];
        let number = pair.pair;
        let heaps = [&self.most, &self.least, &self.sample];
        let admitted = [0, 1, 2].map(|place| heaps[place].admits(keys[place], number));
        if !admitted.contains(&true) {
            return;
        }
        let shown = Rc::new(Shown {
            number,
            source: self.shown_source(&pair.source),
            target: self.shown_target(&pair.words, &pair.word_nll),
            post_edit: pair
                .post_edit
                .as_ref()
                .map(|sentence| self.shown_target(&sentence.words, &sentence.word_nll)),
            words,
            nll,
        });
        let heaps = [&mut self.most, &mut self.least, &mut self.sample];
        for ((heap, key), admitted) in heaps.into_iter().zip(keys).zip(admitted) {
            if admitted {
                heap.push(key, number, Rc::clone(&shown));
            }
        }
    }

    fn shown_source(&self, words: &[String]) -> Sentence {
        let shown = words.iter().take(WORDS).map(|word| Word {
            text: text::short(word, CHARACTERS),
            kind: if self.source_ids.contains(word) { Kind::Known } else { Kind::Unknown },
            nll: None,
        });
        Sentence { words: shown.collect(), more: words.len().saturating_sub(WORDS) }
    }

    fn shown_target(&self, words: &[String], nll: &[Option<kiwi_tracking::number::Number>]) -> Sentence {
        let shown = words.iter().zip(nll).take(WORDS).map(|(word, nll)| Word {
            text: text::short(word, CHARACTERS),
            kind: self.target_ids.kind(word).1,
            nll: nll.map(|nll| nll.0),
        });
        Sentence { words: shown.collect(), more: words.len().saturating_sub(WORDS) }
    }

    /// The pairs that are shown with why, the most surprising first.
    pub(crate) fn shown(&self) -> Vec<(Rc<Shown>, Chosen)> {
        let mut all: BTreeMap<u64, (Rc<Shown>, Chosen)> = BTreeMap::new();
        let mut add = |heap: &Largest<Rc<Shown>>, choose: fn(&mut Chosen)| {
            for (number, shown) in heap.items() {
                let entry = all.entry(number).or_insert_with(|| (Rc::clone(shown), Chosen::default()));
                choose(&mut entry.1);
            }
        };
        add(&self.most, |chosen| chosen.most = true);
        add(&self.least, |chosen| chosen.least = true);
        add(&self.sample, |chosen| chosen.sample = true);
        let mut shown: Vec<_> = all.into_values().collect();
        // Stable: equal ones stay in the order of the corpus.
        shown.sort_by(|(a, _), (b, _)| surprise(b).total_cmp(&surprise(a)));
        shown
    }

    /// Whether every pair that has words is shown.
    pub(crate) fn shows_all(&self) -> bool {
        self.pairs - self.without_words <= self.shown_of_each as u64
    }
}

/// What pairs are sorted by: what is no number comes first.
fn surprise(shown: &Shown) -> f64 {
    let mean = shown.mean();
    if mean.is_nan() { f64::NAN } else { mean }
}
