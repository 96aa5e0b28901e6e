//! Counted words and encoded corpora as arrays in a file of the cache, and back, checked.

use std::fs::File;

use super::{
    CacheProblem, Failure,
    stored::{PAGE, Section, SectionWriter, Stored},
};
use crate::{
    EncodedCorpus, ParallelCorpus, SPECIALS, Vocabularies,
    counts::{Totals, WordCounts},
    encoded::{EncodedFacts, EncodedNumbers},
    encoding,
    noting::NotesBuilder,
    numbers::Numbers,
};

/// Sections: counts, ends, spellings, totals.
pub(super) fn write_counts(file: &File, counts: &WordCounts) -> Result<Vec<Section>, Failure> {
    let Totals { types, running_words, specials } = counts.totals;
    let mut totals = vec![types, running_words];
    totals.extend(specials);
    let first = write_array(file, PAGE as u64, &counts.counts)?;
    let second = write_array(file, first.end(), &counts.ends)?;
    let third = write_array(file, second.end(), &counts.text)?;
    let fourth = write_array(file, third.end(), &totals)?;
    Ok(vec![first, second, third, fourth])
}

fn write_array<T: bytemuck::Pod>(file: &File, start: u64, numbers: &[T]) -> Result<Section, Failure> {
    let mut section = SectionWriter::new(file, start);
    // In pieces, so that no second copy of a large array is made.
    numbers.chunks(1 << 17).try_for_each(|piece| section.write(piece))?;
    Ok(section.finish()?)
}

pub(super) fn read_counts(stored: &Stored) -> Result<WordCounts, CacheProblem> {
    let counts = Numbers::Mapped(stored.array::<u64>(0)?);
    let ends = Numbers::Mapped(stored.array::<u64>(1)?);
    let text = Numbers::Mapped(stored.array::<u8>(2)?);
    let numbers = Numbers::Mapped(stored.array::<u64>(3)?);
    let [types, running_words, specials @ ..] = &*numbers else { return Err(CacheProblem::Damaged) };
    let specials: [u64; SPECIALS.len()] = specials.try_into().map_err(|_| CacheProblem::Damaged)?;
    let totals = Totals { types: *types, running_words: *running_words, specials };
    if counts.len() != ends.len() || !goes_up_to(&ends, text.len()) {
        return Err(CacheProblem::Damaged);
    }
    Ok(WordCounts { counts, ends, text, totals })
}

/// Sections: offsets, ids, facts and notes.
pub(super) fn write_encoded(
    file: &File,
    corpus: &ParallelCorpus,
    vocabularies: &Vocabularies,
) -> Result<Vec<Section>, Failure> {
    let sentences = (corpus.pairs() * corpus.fields().count()) as u64;
    let mut offsets = SectionWriter::new(file, PAGE as u64);
    let mut ids = SectionWriter::new(file, PAGE as u64 + 8 * (sentences + 1));
    let (facts, notes) = encoding::encode(corpus, vocabularies, |some_offsets, some_ids| {
        offsets.write(some_offsets)?;
        ids.write(some_ids)?;
        Ok::<_, Failure>(())
    })?;
    let mut numbers = vec![facts.fields as u64, facts.pairs as u64];
    numbers.extend(facts.words);
    numbers.extend(facts.unknown_words);
    notes.write(&mut numbers);
    let (offsets, ids) = (offsets.finish()?, ids.finish()?);
    let numbers = write_array(file, ids.end(), &numbers)?;
    Ok(vec![offsets, ids, numbers])
}

pub(super) fn read_encoded(stored: &Stored, corpus: &ParallelCorpus) -> Result<EncodedCorpus, CacheProblem> {
    let offsets = Numbers::Mapped(stored.array::<u64>(0)?);
    let ids = Numbers::Mapped(stored.array::<u32>(1)?);
    let numbers = Numbers::Mapped(stored.array::<u64>(2)?);
    let [fields, pairs, a, b, c, d, e, f, notes @ ..] = &*numbers else { return Err(CacheProblem::Damaged) };
    let facts = EncodedFacts {
        fields: *fields as usize,
        pairs: *pairs as usize,
        words: [*a, *b, *c],
        unknown_words: [*d, *e, *f],
    };
    let of_corpus = facts.fields == corpus.fields().count() && facts.pairs == corpus.pairs();
    if !of_corpus
        || offsets.len() != facts.fields * facts.pairs + 1
        || offsets[0] != 0
        || !goes_up_to(&offsets, ids.len())
    {
        return Err(CacheProblem::Damaged);
    }
    let notes = NotesBuilder::read(&mut notes.iter().copied(), facts.pairs).ok_or(CacheProblem::Damaged)?;
    Ok(EncodedCorpus::new(corpus, EncodedNumbers { offsets, ids }, facts, notes))
}

/// Whether ends (or starts) never go back and the last is that of an array of so many entries.
fn goes_up_to(ends: &[u64], length: usize) -> bool {
    ends.is_sorted() && ends.last().copied().unwrap_or(0) == length as u64
}
