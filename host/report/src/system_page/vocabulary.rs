//! What a saved system's vocabularies hold, as the page shows it.

use kiwi_core::saved_system::SystemHeader;
use kiwi_text::SPECIALS;

/// So many entries of a vocabulary can be searched on the page.
const SEARCHABLE: usize = 20_000;
/// Characters of an entry.
const CHARACTERS: usize = 100;

/// How many special tokens a vocabulary begins with.
pub(super) fn specials(words: &[String]) -> usize {
    words.iter().zip(SPECIALS).take_while(|(word, special)| word == special).count()
}

/// A vocabulary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vocabulary<'a> {
    /// Whose it is, as a heading and as the beginning of identifiers.
    pub(super) name: &'static str,
    /// The words in the order of their ids.
    pub(super) words: &'a [String],
    pub(super) specials: usize,
}

impl<'a> Vocabulary<'a> {
    fn new(name: &'static str, words: &'a [String]) -> Self {
        Self { name, words, specials: specials(words) }
    }

    /// The entries that are no special tokens, the most frequent first.
    pub(super) fn entries(&self) -> &'a [String] {
        &self.words[self.specials..]
    }

    /// Those that can be searched, cut to a length that a page has room for.
    pub(super) fn searchable(&self) -> impl ExactSizeIterator<Item = String> {
        self.entries().iter().take(SEARCHABLE).map(|word| crate::text::short(word, CHARACTERS))
    }
}

/// The vocabularies of a system: one where both sides share it.
pub(super) fn vocabularies(header: &SystemHeader) -> Vec<Vocabulary<'_>> {
    let (source, target) = (&header.source_vocabulary, &header.target_vocabulary);
    if source == target {
        vec![Vocabulary::new("Both sides", target)]
    } else {
        vec![Vocabulary::new("Source", source), Vocabulary::new("Target", target)]
    }
}
