//! The cursor that a config is read with: it takes values, refuses what does not fit, and collects every complaint; objects
//! are read key by key by a [`Section`]. Nothing is ever coerced. Which keys there are is [`super::fill`]'s.

mod section;

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::Map;

use super::document::{self, Document, Member, Node, Place, Value};
use super::path;
use super::syntax::shorten;
use crate::diagnostic::{Diagnostic, nearest};
use crate::error_code::Code;

pub(super) use section::{Section, later_json};

/// Everything found so far.
#[derive(Debug)]
pub(super) struct Report<'d> {
    document: &'d Document,
    complaints: RefCell<Vec<Diagnostic>>,
}

impl<'d> Report<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self { document, complaints: RefCell::new(Vec::new()) }
    }

    pub(super) fn into_complaints(self) -> Vec<Diagnostic> {
        self.complaints.into_inner()
    }

    /// Adds a complaint; its place is that of its path.
    pub(super) fn add(&self, complaint: Diagnostic) {
        self.complaints.borrow_mut().push(self.document.place(complaint));
    }

    fn add_at(&self, complaint: Diagnostic, place: &Place) {
        self.complaints.borrow_mut().push(document::at_place(self.document.file(), complaint, place));
    }

    /// The whole document, to be read as an object.
    pub(super) fn root(&'d self) -> Entry<'d> {
        Entry { report: self, node: self.document.root(), path: String::new() }
    }
}

/// Numbers that a key accepts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    expected: &'static str,
    holds: fn(f64) -> bool,
}

/// Any.
pub(super) const ANY: Range = Range { expected: "a finite number", holds: |_| true };
/// Above 0.
pub(super) const POSITIVE: Range = Range { expected: "a finite number above 0", holds: |x| x > 0.0 };
/// 0 or above.
pub(super) const NOT_NEGATIVE: Range =
    Range { expected: "a finite number of at least 0", holds: |x| x >= 0.0 };
/// A share that may be all.
pub(super) const SHARE: Range =
    Range { expected: "a number above 0 and at most 1", holds: |x| x > 0.0 && x <= 1.0 };
/// A share that leaves something.
pub(super) const PART: Range =
    Range { expected: "a number above 0 and below 1", holds: |x| x > 0.0 && x < 1.0 };

/// A value to be read, with its path.
#[derive(Debug, Clone)]
pub(super) struct Entry<'d> {
    report: &'d Report<'d>,
    node: &'d Node,
    path: String,
}

