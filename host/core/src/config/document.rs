//! A parsed JSON document in which every value knows its place, so that complaints found much later can still name
//! line and column. Not here: the grammar ([`super::syntax`]), what keys mean ([`super::fill`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::path::{self, Step};
use super::syntax::{self, shorten};
use crate::diagnostic::{Diagnostic, Location};
use crate::error_code::Code;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

/// Where a value or key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It stands in the file.
    File(Position),
    /// It was given as `--set PATH=VALUE`.
    Override(Arc<str>),
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it is written: `1`, `1.0` and `1e0` are different.
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// A key of an object, with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

impl Node {
    /// The value under `key`, if this is an object that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Object(members) = &self.value else { return None };
        members.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    fn step(&self, step: &Step) -> Option<&Node> {
        match (step, &self.value) {
            (Step::Key(key), _) => self.get(key),
            (Step::Index(index), Value::Array(elements)) => elements.get(*index),
            (Step::Index(_), _) => None,
        }
    }

    /// The value as JSON. Numbers that no 64-bit number holds are texts.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
            Value::String(text) => text.clone().into(),
            Value::Array(elements) => elements.iter().map(Self::to_json).collect(),
            Value::Object(members) => {
                let members = members.iter().map(|member| (member.key.clone(), member.value.to_json()));
                serde_json::Value::Object(members.collect())
            }
        }
    }

    /// What this is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(text) => shorten(text),
            Value::String(text) => format!("the string {}", serde_json::Value::from(shorten(text))),
            Value::Array(elements) if elements.is_empty() => "an empty array".to_owned(),
            Value::Array(elements) => format!("an array of {}", elements.len()),
            Value::Object(members) if members.is_empty() => "an empty object".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        }
    }
}

/// A config file as it was read, each value with its place; overrides have taken theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    file: PathBuf,
    root: Node,
}

impl Document {
    /// Parses a file's text, one JSON value and nothing else. Keys given twice are reported in `complaints`; the
    /// first of them stays.
    pub(super) fn parse(
        file: &Path,
        text: &str,
        complaints: &mut Vec<Diagnostic>,
    ) -> Result<Self, Box<Diagnostic>> {
        let root = syntax::parse(text, 0, &Place::File).map_err(|error| {
            let location = Location {
                file: file.to_owned(),
                line: error.position.line,
                column: Some(error.position.column),
            };
            let diagnostic = Diagnostic::error(Code::ConfigSyntax, "the config is not valid JSON")
                .located(location)
                .found(error.found)
                .expected(error.expected);
            let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            Box::new(match error.help {
                _ if yaml => diagnostic.help("convert the YAML file to JSON: keys and values stay the same"),
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            })
        })?;
        let mut document = Self { file: file.to_owned(), root };
        remove_repeated_keys(file, &mut document.root, "", complaints);
        Ok(document)
    }

    /// A document that stands within the file of another one.
    pub(super) fn of(file: PathBuf, root: Node) -> Self {
        Self { file, root }
    }

    /// The file it was read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Line and column of the value at a path such as `system.model.encoder.hidden_size` or
    /// `data.train.input.source[1]`; `None` if there is no such value, or if it was set on the command line.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<Location> {
        location(&self.file, &self.node(path)?.place)
    }

    /// Whether a value other than null stands at a path, in the file or set on the command line.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.node(path).is_some_and(|node| node.value != Value::Null)
    }

    /// The complaint with the place of its path added: line and column in the file, or a note that it was set on the
    /// command line. Where nothing stands at the path (a key is missing), the nearest value around it is taken.
    #[must_use]
    pub fn place(&self, diagnostic: Diagnostic) -> Diagnostic {
        let steps = diagnostic.path.as_deref().and_then(path::parse).unwrap_or_default();
        let mut node = &self.root;
        for step in &steps {
            match node.step(step) {
                Some(next) => node = next,
                None => break,
            }
        }
        at_place(&self.file, diagnostic, &node.place)
    }

    fn node(&self, path: &str) -> Option<&Node> {
        path::parse(path)?.iter().try_fold(&self.root, |node, step| node.step(step))
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    pub(super) fn root_mut(&mut self) -> &mut Node {
        &mut self.root
    }
}

fn location(file: &Path, place: &Place) -> Option<Location> {
    match place {
        Place::File(Position { line, column }) => {
            Some(Location { file: file.to_owned(), line: *line, column: Some(*column) })
        }
        Place::Override(_) => None,
    }
}

/// Adds a place to a complaint.
pub(super) fn at_place(file: &Path, diagnostic: Diagnostic, place: &Place) -> Diagnostic {
    match (location(file, place), place) {
        (Some(location), _) => diagnostic.located(location),
        (None, Place::Override(path)) => {
            let mut diagnostic = diagnostic.note(format!("set by --set {path}"));
            if diagnostic.path.as_deref() == Some(&**path) {
                // There is no key to remove, in the file or in the value.
                let help = diagnostic.help.map(|help| help.replace("remove the key", "leave out this --set"));
                diagnostic.help = help;
            }
            diagnostic
        }
        (None, Place::File(_)) => diagnostic,
    }
}

/// Reports each key that an object holds more than once, and leaves the first.
pub(super) fn remove_repeated_keys(file: &Path, node: &mut Node, at: &str, complaints: &mut Vec<Diagnostic>) {
    match &mut node.value {
        Value::Object(members) => {
            let mut seen = std::collections::HashMap::new();
            members.retain(|member| {
                let Some(first) = seen.get(&member.key) else {
                    seen.insert(member.key.clone(), member.key_place.clone());
                    return true;
                };
                complaints.push(repeated_key(file, at, member, first));
                false
            });
            for member in members {
                remove_repeated_keys(file, &mut member.value, &path::join(at, &member.key), complaints);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                remove_repeated_keys(file, element, &path::element(at, index), complaints);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn repeated_key(file: &Path, at: &str, member: &Member, first: &Place) -> Diagnostic {
    let key = shorten(&member.key);
    let message = match (first, &member.key_place) {
        (Place::File(first), Place::File(second)) => {
            if first.line == second.line {
                format!("the key `{key}` is given twice in line {}", first.line)
            } else {
                format!("the key `{key}` is given twice, in line {} and in line {}", first.line, second.line)
            }
        }
        _ => format!("the key `{key}` is given twice"),
    };
    let diagnostic = Diagnostic::error(Code::RepeatedKey, message)
        .at(path::join(at, &member.key))
        .found("a second value for the same key")
        .expected("each key once")
        .help("remove one of the two");
    at_place(file, diagnostic, &member.key_place)
}
