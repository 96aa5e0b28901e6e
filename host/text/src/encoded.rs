//! A parallel corpus as word ids, what batches are made from: held, or in a file of the cache. Making it from text is
//! `encoding`'s, keeping it in the cache `cache`'s, making batches `batch`'s.

use std::sync::Arc;

use crate::{
    Field, Limits, Location, Notes, ParallelCorpus, Result, Vocabulary, encoding, field::Origins,
    noting::NotesBuilder, numbers::Numbers,
};

/// The vocabularies of both sides; one and the same when they are shared. The target's serves for post-edits.
#[derive(Debug, Clone)]
pub struct Vocabularies {
    /// The source's.
    pub source: Arc<Vocabulary>,
    /// The target's.
    pub target: Arc<Vocabulary>,
}

impl Vocabularies {
    /// The fields that a shared vocabulary is fitted on, in this order.
    pub const SHARED: [Field; 2] = [Field::Target, Field::Source];

    /// One vocabulary for both sides.
    #[must_use]
    pub fn shared(vocabulary: Vocabulary) -> Self {
        let shared = Arc::new(vocabulary);
        Self { source: Arc::clone(&shared), target: shared }
    }

    /// One vocabulary for both sides, fitted on the target's lines and the source's within the target's limits.
    ///
    /// # Errors
    /// As for [`Vocabulary::fit`].
    pub fn fit_shared(corpus: &ParallelCorpus, limits: Limits) -> Result<(Self, crate::FitStatistics)> {
        let fitted = Vocabulary::fit(corpus, &Self::SHARED, limits)?;
        Ok((Self::shared(fitted.vocabulary), fitted.statistics))
    }

    /// Whether both sides have one vocabulary.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::ptr_eq(&self.source, &self.target)
    }

    /// The vocabulary of a field.
    #[must_use]
    pub fn of(&self, field: Field) -> &Arc<Vocabulary> {
        match field {
            Field::Source => &self.source,
            Field::Target | Field::PostEdit => &self.target,
        }
    }
}

/// The ids of all words of a parallel corpus, 4 bytes a word and 8 a sentence, held or mapped from the cache. The files of the
/// text are no longer needed, and what happens to them changes nothing here.
#[derive(Debug)]
pub struct EncodedCorpus {
    pub(crate) numbers: EncodedNumbers,
    pub(crate) facts: EncodedFacts,
    /// By field index.
    origins: Vec<Origins>,
    selection: Option<Arc<[u32]>>,
    notes: Notes,
}

/// The large arrays of an encoded corpus, pair by pair, the fields of a pair one after the other: a batch finds both sides of
/// a pair near each other.
#[derive(Debug)]
pub(crate) struct EncodedNumbers {
    /// Where each sentence starts in `ids`, and where the last ends.
    pub(crate) offsets: Numbers<u64>,
    pub(crate) ids: Numbers<u32>,
}

/// What is known of an encoded corpus beside its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EncodedFacts {
    pub(crate) fields: usize,
    pub(crate) pairs: usize,
    /// By field index.
    pub(crate) words: [u64; 3],
    /// Of these the `<unk>`, by field index.
    pub(crate) unknown_words: [u64; 3],
}

impl EncodedCorpus {
    /// Encodes a corpus into memory, using all cores; a word that its vocabulary lacks becomes `<unk>`.
    ///
    /// # Errors
    /// A file was changed meanwhile.
    pub fn encode(corpus: &ParallelCorpus, vocabularies: &Vocabularies) -> Result<Self> {
        let mut offsets = Vec::with_capacity(corpus.pairs() * corpus.fields().count() + 1);
        let mut ids = Vec::new();
        let (facts, notes) = encoding::encode(corpus, vocabularies, |some_offsets, some_ids| {
            offsets.extend_from_slice(some_offsets);
            ids.extend_from_slice(some_ids);
            Ok::<_, crate::Error>(())
        })?;
        ids.shrink_to_fit();
        let numbers = EncodedNumbers { offsets: Numbers::Held(offsets), ids: Numbers::Held(ids) };
        Ok(Self::new(corpus, numbers, facts, notes))
    }

    pub(crate) fn new(
        corpus: &ParallelCorpus,
        numbers: EncodedNumbers,
        facts: EncodedFacts,
        notes: NotesBuilder,
    ) -> Self {
        let sides = corpus.fields().filter_map(|field| corpus.side(field));
        let origins: Vec<Origins> = sides.map(|side| side.origins().clone()).collect();
        let location = |pair, field: Field| origins[field.index()].location(corpus.line(pair));
        let notes = notes.finish(corpus.pairs(), location);
        Self { numbers, facts, origins, selection: corpus.selection(), notes }
    }

    /// That of some pairs of a larger corpus, whose lines stand where `origins` says; what is odd is noted elsewhere.
    pub(crate) fn of_window(numbers: EncodedNumbers, facts: EncodedFacts, origins: Vec<Origins>) -> Self {
        Self { numbers, facts, origins, selection: None, notes: Notes::default() }
    }

    /// How many pairs there are.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.facts.pairs
    }

    /// The fields that there are.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        Field::ALL.into_iter().take(self.facts.fields)
    }

    /// Whether there is such a field.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        field.index() < self.facts.fields
    }

    /// The ids of a sentence's words, without `<bos>` and `<eos>`; nothing when the corpus has no such field.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn sentence(&self, pair: usize, field: Field) -> &[u32] {
        if !self.has(field) {
            return &[];
        }
        let at = pair * self.facts.fields + field.index();
        let ends = &self.numbers.offsets[at..at + 2];
        &self.numbers.ids[ends[0] as usize..ends[1] as usize]
    }

    /// How many words a field has in all pairs.
    #[must_use]
    pub fn running_words(&self, field: Field) -> u64 {
        self.facts.words[field.index()]
    }

    /// How many of these are `<unk>`.
    #[must_use]
    pub fn unknown_words(&self, field: Field) -> u64 {
        self.facts.unknown_words[field.index()]
    }

    /// The pair with a field's longest sentence (the first of equals) and its words; `None` when there is no such field.
    #[must_use]
    pub fn longest(&self, field: Field) -> Option<(usize, usize)> {
        let lengths = self.lengths();
        let lengths =
            self.has(field).then(|| (0..self.pairs()).map(|pair| (pair, lengths.of(pair, field))))?;
        lengths.reduce(|longest, next| if next.1 > longest.1 { next } else { longest })
    }

    /// The words of each sentence, without going to the ids.
    pub(crate) fn lengths(&self) -> Lengths<'_> {
        Lengths { offsets: &self.numbers.offsets, fields: self.facts.fields }
    }

    /// The bytes of the ids and the offsets, held or mapped.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (size_of_val(&*self.numbers.offsets) + size_of_val(&*self.numbers.ids)) as u64
    }

    /// File and line of one side of a pair; `None` when there is no such field.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn location(&self, pair: usize, field: Field) -> Option<Location> {
        let line = self.selection.as_ref().map_or(pair, |selection| selection[pair] as usize);
        Some(self.origins.get(field.index())?.location(line))
    }

    /// What is odd in the corpus.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }
}

/// The lengths of the sentences of an encoded corpus.
#[derive(Clone, Copy)]
pub(crate) struct Lengths<'a> {
    offsets: &'a [u64],
    fields: usize,
}

impl Lengths<'_> {
    /// The words of a field that the corpus has.
    pub(crate) fn of(&self, pair: usize, field: Field) -> usize {
        let at = pair * self.fields + field.index();
        (self.offsets[at + 1] - self.offsets[at]) as usize
    }
}