impl<'d> Entry<'d> {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn value(&self) -> &'d Value {
        &self.node.value
    }

    pub(super) fn node(&self) -> &'d Node {
        self.node
    }

    /// The value, for messages.
    pub(super) fn describe(&self) -> String {
        self.node.describe()
    }

    pub(super) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    /// Adds a complaint about this value.
    pub(super) fn complain(&self, complaint: Diagnostic) {
        self.report.add_at(complaint.at(&*self.path), &self.node.place);
    }

    /// Complains that this value is not as expected, and gives nothing.
    pub(super) fn refuse<T>(&self, expected: &str) -> Option<T> {
        self.refuse_with(expected, None)
    }

    fn refuse_with<T>(&self, expected: &str, help: Option<String>) -> Option<T> {
        let message = match path::last_part(&self.path) {
            "" => format!("the config is not {expected}"),
            name => format!("invalid value for {name}"),
        };
        let complaint =
            Diagnostic::error(Code::InvalidValue, message).found(self.node.describe()).expected(expected);
        self.complain(match help.or_else(|| self.unquote(expected)) {
            Some(help) => complaint.help(help),
            None => complaint,
        });
        None
    }

    /// What to do about a string that reads like the number or truth value that is expected.
    fn unquote(&self, expected: &str) -> Option<String> {
        let Value::String(text) = &self.node.value else { return None };
        let number = expected.contains("number") || expected.contains("integer");
        let truth = expected.starts_with("true");
        let fits = (number && text.parse::<f64>().is_ok_and(f64::is_finite))
            || (truth && (text == "true" || text == "false"));
        fits.then(|| format!("write {text} without quotes"))
    }

    /// Accepts this value with the warning that it means nothing here.
    pub(super) fn ignore(&self, why: &str) {
        let key = path::last_part(&self.path);
        self.complain(
            Diagnostic::warning(Code::IgnoredKey, format!("{key} is ignored: {why}"))
                .found(self.node.describe())
                .help("remove the key"),
        );
    }

    /// Refuses this value because its feature is missing.
    pub(super) fn refuse_later(&self, feature: &str, expected: &str, help: &str) {
        self.complain(
            Diagnostic::error(Code::NotSupported, format!("{feature} is not supported yet"))
                .found(self.node.describe())
                .expected(expected)
                .help(help),
        );
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.refuse("true or false"),
        }
    }

    /// An integer, written as one, of at least `least`.
    pub(super) fn integer(&self, least: i64) -> Option<i64> {
        let expected = format!("an integer of at least {least}");
        let Value::Number(text) = &self.node.value else { return self.refuse(&expected) };
        match text.parse::<i64>() {
            Ok(value) if value >= least => Some(value),
            Ok(_) => self.refuse(&expected),
            Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => {
                self.refuse(&format!("an integer from {least} to {}", i64::MAX))
            }
            Err(_) => {
                let whole =
                    text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && *x >= least as f64 && *x < 1e15);
                self.refuse_with(
                    &expected,
                    whole.map(|x| format!("write {x:.0}, without fraction and exponent")),
                )
            }
        }
    }

    /// An integer, written as one, of at least `least`.
    pub(super) fn count(&self, least: u32) -> Option<u64> {
        self.integer(i64::from(least)).and_then(|value| u64::try_from(value).ok())
    }

    /// An integer, written as one, of at least `least`, that counts things in memory.
    pub(super) fn size(&self, least: u32) -> Option<usize> {
        self.integer(i64::from(least)).and_then(|value| usize::try_from(value).ok())
    }

    /// A finite number of a range.
    pub(super) fn number(&self, range: Range) -> Option<f64> {
        let Value::Number(text) = &self.node.value else { return self.refuse(range.expected) };
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() && (range.holds)(value) => Some(value),
            _ => self.refuse(range.expected),
        }
    }

    /// A string that is not empty.
    pub(super) fn string(&self) -> Option<String> {
        const EXPECTED: &str = "a string that is not empty";
        match (&self.node.value, &self.node.place) {
            (Value::String(text), _) if !text.is_empty() => Some(text.clone()),
            (Value::Number(text), Place::File(_)) => {
                self.refuse_with(EXPECTED, Some(format!("write \"{}\"", shorten(text))))
            }
            (Value::Number(text), Place::Override(at)) => {
                self.refuse_with(EXPECTED, Some(format!("write --set '{at}=\"{}\"'", shorten(text))))
            }
            _ => self.refuse(EXPECTED),
        }
    }

    /// One of a few strings, each with what it means.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let listed: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let expected = match &listed[..] {
            [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
            all => all.concat(),
        };
        let Value::String(text) = &self.node.value else { return self.refuse(&expected) };
        if let Some((_, meaning)) = choices.iter().find(|(name, _)| name == text) {
            return Some(*meaning);
        }
        let near = nearest(text, choices.iter().map(|(name, _)| *name));
        let message = format!("invalid value for {}", path::last_part(&self.path));
        let complaint =
            Diagnostic::error(Code::InvalidValue, message).found(self.node.describe()).expected(expected);
        self.complain(match near {
            Some(near) => complaint.nearest(Some(near)).help(format!("write \"{near}\"")),
            None => complaint,
        });
        None
    }

    /// A path of the file system, as it is written.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match &self.node.value {
            Value::String(text) if text.contains('\0') => self.refuse("a path without the character U+0000"),
            _ => self.string().map(PathBuf::from),
        }
    }

    /// One string, or an array of one or more, each read by `read`; `expected` says so of what they mean.
    pub(super) fn one_or_more<T>(&self, expected: &str, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        match &self.node.value {
            Value::Array(elements) if !elements.is_empty() => self.list(expected, read),
            Value::String(_) => read(self).map(|value| vec![value]),
            _ => self.refuse(expected),
        }
    }

    /// An array whose elements are read by `read`.
    pub(super) fn list<T>(&self, expected: &str, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(elements) = &self.node.value else { return self.refuse(expected) };
        let read: Vec<Option<T>> = elements
            .iter()
            .enumerate()
            .map(|(index, node)| {
                read(&Entry { report: self.report, node, path: path::element(&self.path, index) })
            })
            .collect();
        read.into_iter().collect()
    }

    /// The elements of an array, for messages; none of another value.
    pub(super) fn elements(&self) -> Vec<String> {
        let Value::Array(elements) = &self.node.value else { return Vec::new() };
        elements.iter().map(Node::describe).collect()
    }

    /// The members of an object, in order, to be read one by one; none of another value.
    pub(super) fn members(&self) -> Vec<(String, Self)> {
        let Value::Object(members) = &self.node.value else { return Vec::new() };
        let entry = |member: &'d Member| {
            let path = path::join(&self.path, &member.key);
            (member.key.clone(), Entry { report: self.report, node: &member.value, path })
        };
        members.iter().map(entry).collect()
    }

    /// An object, to be read key by key.
    pub(super) fn section(&self) -> Option<Section<'d>> {
        match &self.node.value {
            Value::Object(_) => Some(Section::new(self.report, self.path.clone(), Some(self.node))),
            _ => self.refuse("an object"),
        }
    }

    /// An object with whatever is in it, but for the key `without`.
    pub(super) fn options(&self, without: Option<&str>) -> Option<Map<String, serde_json::Value>> {
        let Value::Object(members) = &self.node.value else { return self.refuse("an object") };
        let options: Vec<Option<(String, serde_json::Value)>> = members
            .iter()
            .filter(|member| Some(member.key.as_str()) != without)
            .map(|member| {
                let path = path::join(&self.path, &member.key);
                let entry = Entry { report: self.report, node: &member.value, path };
                Some((member.key.clone(), entry.json()?))
            })
            .collect();
        options.into_iter().collect()
    }

    /// The value as it is, if all its numbers can be held exactly enough.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        Some(match &self.node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::String(text) => text.clone().into(),
            Value::Array(_) => self.list("an array", Self::json)?.into(),
            Value::Object(_) => self.options(None)?.into(),
            Value::Number(text) if text.contains(['.', 'e', 'E']) => {
                let number = text.parse().ok().and_then(serde_json::Number::from_f64);
                let Some(number) = number else {
                    return self.refuse("a number that a 64-bit float can hold");
                };
                number.into()
            }
            Value::Number(text) => {
                let Ok(number) = text.parse::<i64>() else {
                    return self.refuse("an integer of at most 64 bits");
                };
                number.into()
            }
        })
    }
}
