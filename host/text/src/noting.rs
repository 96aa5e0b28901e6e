//! Gathering the notes of a corpus while it is encoded, in pieces that can be put together; and writing them as numbers, so
//! that they are kept with an encoded corpus.

use crate::{
    Field, Location,
    notes::{FIRST, Notes, Occurrences},
};

/// What may be noted of a line, beside its having no words.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Oddity {
    /// Words spelled like special tokens.
    SpecialWords,
    /// Carriage returns that end no line.
    LoneCarriageReturns,
    /// NUL characters.
    Nuls,
}

/// Gathers the notes of one chunk of pairs or of the whole corpus: places are pairs until [`NotesBuilder::finish`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NotesBuilder {
    empty: Places,
    /// By field index.
    fields: [FieldNotes; 3],
}

#[derive(Debug, Default, PartialEq, Eq)]
struct FieldNotes {
    /// Sentences without words.
    empty: usize,
    /// By [`Oddity`].
    oddities: [Counted; 3],
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    count: usize,
    lines: Places,
}

/// Like [`Occurrences`], by pair and field.
#[derive(Debug, Default, PartialEq, Eq)]
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

    fn write(&self, numbers: &mut Vec<u64>) {
        numbers.extend([self.count as u64, self.first.len() as u64]);
        numbers.extend(self.first.iter().flat_map(|(pair, field)| [*pair as u64, field.index() as u64]));
    }

    fn read(numbers: &mut impl Iterator<Item = u64>, pairs: usize) -> Option<Self> {
        let count = read_count(numbers)?;
        let first = read_count(numbers)?;
        if first != count.min(FIRST) {
            return None;
        }
        let mut places = Self { count, first: Vec::with_capacity(first) };
        for _ in 0..first {
            let pair = read_count(numbers)?;
            let field = *Field::ALL.get(read_count(numbers)?)?;
            places.first.push((pair < pairs).then_some((pair, field))?);
        }
        Some(places)
    }
}

fn read_count(numbers: &mut impl Iterator<Item = u64>) -> Option<usize> {
    usize::try_from(numbers.next()?).ok()
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

    pub(crate) fn odd_line(&mut self, pair: usize, field: Field, oddity: Oddity, count: usize) {
        if count > 0 {
            let counted = &mut self.fields[field.index()].oddities[oddity as usize];
            counted.count += count;
            counted.lines.add(pair, field);
        }
    }

    /// Adds the notes of the pairs after these.
    pub(crate) fn append(&mut self, later: Self) {
        self.empty.append(later.empty);
        for (notes, later) in self.fields.iter_mut().zip(later.fields) {
            notes.empty += later.empty;
            for (counted, later) in notes.oddities.iter_mut().zip(later.oddities) {
                counted.count += later.count;
                counted.lines.append(later.lines);
            }
        }
    }

    pub(crate) fn finish(self, corpus_pairs: usize, location: impl Fn(usize, Field) -> Location) -> Notes {
        let mut notes = Notes { corpus_pairs, ..Notes::default() };
        notes.empty.pairs = self.empty.finish(&location);
        for (field, counted) in Field::ALL.into_iter().zip(self.fields) {
            if counted.empty > 0 {
                notes.empty.by_field.push((field, counted.empty));
            }
            let lists = [&mut notes.specials, &mut notes.lone_carriage_returns, &mut notes.nuls];
            for (list, counted) in lists.into_iter().zip(counted.oddities) {
                if counted.count > 0 {
                    list.push((field, counted.count, counted.lines.finish(&location)));
                }
            }
        }
        notes
    }

    /// Appends all of it as numbers, for [`NotesBuilder::read`].
    pub(crate) fn write(&self, numbers: &mut Vec<u64>) {
        self.empty.write(numbers);
        for field in &self.fields {
            numbers.push(field.empty as u64);
            for counted in &field.oddities {
                numbers.push(counted.count as u64);
                counted.lines.write(numbers);
            }
        }
    }

    /// `None` where the numbers cannot be the notes of a corpus of so many pairs.
    pub(crate) fn read(numbers: &mut impl Iterator<Item = u64>, pairs: usize) -> Option<Self> {
        let mut notes = Self { empty: Places::read(numbers, pairs)?, ..Self::default() };
        for field in &mut notes.fields {
            field.empty = read_count(numbers)?;
            for counted in &mut field.oddities {
                counted.count = read_count(numbers)?;
                counted.lines = Places::read(numbers, pairs)?;
            }
        }
        Some(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_from_their_numbers() {
        let mut notes = NotesBuilder::default();
        for pair in 0..9 {
            notes.empty_pair(pair, &[Field::Target]);
            notes.odd_line(pair, Field::Source, Oddity::Nuls, pair);
        }
        notes.odd_line(3, Field::PostEdit, Oddity::SpecialWords, 2);
        let mut numbers = Vec::new();
        notes.write(&mut numbers);
        let read = NotesBuilder::read(&mut numbers.iter().copied(), 9);
        assert_eq!(read.as_ref(), Some(&notes));
        // A place beyond the corpus, and numbers that end too early.
        assert_eq!(NotesBuilder::read(&mut numbers.iter().copied(), 3), None);
        let short = &numbers[..numbers.len() - 1];
        assert_eq!(NotesBuilder::read(&mut short.iter().copied(), 9), None);
    }
}
