//! What is odd in a corpus without being an error, counted, with the first places: for one warning each. Gathered while
//! the corpus is encoded; nothing is printed here.

use std::fmt::Write;

use crate::{Field, Location};

/// Places named in a message.
const FIRST: usize = 5;

/// How often something was met, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occurrences {
    /// How often.
    pub count: usize,
    /// The first places (at most five).
    pub first: Vec<Location>,
}

impl Occurrences {
    pub(crate) fn add(&mut self, place: impl FnOnce() -> Location) {
        self.count += 1;
        if self.first.len() < FIRST {
            self.first.push(place());
        }
    }

    /// The first places as text, for instance `a.src:3, a.src:8, …`.
    #[must_use]
    pub fn places(&self) -> String {
        let mut text = String::new();
        for place in &self.first {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}{place}");
        }
        if self.count > self.first.len() {
            text.push_str(", …");
        }
        text
    }
}

/// Pairs of which a side has no words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmptyPairs {
    /// Pairs with at least one empty side; each place is the pair's first empty side.
    pub pairs: Occurrences,
    /// Empty sentences, by field.
    pub by_field: Vec<(Field, usize)>,
}

/// The notes on a corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// How many pairs the corpus has.
    pub corpus_pairs: usize,
    /// Pairs with an empty side (nothing but white space).
    pub empty: EmptyPairs,
    /// Words spelled like special tokens, and the sentences they are in, by field.
    pub specials: Vec<(Field, usize, Occurrences)>,
    /// Carriage returns that end no line, and the lines they are in, by field.
    pub lone_carriage_returns: Vec<(Field, usize, Occurrences)>,
}

impl Notes {
    /// A complete sentence for each thing worth a warning; none for a clean corpus.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        let EmptyPairs { pairs, by_field } = &self.empty;
        if pairs.count > 0 {
            let sides: Vec<_> = by_field.iter().map(|(field, count)| format!("{count} {field}")).collect();
            messages.push(format!(
                "{} of {} have a side without words (empty lines: {}), at {}; an empty target adds nothing to the loss",
                pairs.count,
                plural(self.corpus_pairs, "pair"),
                sides.join(", "),
                pairs.places()
            ));
        }
        for (field, words, lines) in &self.specials {
            messages.push(format!(
                "{} in {} spelled like special tokens, at {}; they get the special token's id, and `<pad>`, `<bos>` and \
                 `<eos>` count neither in the loss nor in the metrics",
                plural(*words, &format!("{field} word")),
                plural(lines.count, "line") + if *words == 1 { " is" } else { " are" },
                lines.places()
            ));
        }
        for (field, count, lines) in &self.lone_carriage_returns {
            let (end, are) = if *count == 1 { ("ends", "is") } else { ("end", "are") };
            messages.push(format!(
                "{} in {} {end} no line (only LF and CR LF do) and {are} read as white space, at {}",
                plural(*count, "carriage return"),
                plural(lines.count, &format!("{field} line")),
                lines.places()
            ));
        }
        messages
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Gathers the notes of one chunk of pairs or of the whole corpus: places are pairs until [`NotesBuilder::finish`].
#[derive(Debug, Default)]
pub(crate) struct NotesBuilder {
    empty: Places,
    /// By field index.
    fields: [FieldNotes; 3],
}

#[derive(Debug, Default)]
struct FieldNotes {
    empty: usize,
    special_words: usize,
    special_lines: Places,
    carriage_returns: usize,
    carriage_return_lines: Places,
}

/// Like [`Occurrences`], by pair and field.
#[derive(Debug, Default)]
struct Places {
    count: usize,
    first: Vec<(usize, Field)>,
}

impl Places {
    fn add(&mut self, pair: usize, field: Field) {
        self.count += 1;
        if self.first.len() < FIRST {
            self.first.push((pair, field));
        }
    }

    fn append(&mut self, later: Self) {
        self.count += later.count;
        self.first.extend(later.first);
        self.first.truncate(FIRST);
    }

    fn finish(self, location: &impl Fn(usize, Field) -> Location) -> Occurrences {
        let first = self.first.into_iter().map(|(pair, field)| location(pair, field)).collect();
        Occurrences { count: self.count, first }
    }
}

impl NotesBuilder {
    pub(crate) fn empty_pair(&mut self, pair: usize, fields: &[Field]) {
        if let Some(first) = fields.first() {
            self.empty.add(pair, *first);
        }
        for field in fields {
            self.fields[field.index()].empty += 1;
        }
    }

    pub(crate) fn special_words(&mut self, pair: usize, field: Field, count: usize) {
        if count > 0 {
            let notes = &mut self.fields[field.index()];
            notes.special_words += count;
            notes.special_lines.add(pair, field);
        }
    }

    pub(crate) fn lone_carriage_returns(&mut self, pair: usize, field: Field, count: usize) {
        if count > 0 {
            let notes = &mut self.fields[field.index()];
            notes.carriage_returns += count;
            notes.carriage_return_lines.add(pair, field);
        }
    }

    /// Adds the notes of the pairs after these.
    pub(crate) fn append(&mut self, later: Self) {
        self.empty.append(later.empty);
        for (notes, later) in self.fields.iter_mut().zip(later.fields) {
            notes.empty += later.empty;
            notes.special_words += later.special_words;
            notes.special_lines.append(later.special_lines);
            notes.carriage_returns += later.carriage_returns;
            notes.carriage_return_lines.append(later.carriage_return_lines);
        }
    }

    pub(crate) fn finish(self, corpus_pairs: usize, location: impl Fn(usize, Field) -> Location) -> Notes {
        let mut notes = Notes { corpus_pairs, ..Notes::default() };
        notes.empty.pairs = self.empty.finish(&location);
        for (field, counted) in Field::ALL.into_iter().zip(self.fields) {
            if counted.empty > 0 {
                notes.empty.by_field.push((field, counted.empty));
            }
            if counted.special_words > 0 {
                let lines = counted.special_lines.finish(&location);
                notes.specials.push((field, counted.special_words, lines));
            }
            if counted.carriage_returns > 0 {
                let lines = counted.carriage_return_lines.finish(&location);
                notes.lone_carriage_returns.push((field, counted.carriage_returns, lines));
            }
        }
        notes
    }
}
