//! The section `data`: the parallel corpora. Whether the files are there and of equal length is found when they are
//! read.

use crate::config::document::{Node, Value};
use crate::config::later;
use crate::config::reader::{Entry, PART, Section};
use crate::config::sections::{Corpora, DataSection};
use crate::diagnostic::Diagnostic;

const CORPUS: &str = "an object: {\"input\": {\"source\": …, \"target\": …}}";
const FILES: &str = "a path, or a list of one or more paths";
const UNUSED: &str = "this training does not use it";

pub(super) fn data(mut section: Section<'_>) -> Option<DataSection> {
    let train = section.required("train", CORPUS, Entry::section).and_then(corpus);
    let valid = section.entry("valid").filter(|entry| !entry.is_null());
    let split = section.entry("split").filter(|entry| !entry.is_null());
    match (&valid, &split) {
        (Some(_), Some(split)) => split.complain(
            Diagnostic::error("data.valid and data.split exclude one another")
                .found("both")
                .expected("data.valid (files to validate on) or data.split (a share of data.train to keep)")
                .help("remove one of the two"),
        ),
        (None, None) => section.complain(
            Diagnostic::error("data.valid or data.split is required")
                .at(section.path_of("valid"))
                .found("neither")
                .expected(format!(
                    "{CORPUS}; or a share of data.train that is kept for training as data.split"
                ))
                .help("add \"valid\", or \"split\": 0.9"),
        ),
        _ => {}
    }
    let valid = valid.as_ref().and_then(validation_corpus);
    let split = split.and_then(|entry| entry.number(PART));
    section.finish();
    Some(DataSection { train: train?, valid, split })
}

fn validation_corpus(entry: &Entry<'_>) -> Option<Corpora> {
    if is_named_sets(entry.node()) {
        entry.refuse_later(later::NAMED_VALIDATION_SETS, "one set: {\"input\": …}", "choose one of the sets");
        return None;
    }
    entry.section().and_then(corpus)
}

/// Whether this is `{name: {"input": …}, …}`.
fn is_named_sets(node: &Node) -> bool {
    match &node.value {
        Value::Object(members) if node.get("input").is_none() => {
            !members.is_empty() && members.iter().all(|member| member.value.get("input").is_some())
        }
        _ => false,
    }
}

fn corpus(mut section: Section<'_>) -> Option<Corpora> {
    let input = section
        .required("input", "an object: {\"source\": …, \"target\": …}", Entry::section)
        .and_then(input);
    section.ignore("output", UNUSED);
    section.finish();
    input
}

fn input(mut section: Section<'_>) -> Option<Corpora> {
    let files = |entry: &Entry<'_>| entry.one_or_more(FILES, Entry::file);
    let source = section.required("source", FILES, files);
    let target = section.required("target", FILES, files);
    for key in ["alignments", "source_pos", "target_pos"] {
        section.ignore(key, UNUSED);
    }
    let path = section.path_of("target");
    if let (Some(source), Some(target)) = (&source, &target)
        && source.len() != target.len()
    {
        section.complain(
            Diagnostic::error("source and target differ in their number of files")
                .at(path)
                .found(format!("{} for source, {} for target", count(source.len()), count(target.len())))
                .expected("a target file for each source file, in the same order"),
        );
    }
    section.finish();
    Some(Corpora { source: source?, target: target? })
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
