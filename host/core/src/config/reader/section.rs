//! An object of a config, read key by key: it takes values by key, and at the end complains of what it was never asked for.

use super::super::document::{Member, Node, Value};
use super::super::later::{self, Later};
use super::super::path;
use super::super::syntax::shorten;
use super::{Entry, Report};
use crate::diagnostic::{Diagnostic, nearest};
use crate::error_code::Code;

/// An object being read, or one that is left out and so has every key left out.
#[derive(Debug)]
pub(in crate::config) struct Section<'d> {
    report: &'d Report<'d>,
    path: String,
    node: Option<&'d Node>,
    asked: Vec<&'static str>,
}

impl<'d> Section<'d> {
    pub(super) fn new(report: &'d Report<'d>, path: String, node: Option<&'d Node>) -> Self {
        Self { report, path, node, asked: Vec::new() }
    }

    pub(in crate::config) fn path_of(&self, key: &str) -> String {
        path::join(&self.path, key)
    }

    /// Adds a complaint; its place is that of its path.
    pub(in crate::config) fn complain(&self, complaint: Diagnostic) {
        self.report.add(complaint);
    }

    /// The value under `key`, which is then a known one.
    pub(in crate::config) fn entry(&mut self, key: &'static str) -> Option<Entry<'d>> {
        self.asked.push(key);
        let node = self.node?.get(key)?;
        Some(Entry { report: self.report, node, path: self.path_of(key) })
    }

    /// The value under `key`; `None` if there is none, if it is null, or if it is refused.
    pub(in crate::config) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Entry<'d>) -> Option<T>,
    ) -> Option<T> {
        self.entry(key).filter(|entry| !entry.is_null()).and_then(|entry| read(&entry))
    }

    /// The value under `key`, or its default.
    pub(in crate::config) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Entry<'d>) -> Option<T>,
    ) -> T {
        self.entry(key).and_then(|entry| read(&entry)).unwrap_or(default)
    }

    /// The value under `key`, which must be there. `expected` says what it is.
    pub(in crate::config) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Entry<'d>) -> Option<T>,
    ) -> Option<T> {
        match self.entry(key) {
            Some(entry) => read(&entry),
            None => {
                let path = self.path_of(key);
                self.complain(
                    Diagnostic::error(Code::MissingKey, format!("{path} is required"))
                        .at(path)
                        .found("no such key")
                        .expected(expected)
                        .help(format!("add the key \"{key}\"")),
                );
                None
            }
        }
    }

    /// The section under `key`; one that is left out, where `key` is or is refused.
    pub(in crate::config) fn section(&mut self, key: &'static str) -> Section<'d> {
        let path = self.path_of(key);
        let section = self.entry(key).and_then(|entry| entry.section());
        section.unwrap_or_else(|| Section::new(self.report, path, None))
    }

    /// A key that means nothing here: accepted with a warning.
    pub(in crate::config) fn ignore(&mut self, key: &'static str, why: &str) {
        if let Some(entry) = self.entry(key).filter(|entry| !entry.is_null()) {
            entry.ignore(why);
        }
    }

    /// Ends the reading: a key that was not asked for comes later or is unknown.
    pub(in crate::config) fn finish(self) {
        for member in self.not_asked_for() {
            let entry = Entry { report: self.report, node: &member.value, path: self.path_of(&member.key) };
            match later::key(&entry.path) {
                Some(later) => check_later(&entry, later),
                None => self.complain_unknown(member, later::keys_of(&self.path)),
            }
        }
    }

    /// Ends the reading where nothing comes later: a key that was not asked for is unknown.
    pub(in crate::config) fn finish_as_they_are(self) {
        for member in self.not_asked_for() {
            self.complain_unknown(member, []);
        }
    }

    fn not_asked_for(&self) -> impl Iterator<Item = &'d Member> + use<'_, 'd> {
        let members = match self.node {
            Some(Node { value: Value::Object(members), .. }) => &members[..],
            _ => &[],
        };
        members.iter().filter(|member| !self.asked.contains(&member.key.as_str()))
    }

    fn complain_unknown(&self, member: &Member, later: impl IntoIterator<Item = &'static str>) {
        self.report.add_at(self.unknown(&member.key, later), &member.key_place);
    }

    fn unknown(&self, key: &str, later: impl IntoIterator<Item = &'static str>) -> Diagnostic {
        let mut known: Vec<&str> = self.asked.iter().copied().chain(later).collect();
        known.sort_unstable();
        let near = nearest(key, known.iter().copied());
        let complaint = Diagnostic::error(Code::UnknownKey, format!("unknown key `{}`", shorten(key)))
            .at(self.path_of(key))
            .found(format!("`{}`", shorten(key)))
            .expected(format!("one of {}", known.join(", ")));
        match near {
            Some(near) => complaint.nearest(Some(near)).help(format!("write `{near}`, or remove the key")),
            None if known.contains(&"options") => {
                complaint.help("remove the key; or put it into \"options\", if it is one of the class's own")
            }
            None => complaint.help("remove the key"),
        }
    }
}

/// Refuses the value of a key whose feature is missing, unless it asks for nothing.
fn check_later(entry: &Entry<'_>, later: &Later) {
    let json = later_json(entry.node);
    if json != later.default {
        entry.refuse_later(later.feature, later.default, "remove the key");
    }
}

/// A scalar as JSON, to be compared with the table of what comes later; empty for arrays and objects.
pub(in crate::config) fn later_json(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(text) => text.clone(),
        Value::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::Array(_) | Value::Object(_) => String::new(),
    }
}
