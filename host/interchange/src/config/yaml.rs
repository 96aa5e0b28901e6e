//! From the text of a YAML file to a [`Node`].

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::error::{Error, Problem};
use super::node::{Content, Entry, Node, Place};
use super::scalar;

/// Deeper than any config is.
const DEEPEST: usize = 64;
/// More values than any config has.
const MOST: usize = 100_000;

/// Reads a text that is the file of number `file`.
///
/// # Errors
/// It is no YAML, or has what no config has.
pub(super) fn parse(text: &str, file: usize) -> Result<Node, Error> {
    let mut builder =
        Builder { open: Vec::new(), root: None, anchors: HashMap::new(), values: 0, documents: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            Error::at(place(file, error.marker()), Problem::Syntax { reason: error.info().to_owned() })
        })?;
        let place = place(file, &span.start);
        builder.event(event, place).map_err(|problem| Error::at(place, problem))?;
    }
    Ok(builder.root.unwrap_or(Node { place: Place { file, line: 1, column: 1 }, content: Content::Null }))
}

fn place(file: usize, marker: &Marker) -> Place {
    Place { file, line: marker.line(), column: marker.col() + 1 }
}

/// A list or mapping that is not complete yet.
struct Open {
    place: Place,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The key whose value comes next.
        key: Option<(String, Place)>,
        /// Mappings that `<<` brings in.
        merged: Vec<Node>,
    },
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    values: usize,
    documents: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err(Problem::SecondDocument) } else { Ok(()) }
            }
            Event::Alias(anchor) => {
                let mut node = self.anchors.get(&anchor).ok_or(Problem::Alias)?.clone();
                node.place = place;
                self.count(size(&node))?;
                self.add(node)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let content = match tag {
                    Some(tag) => tagged(&text, style, &tag)?,
                    None if style == ScalarStyle::Plain => scalar::resolve(&text),
                    None => Content::Text(text.into_owned()),
                };
                let content = self.key(content, place)?;
                let Some(content) = content else { return Ok(()) };
                self.count(1)?;
                let node = Node { place, content };
                self.anchors(anchor, &node);
                self.add(node)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(place, anchor, tag.as_deref(), Items::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let items = Items::Map { entries: Vec::new(), key: None, merged: Vec::new() };
                self.begin(place, anchor, tag.as_deref(), items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    /// Takes a scalar for a key where one is due; else gives it back.
    fn key(&mut self, content: Content, place: Place) -> Result<Option<Content>, Problem> {
        let Some(Open { items: Items::Map { entries, key: key @ None, .. }, .. }) = self.open.last_mut()
        else {
            return Ok(Some(content));
        };
        let text = match content {
            Content::Text(text) => text,
            Content::Int(number) => number.to_string(),
            other => return Err(Problem::Key { found: Node { place, content: other }.kind() }),
        };
        if text != "<<" && entries.iter().any(|entry| entry.key == text) {
            return Err(Problem::DuplicateKey { key: text });
        }
        *key = Some((text, place));
        Ok(None)
    }

    fn begin(&mut self, place: Place, anchor: usize, tag: Option<&Tag>, items: Items) -> Result<(), Problem> {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "map" | "seq"))
        {
            return Err(Problem::Tag { tag: shown(tag) });
        }
        if let Some(Open { items: Items::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(Problem::Key { found: "a list or a mapping" });
        }
        if self.open.len() == DEEPEST {
            return Err(Problem::TooDeep { limit: DEEPEST });
        }
        self.count(1)?;
        self.open.push(Open { place, anchor, items });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(Open { place, anchor, items }) = self.open.pop() else { return Ok(()) };
        let content = match items {
            Items::List(items) => Content::List(items),
            Items::Map { mut entries, merged, .. } => {
                // Keys of the mapping itself win, then those of the mapping that comes first.
                for entry in merged.iter().flat_map(Node::entries) {
                    if !entries.iter().any(|known| known.key == entry.key) {
                        entries.push(entry.clone());
                    }
                }
                Content::Map(entries)
            }
        };
        let node = Node { place, content };
        self.anchors(anchor, &node);
        self.add(node)
    }

    fn add(&mut self, node: Node) -> Result<(), Problem> {
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map { entries, key, merged }) => match key.take() {
                None => return Err(Problem::Key { found: "an alias" }),
                Some((key, _)) if key == "<<" => match node.content {
                    Content::Map(_) => merged.push(node),
                    Content::List(items) => {
                        if let Some(other) =
                            items.iter().find(|item| !matches!(item.content, Content::Map(_)))
                        {
                            return Err(Problem::Merge { found: other.kind() });
                        }
                        merged.extend(items);
                    }
                    _ => return Err(Problem::Merge { found: node.kind() }),
                },
                Some((key, place)) => entries.push(Entry { key, place, value: node }),
            },
        }
        Ok(())
    }

    fn anchors(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn count(&mut self, values: usize) -> Result<(), Problem> {
        self.values += values;
        if self.values > MOST { Err(Problem::TooMany { limit: MOST }) } else { Ok(()) }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.content {
        Content::List(items) => items.iter().map(size).sum(),
        Content::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0,
    }
}

fn tagged(text: &str, style: ScalarStyle, tag: &Tag) -> Result<Content, Problem> {
    let wrong = || Problem::Tag { tag: shown(tag) };
    if tag.handle == "!" && tag.suffix.is_empty() {
        return Ok(Content::Text(text.to_owned()));
    }
    if !tag.is_yaml_core_schema() {
        return Err(wrong());
    }
    let plain = scalar::resolve(text);
    match (tag.suffix.as_str(), plain) {
        ("str", _) => Ok(Content::Text(text.to_owned())),
        ("int", found @ Content::Int(_))
        | ("float", found @ Content::Float(_))
        | ("bool", found @ Content::Bool(_))
        | ("null", found @ Content::Null)
            if style == ScalarStyle::Plain =>
        {
            Ok(found)
        }
        ("float", Content::Int(number)) => Ok(Content::Float(number as f64)),
        _ => Err(wrong()),
    }
}

/// A tag as it is written.
fn shown(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() }
}
