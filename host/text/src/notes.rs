//! What is odd in a corpus without being an error, counted, with the first places: for one warning each. Gathering it is
//! `noting`'s; nothing is printed here.

use std::fmt::Write;

use crate::{Field, Location};

/// Places named in a message.
pub(crate) const FIRST: usize = 5;

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
    /// NUL characters, and the lines they are in, by field.
    pub nuls: Vec<(Field, usize, Occurrences)>,
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
        for (field, count, lines) in &self.nuls {
            messages.push(format!(
                "{} in {} {} read as part of words: no text has them, so the file may be damaged, at {}",
                plural(*count, "NUL character"),
                plural(lines.count, &format!("{field} line")),
                if *count == 1 { "is" } else { "are" },
                lines.places()
            ));
        }
        messages
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
