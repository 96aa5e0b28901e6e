//! The section `data`: the parallel corpora. Whether the files are there and of equal length is found when they are
//! read.

use std::path::PathBuf;

use super::sides;
use crate::config::document::{Node, Value};
use crate::config::path;
use crate::config::reader::{Entry, PART, Section};
use crate::config::sections::{Corpora, DataSection, Sides, ValidationSet};
use crate::config::syntax::shorten;
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;

const CORPUS: &str = "an object: {\"input\": {\"source\": …, \"target\": …}}";
const FILES: &str = "a path, or a list of one or more paths";
const UNUSED: &str = "this training does not use it";

pub(super) fn data(mut section: Section<'_>) -> Option<DataSection> {
    let train = section.required("train", CORPUS, Entry::section).and_then(corpus);
    let valid = section.entry("valid").filter(|entry| !entry.is_null());
    let split = section.entry("split").filter(|entry| !entry.is_null());
    match (&valid, &split) {
        (Some(_), Some(split)) => split.complain(
            Diagnostic::error(Code::ConflictingKeys, "data.valid and data.split exclude one another")
                .found("both")
                .expected("data.valid (files to validate on) or data.split (a share of data.train to keep)")
                .help("remove one of the two"),
        ),
        (None, None) => section.complain(
            Diagnostic::error(Code::MissingKey, "data.valid or data.split is required")
                .at(section.path_of("valid"))
                .found("neither")
                .expected(format!(
                    "{CORPUS}; or a share of data.train that is kept for training as data.split"
                ))
                .help("add \"valid\", or \"split\": 0.9"),
        ),
        _ => {}
    }
    let valid = match valid {
        Some(entry) => validation_sets(&entry),
        None => Some(Vec::new()),
    };
    let split = split.and_then(|entry| entry.number(PART));
    let test = match section.entry("test").filter(|entry| !entry.is_null()) {
        Some(entry) => validation_sets(&entry),
        None => Some(Vec::new()),
    };
    let no_limit = Sides { source: None, target: None };
    let max_length = section.or("max_length", no_limit, |entry| sides(entry, None, length));
    let buffer_size = section.optional("buffer_size", |entry| entry.size(1));
    section.finish();
    Some(DataSection { train: train?, valid: valid?, test: test?, split, max_length, buffer_size })
}

fn length(entry: &Entry<'_>) -> Option<Option<usize>> {
    match entry.value() {
        Value::Null => Some(None),
        Value::Number(_) => entry.size(1).map(Some),
        _ => entry.refuse("an integer of at least 1 (words), null, or {source, target} with one for each"),
    }
}

/// One set, or several by their names.
fn validation_sets(entry: &Entry<'_>) -> Option<Vec<ValidationSet>> {
    if !is_named_sets(entry.node()) {
        let files = entry.section().and_then(corpus)?;
        return Some(vec![ValidationSet { name: None, files, path: entry.path().to_owned() }]);
    }
    let sets: Vec<Option<ValidationSet>> = entry
        .members()
        .into_iter()
        .map(|(name, entry)| {
            let path = entry.path().to_owned();
            let name = set_name(&name, &entry);
            let files = entry.section().and_then(corpus);
            Some(ValidationSet { name: Some(name?), files: files?, path })
        })
        .collect();
    sets.into_iter().collect()
}

/// Names become part of metric and file names.
fn set_name(name: &str, entry: &Entry<'_>) -> Option<String> {
    if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) {
        return Some(name.to_owned());
    }
    entry.complain(
        Diagnostic::error(Code::Metric, "a set of pairs cannot be named so: its metrics carry the name")
            .found(format!("`{}`", shorten(name)))
            .expected("letters, digits, `_`, `-` and `.`, at least one of them")
            .help("choose another name"),
    );
    None
}

/// Whether this is `{name: {"input": …}, …}`: a misspelt `input` of a single set holds the files itself.
fn is_named_sets(node: &Node) -> bool {
    match &node.value {
        Value::Object(members) => {
            node.get("input").is_none() && members.iter().any(|member| member.value.get("input").is_some())
        }
        _ => false,
    }
}

fn corpus(mut section: Section<'_>) -> Option<Corpora> {
    let input = section
        .required("input", "an object: {\"source\": …, \"target\": …}", Entry::section)
        .and_then(input);
    output(&mut section);
    section.finish();
    input
}

/// What a system that estimates quality is trained to give: the config of one can be used here as it is.
fn output(section: &mut Section<'_>) {
    if let Some(entry) = section.entry("output").filter(|entry| !entry.is_null()) {
        match entry.value() {
            Value::Object(_) => entry.ignore(UNUSED),
            _ => drop(entry.section()),
        }
    }
}

fn input(mut section: Section<'_>) -> Option<Corpora> {
    let files = |entry: &Entry<'_>| entry.one_or_more(FILES, Entry::file);
    let source = section.required("source", FILES, files);
    let target = section.required("target", FILES, files);
    let post_edit = post_edit(&mut section);
    for key in ["alignments", "source_pos", "target_pos"] {
        section.ignore(key, UNUSED);
    }
    let target_path = section.path_of("target");
    for (path, given) in [(&target_path, &target), (&post_edit.path, &post_edit.files)] {
        if let (Some(source), Some(given)) = (&source, given)
            && source.len() != given.len()
        {
            let field = path::last_part(path);
            let found = format!("{} for source, {} for {field}", count(source.len()), count(given.len()));
            section.complain(
                Diagnostic::error(
                    Code::LineCounts,
                    format!("source and {field} differ in their number of files"),
                )
                .at(path)
                .found(found)
                .expected(format!("a {field} file for each source file, in the same order")),
            );
        }
    }
    section.finish();
    Some(Corpora { source: source?, target: target?, post_edit: post_edit.files })
}

/// The post-edits, and the path they are given at.
struct PostEdit {
    path: String,
    files: Option<Vec<PathBuf>>,
}

/// `pe`, or by its older name `post_edit`.
fn post_edit(section: &mut Section<'_>) -> PostEdit {
    let given = |entry: &Entry<'_>| !entry.is_null();
    let new = section.entry("pe").filter(given);
    let old = section.entry("post_edit").filter(given);
    if let (Some(_), Some(old)) = (&new, &old) {
        old.complain(
            Diagnostic::error(Code::ConflictingKeys, "pe and post_edit are two names of one key")
                .found("both")
                .expected("one of them")
                .help("remove `post_edit`, the older name"),
        );
    }
    match new.or(old) {
        Some(entry) => {
            PostEdit { path: entry.path().to_owned(), files: entry.one_or_more(FILES, Entry::file) }
        }
        None => PostEdit { path: section.path_of("pe"), files: None },
    }
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
