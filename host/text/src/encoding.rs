//! From the lines of a corpus to word ids, on all cores, in the order of the pairs and a few chunks at a time, so that the
//! ids of a large corpus can go to a file as they come.

use crate::{
    Corpus, Error, Field, ParallelCorpus, SPECIALS, UNK, Vocabularies, Vocabulary,
    encoded::{EncodedFacts, EncodedNumbers},
    file,
    noting::{NotesBuilder, Oddity},
    numbers::Numbers,
    threads,
};

/// A chunk of pairs.
#[derive(Default)]
struct Chunk {
    ids: Vec<u32>,
    /// Where each sentence starts, counted from the chunk's first id.
    offsets: Vec<u64>,
    /// By field index.
    words: [u64; 3],
    unknown_words: [u64; 3],
    notes: NotesBuilder,
}

/// Encodes a corpus and gives offsets and ids to `take`, a piece at a time; the last piece is the last offset.
///
/// # Errors
/// A file was changed meanwhile, or `take` fails.
pub(crate) fn encode<E: From<Error> + Send>(
    corpus: &ParallelCorpus,
    vocabularies: &Vocabularies,
    mut take: impl FnMut(&[u64], &[u32]) -> Result<(), E>,
) -> Result<(EncodedFacts, NotesBuilder), E> {
    let sides: Vec<(Field, &Corpus)> =
        corpus.fields().filter_map(|field| Some((field, corpus.side(field)?))).collect();
    let mut facts =
        EncodedFacts { fields: sides.len(), pairs: corpus.pairs(), words: [0; 3], unknown_words: [0; 3] };
    let mut notes = NotesBuilder::default();
    let mut end = 0;
    let make = |range| {
        let mut chunk = Chunk::default();
        let mut readers: Vec<_> = sides
            .iter()
            .map(|(field, side)| (*field, side.reader(), vocabularies.of(*field).as_ref()))
            .collect();
        let mut empty = Vec::new();
        for pair in range {
            empty.clear();
            for (field, reader, vocabulary) in &mut readers {
                let line = reader.line(corpus.line(pair))?;
                if chunk.push(pair, *field, line, vocabulary) == 0 {
                    empty.push(*field);
                }
            }
            chunk.notes.empty_pair(pair, &empty);
        }
        Ok(chunk)
    };
    threads::in_order(corpus.pairs(), make, |mut chunk: Chunk| {
        chunk.offsets.iter_mut().for_each(|offset| *offset += end);
        end += chunk.ids.len() as u64;
        for field in 0..3 {
            facts.words[field] += chunk.words[field];
            facts.unknown_words[field] += chunk.unknown_words[field];
        }
        notes.append(chunk.notes);
        take(&chunk.offsets, &chunk.ids)
    })?;
    corpus.check_unchanged()?;
    take(&[end], &[])?;
    Ok((facts, notes))
}

/// Encodes pairs whose text is at hand: `line` gives that of a field of a pair, counted from 0. In the notes the first pair is
/// `first`.
pub(crate) fn encode_held<'a>(
    fields: &[Field],
    pairs: usize,
    first: usize,
    vocabularies: &Vocabularies,
    line: impl Fn(usize, Field) -> &'a str,
) -> (EncodedNumbers, EncodedFacts, NotesBuilder) {
    let mut chunk = Chunk::default();
    let mut empty = Vec::new();
    for pair in 0..pairs {
        empty.clear();
        for field in fields {
            if chunk.push(first + pair, *field, line(pair, *field), vocabularies.of(*field)) == 0 {
                empty.push(*field);
            }
        }
        chunk.notes.empty_pair(first + pair, &empty);
    }
    let Chunk { ids, mut offsets, words, unknown_words, notes } = chunk;
    offsets.push(ids.len() as u64);
    let numbers = EncodedNumbers { offsets: Numbers::Held(offsets), ids: Numbers::Held(ids) };
    (numbers, EncodedFacts { fields: fields.len(), pairs, words, unknown_words }, notes)
}

impl Chunk {
    /// Appends a sentence and returns how many words it has.
    fn push(&mut self, pair: usize, field: Field, line: &str, vocabulary: &Vocabulary) -> usize {
        let start = self.ids.len();
        self.offsets.push(start as u64);
        let (mut specials, mut unknown) = (0, 0);
        vocabulary.get_all(crate::words(line), |found| {
            specials += usize::from(found.is_some_and(|id| (id as usize) < SPECIALS.len()));
            let id = found.unwrap_or(UNK);
            unknown += u64::from(id == UNK);
            self.ids.push(id);
        });
        let words = self.ids.len() - start;
        self.words[field.index()] += words as u64;
        self.unknown_words[field.index()] += unknown;
        let nuls = memchr::memchr_iter(0, line.as_bytes()).count();
        self.notes.odd_line(pair, field, Oddity::SpecialWords, specials);
        self.notes.odd_line(
            pair,
            field,
            Oddity::LoneCarriageReturns,
            file::lone_carriage_returns(line.as_bytes()),
        );
        self.notes.odd_line(pair, field, Oddity::Nuls, nuls);
        words
    }
}
