//! YAML values that know where they stand.

use std::path::PathBuf;

use kiwi_core::diagnostic::Location;

/// A place in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// Which of the [`Sources`].
    pub(super) file: usize,
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

/// The files that a config is put together from.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<PathBuf>);

impl Sources {
    /// Adds a file; its number.
    pub(super) fn add(&mut self, file: PathBuf) -> usize {
        self.0.push(file);
        self.0.len() - 1
    }

    pub(super) fn location(&self, place: Place) -> Location {
        let file = self.0.get(place.file).cloned().unwrap_or_default();
        Location { file, line: place.line.max(1), column: (place.column > 0).then_some(place.column) }
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry at a path of keys, as `trainer.epochs`.
    pub(super) fn entry(&self, path: &str) -> Option<&Entry> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let entry = self.entries().iter().find(|entry| entry.key == first)?;
        match rest {
            Some(rest) => entry.value.entry(rest),
            None => Some(entry),
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.entry(path).map(|entry| &entry.value)
    }

    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let entry = self.entries_mut()?.iter_mut().find(|entry| entry.key == first)?;
        match rest {
            Some(rest) => entry.value.get_mut(rest),
            None => Some(&mut entry.value),
        }
    }

    /// Takes out the entry at a path.
    pub(super) fn remove(&mut self, path: &str) -> Option<Entry> {
        let (parent, key) = match path.rsplit_once('.') {
            Some((parent, key)) => (self.get_mut(parent)?, key),
            None => (self, path),
        };
        let entries = parent.entries_mut()?;
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at))
    }

    /// The place of a value by a path that may hold indices, as `data.train.input.source[0]`: that of its key if it has one.
    pub(super) fn place_of(&self, path: &str) -> Option<Place> {
        let mut node = self;
        let mut place = self.place;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let (key, indices) = part.split_once('[').map_or((part, None), |(key, rest)| (key, Some(rest)));
            let entry = node.entries().iter().find(|entry| entry.key == key)?;
            (node, place) = (&entry.value, entry.place);
            for index in indices.into_iter().flat_map(|rest| rest.split('[')) {
                let Content::List(items) = &node.content else { return None };
                node = items.get(index.trim_end_matches(']').parse::<usize>().ok()?)?;
                place = node.place;
            }
        }
        Some(place)
    }

    /// What the value is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "null",
            Content::Bool(_) => "true or false",
            Content::Int(_) => "an integer",
            Content::Float(_) => "a number",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }
}
