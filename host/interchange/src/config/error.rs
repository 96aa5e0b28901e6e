//! What can be wrong with the YAML files themselves.

use std::path::PathBuf;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;

use super::node::{Place, Sources};

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub(super) place: Option<Place>,
    pub(super) problem: Problem,
}

/// What is wrong with a YAML file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Problem {
    #[error("there is no config file `{}`", file.display())]
    Missing { file: PathBuf, nearest: Option<String> },
    #[error("`{}` is a directory", file.display())]
    Directory { file: PathBuf },
    #[error("the config file `{}` cannot be read", file.display())]
    Unreadable { file: PathBuf, cause: String },
    #[error("`{}` is too large for a config", file.display())]
    TooLarge { file: PathBuf, limit: u64 },
    #[error("the config file is not UTF-8")]
    NotUtf8 { byte: u8 },
    #[error("this is no YAML: {reason}")]
    Syntax { reason: String },
    #[error("the file holds {found} where a config is a mapping")]
    NoMapping { found: &'static str },
    #[error("the key `{key}` is given twice")]
    DuplicateKey { key: String },
    #[error("a key is {found}")]
    Key { found: &'static str },
    #[error("the tag `{tag}` is not read")]
    Tag { tag: String },
    #[error("a second document begins here")]
    SecondDocument,
    #[error("the config is nested more than {limit} levels deep")]
    TooDeep { limit: usize },
    #[error("the config has more than {limit} values, those counted that an alias repeats")]
    TooMany { limit: usize },
    #[error("an alias stands for no value that is complete")]
    Alias,
    #[error("`<<` takes mappings, and this is {found}")]
    Merge { found: &'static str },
    #[error("an entry of `defaults` is not read: {why}")]
    Defaults { why: String },
    #[error("`${{{name}}}` is not read")]
    Resolver { name: String },
    #[error("`${{{name}}}` leads to no value")]
    NoTarget { name: String },
    #[error("`${{{name}}}` leads back to itself")]
    Circle { name: String },
    #[error("`${{{name}}}` stands within a text, and is {found}")]
    WithinText { name: String, found: &'static str },
    #[error("JSON has no number {found}")]
    Number { found: f64 },
}

impl Error {
    pub(super) fn at(place: Place, problem: Problem) -> Self {
        Self { place: Some(place), problem }
    }

    /// The complaint.
    pub(super) fn diagnostic(&self, sources: &Sources) -> Diagnostic {
        let error = Diagnostic::error(Code::Yaml, self.problem.to_string());
        let error = match self.place {
            Some(place) => error.located(sources.location(place)),
            None => error,
        };
        match &self.problem {
            Problem::Missing { nearest, .. } => error
                .found("no such file")
                .expected("a config of OpenKiwi, in YAML")
                .nearest(nearest.clone())
                .help(
                    "name a file that exists; files of `defaults` lie beside the config, as GROUP/NAME.yaml",
                ),
            Problem::Directory { .. } => {
                error.expected("a config of OpenKiwi, in YAML").help("name a file in it")
            }
            Problem::Unreadable { cause, .. } => {
                error.note(cause.clone()).help("check the file's permissions")
            }
            Problem::TooLarge { limit, .. } => error
                .found(format!("more than {} MiB", limit >> 20))
                .expected("a config of OpenKiwi, in YAML")
                .help("give the config, not a corpus or a saved system"),
            Problem::NotUtf8 { byte } => error
                .found(format!("the byte 0x{byte:02X}"))
                .expected("text in UTF-8")
                .help("save the file as UTF-8"),
            Problem::Syntax { .. } => error.expected("YAML").help("correct the file"),
            Problem::NoMapping { .. } => {
                error.expected("the sections run, trainer, data and system").help("give a config of OpenKiwi")
            }
            Problem::DuplicateKey { .. } => error.help("leave one of the two out"),
            Problem::Key { .. } => error.expected("a text").help("write a name before the colon"),
            Problem::Tag { .. } => error.expected("plain values").help("write the value without a tag"),
            Problem::SecondDocument => error.expected("one document").help("leave the others out"),
            Problem::TooDeep { .. } | Problem::TooMany { .. } | Problem::Alias => {
                error.help("no config of OpenKiwi is like this: give another file")
            }
            Problem::Merge { .. } => {
                error.expected("a mapping, or a list of mappings").help("write the keys out")
            }
            Problem::Defaults { .. } => error
                .expected("`- GROUP: NAME`, `- NAME` or `- _self_`")
                .help("merge by hand what this entry stands for, and leave it out"),
            Problem::Resolver { .. } => error
                .expected("`${section.key}`, a value of the same config")
                .help("write the value in its place"),
            Problem::NoTarget { .. } | Problem::Circle { .. } | Problem::WithinText { .. } => {
                error.expected("the path of a value of the config").help("write the value in its place")
            }
            Problem::Number { .. } => error.expected("a finite number").help("give a finite number"),
        }
    }
}
