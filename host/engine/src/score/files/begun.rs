//! What there is of a job before it is begun or gone on with: nothing, a part, or all of it.

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::scoring::{KeepRule, Scoring};
use serde_json::{Map, Value};

use super::{Point, Role, beside, folder_of, invalid, is_there};

/// What there is of a job on the disk.
pub(in crate::score) enum Begun {
    /// Nothing.
    Nothing,
    /// A part.
    Part(Box<Point>),
    /// All of it, under its own names.
    All,
}

/// The files of a job with what they hold, the one that progress is kept beside first.
pub(super) fn named(scoring: &Scoring) -> Vec<(Role, PathBuf)> {
    let mut names = Vec::new();
    if let Some(keep) = &scoring.keep {
        let kept = [(Role::Source, &keep.source), (Role::Target, &keep.target), (Role::Lines, &keep.lines)];
        names.extend(kept.into_iter().filter_map(|(role, name)| Some((role, name.clone()?))));
    }
    names.extend(scoring.output.clone().map(|name| (Role::Scores, name)));
    let best = scoring.keep.as_ref().is_some_and(|keep| matches!(keep.rule, KeepRule::Best(_)));
    if let Some((_, first)) = names.first().filter(|_| best) {
        let name = beside(first, ".perplexities");
        names.push((Role::Perplexities, name));
    }
    names
}

/// Looks at what there is of a job.
///
/// # Errors
/// A file that would be written over, or a part of a job that is not to be gone on with, or cannot be.
pub(in crate::score) fn look(scoring: &Scoring) -> Result<Begun, Failure> {
    let names = named(scoring);
    let Some((_, first)) = names.first() else { return Ok(Begun::Nothing) };
    if let Some((_, name)) = names.iter().find(|(_, name)| !folder_of(name).is_dir()) {
        let error = Diagnostic::error(
            Code::FileUnwritable,
            format!("there is no folder {}", folder_of(name).display()),
        );
        return Err(invalid(
            error.found(name.display().to_string()).help("make the folder, or mend the path"),
        ));
    }
    let progress = beside(first, ".progress");
    let results: Vec<&PathBuf> =
        names.iter().filter(|(role, _)| *role != Role::Perplexities).map(|(_, name)| name).collect();
    match (is_there(&progress), scoring.resume) {
        (true, true) => return read(&progress).map(|point| Begun::Part(Box::new(point))),
        (true, false) => {
            let error = Diagnostic::error(
                Code::ScoringJob,
                format!("a job that writes {} is not finished", first.display()),
            );
            return Err(invalid(error.found(progress.display().to_string()).help(format!(
                "add --resume to go on with it, or remove {} and the files that end in .partial to begin anew",
                progress.display()
            ))));
        }
        (false, true) if results.iter().all(|name| is_there(name)) => return Ok(Begun::All),
        (false, _) => {}
    }
    let partials: Vec<PathBuf> = names.iter().map(|(_, name)| beside(name, ".partial")).collect();
    if let Some(there) = results.into_iter().chain(&partials).find(|name| is_there(name)) {
        let error = Diagnostic::error(
            Code::FileExists,
            format!("{} exists already, and nothing is overwritten", there.display()),
        );
        return Err(invalid(error.help("choose another name, or remove the file")));
    }
    Ok(Begun::Nothing)
}

fn read(progress: &Path) -> Result<Point, Failure> {
    let refuse = |cause: String| {
        let error = Diagnostic::error(
            Code::ScoringJob,
            format!("{} cannot be gone on from: {cause}", progress.display()),
        );
        invalid(error.help("begin anew: remove it and the files that end in .partial"))
    };
    let text = fs::read(progress).map_err(|error| refuse(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
}

/// Whether what was begun is this job.
pub(super) fn same(
    begun: &Map<String, Value>,
    job: &Map<String, Value>,
    progress: &Path,
) -> Result<(), Failure> {
    let names: std::collections::BTreeSet<&String> = begun.keys().chain(job.keys()).collect();
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let others: Vec<String> = names
        .into_iter()
        .filter(|name| begun.get(*name) != job.get(*name))
        .map(|name| format!("{name}: {} then, {} now", text(begun.get(name)), text(job.get(name))))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let mut error = Diagnostic::error(Code::ScoringJob, "what was begun is not what is asked for now");
    error.notes = others;
    Err(invalid(error.found(progress.display().to_string()).help(
        "give the command that it was begun with, or remove that file and those that end in .partial to begin anew",
    )))
}
