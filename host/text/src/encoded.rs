//! A parallel corpus as word ids, encoded once and kept in memory: what batches are made from. Making them is `batch`'s.

use std::sync::Arc;

use crate::{
    Corpus, Field, Limits, Location, Notes, ParallelCorpus, Result, Vocabulary, field::Origins, file,
    notes::NotesBuilder, threads, vocabulary::UNK,
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
    /// One vocabulary for both sides, fitted on the target's lines and the source's within the target's limits.
    ///
    /// # Errors
    /// As for [`Vocabulary::fit`].
    pub fn fit_shared(corpus: &ParallelCorpus, limits: Limits) -> Result<(Self, crate::FitStatistics)> {
        let fitted = Vocabulary::fit(corpus, &[Field::Target, Field::Source], limits)?;
        let shared = Arc::new(fitted.vocabulary);
        Ok((Self { source: Arc::clone(&shared), target: shared }, fitted.statistics))
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

/// The ids of all words of a parallel corpus, 4 bytes a word and 8 a sentence. The files are no longer needed.
#[derive(Debug, Clone)]
pub struct EncodedCorpus {
    /// By field index.
    sides: Vec<EncodedSide>,
    selection: Option<Arc<[usize]>>,
    notes: Notes,
}

#[derive(Debug, Clone)]
struct EncodedSide {
    ids: Vec<u32>,
    /// Where each sentence starts in `ids`, and where the last ends.
    offsets: Vec<u64>,
    unknown_words: u64,
    origins: Origins,
}

/// One field of a chunk of pairs.
#[derive(Default)]
struct Chunk {
    ids: Vec<u32>,
    /// Words of each sentence.
    lengths: Vec<usize>,
    unknown_words: u64,
}

impl EncodedCorpus {
    /// Encodes a corpus, using all cores; a word that its vocabulary lacks becomes `<unk>`.
    ///
    /// # Errors
    /// A file was changed meanwhile.
    pub fn encode(corpus: &ParallelCorpus, vocabularies: &Vocabularies) -> Result<Self> {
        let fields: Vec<(Field, &Corpus)> =
            corpus.fields().filter_map(|field| Some((field, corpus.side(field)?))).collect();
        let chunks = threads::map_chunks(corpus.pairs(), |range| {
            let mut chunks: Vec<Chunk> = fields.iter().map(|_| Chunk::default()).collect();
            let mut notes = NotesBuilder::default();
            let mut empty = Vec::new();
            for pair in range {
                empty.clear();
                for ((field, side), chunk) in fields.iter().zip(&mut chunks) {
                    let line = side.line(corpus.line(pair))?;
                    let (words, specials) = chunk.encode(line, vocabularies.of(*field));
                    if words == 0 {
                        empty.push(*field);
                    }
                    notes.special_words(pair, *field, specials);
                    notes.lone_carriage_returns(pair, *field, file::lone_carriage_returns(line.as_bytes()));
                }
                notes.empty_pair(pair, &empty);
            }
            Ok((chunks, notes))
        })?;
        let mut sides: Vec<_> =
            fields.iter().map(|(_, side)| EncodedSide::new(side, corpus.pairs())).collect();
        let mut notes = NotesBuilder::default();
        for (chunk, chunk_notes) in chunks {
            sides.iter_mut().zip(chunk).for_each(|(side, chunk)| side.append(chunk));
            notes.append(chunk_notes);
        }
        sides.iter_mut().for_each(|side| side.ids.shrink_to_fit());
        let location = |pair, field: Field| sides[field.index()].origins.location(corpus.line(pair));
        let notes = notes.finish(corpus.pairs(), location);
        Ok(Self { sides, selection: corpus.selection(), notes })
    }

    /// How many pairs there are.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.sides[0].offsets.len() - 1
    }

    /// The fields that there are.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        Field::ALL.into_iter().take(self.sides.len())
    }

    /// Whether there is such a field.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        field.index() < self.sides.len()
    }

    /// The ids of a sentence's words, without `<bos>` and `<eos>`; nothing when the corpus has no such field.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn sentence(&self, pair: usize, field: Field) -> &[u32] {
        self.sides
            .get(field.index())
            .map_or(&[], |side| &side.ids[side.offsets[pair] as usize..side.offsets[pair + 1] as usize])
    }

    /// How many words a field has in all pairs.
    #[must_use]
    pub fn running_words(&self, field: Field) -> u64 {
        self.sides.get(field.index()).map_or(0, |side| side.ids.len() as u64)
    }

    /// How many of these are `<unk>`.
    #[must_use]
    pub fn unknown_words(&self, field: Field) -> u64 {
        self.sides.get(field.index()).map_or(0, |side| side.unknown_words)
    }

    /// The pair with a field's longest sentence (the first of equals) and its words; `None` when there is no such field.
    #[must_use]
    pub fn longest(&self, field: Field) -> Option<(usize, usize)> {
        let offsets = &self.sides.get(field.index())?.offsets;
        let lengths = offsets.windows(2).map(|ends| (ends[1] - ends[0]) as usize).enumerate();
        lengths.reduce(|longest, next| if next.1 > longest.1 { next } else { longest })
    }

    /// File and line of one side of a pair; `None` when there is no such field.
    ///
    /// # Panics
    /// When there is no such pair, as indexing a slice does.
    #[must_use]
    pub fn location(&self, pair: usize, field: Field) -> Option<Location> {
        let line = self.selection.as_ref().map_or(pair, |selection| selection[pair]);
        Some(self.sides.get(field.index())?.origins.location(line))
    }

    /// What is odd in the corpus.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }
}

impl EncodedSide {
    fn new(side: &Corpus, pairs: usize) -> Self {
        let mut offsets = Vec::with_capacity(pairs + 1);
        offsets.push(0);
        Self { ids: Vec::new(), offsets, unknown_words: 0, origins: side.origins().clone() }
    }

    fn append(&mut self, chunk: Chunk) {
        let mut end = self.ids.len() as u64;
        self.ids.extend(chunk.ids);
        self.offsets.extend(chunk.lengths.iter().map(|length| {
            end += *length as u64;
            end
        }));
        self.unknown_words += chunk.unknown_words;
    }
}

impl Chunk {
    /// Appends a sentence and returns its words, and those of them that are spelled like special tokens.
    fn encode(&mut self, line: &str, vocabulary: &Vocabulary) -> (usize, usize) {
        let start = self.ids.len();
        let mut specials = 0;
        for word in crate::words(line) {
            let found = vocabulary.get(word);
            specials += usize::from(found.is_some_and(|id| (id as usize) < crate::SPECIALS.len()));
            let id = found.unwrap_or(UNK);
            self.unknown_words += u64::from(id == UNK);
            self.ids.push(id);
        }
        let words = self.ids.len() - start;
        self.lengths.push(words);
        (words, specials)
    }
}
