//! `plugins list --why`: the search for a class as it happened.

use std::path::Path;

use kiwi_core::data_format;
use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugins::explain::{Directory, Explanation, File, Outcome, Registered, Status};
use kiwi_core::plugins::{Kind, Registry};
use kiwi_core::request::Format;
use serde_json::{Value, json};

use super::{print_data, print_for_people};
use crate::print::clean;

/// Prints how `asked` was looked up; 0 if it stands for one component, else 3.
pub(super) fn why(
    asked: &str,
    kind: Option<Kind>,
    format: Format,
    registry: &Registry,
) -> Result<i32, Failure> {
    let explanation = registry.explain(kind, asked);
    match format {
        Format::Human => print_for_people(for_people(&explanation))?,
        Format::Json => print_data([data_format::line(as_json(&explanation))])?,
    }
    Ok(if explanation.resolves { ExitCode::Success } else { ExitCode::Plugin }.number())
}

fn as_json(explanation: &Explanation) -> Value {
    // Paths that are no Unicode cannot be written as JSON otherwise.
    serde_json::to_value(explanation)
        .unwrap_or_else(|error| json!({"asked": explanation.asked, "error": error.to_string()}))
}

fn for_people(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    for outcome in &explanation.outcomes {
        lines.extend(result(explanation, outcome));
    }
    lines.push("searched, in this order:".to_owned());
    lines.extend(explanation.directories.iter().flat_map(directory));
    lines.iter().map(|line| clean(line)).collect()
}

fn result(explanation: &Explanation, outcome: &Outcome) -> Vec<String> {
    let asked = &explanation.asked;
    let what = outcome.kind.map_or_else(|| "a class".to_owned(), |kind| kind.with_article().to_owned());
    let mut lines = Vec::new();
    match (&outcome.used, &outcome.registered[..]) {
        (Some(used), all) => {
            lines.push(format!("`{asked}` as {what} is {}", registered(used)));
            if explanation.plugin.is_none() {
                lines.push(format!("  `{}` means it whatever else is installed", used.qualified));
            }
            let others = all.iter().filter(|one| *one != used);
            lines.extend(others.map(|other| format!("  not used: {}", registered(other))));
        }
        (None, all) if explanation.plugin.is_none() && all.len() > 1 => {
            lines.push(format!("`{asked}` as {what} is ambiguous: more than one plugin registers it"));
            lines.extend(all.iter().map(|one| format!("  {}", registered(one))));
            let names: Vec<_> = all.iter().map(|one| format!("`{}`", one.qualified)).collect();
            lines.push(format!("  write the plugin's name before the class: {}", names.join(" or ")));
        }
        (None, all) => {
            lines.push(match outcome.kind {
                Some(kind) => format!("no {kind} named `{asked}` is registered"),
                None => format!("nothing named `{asked}` is registered"),
            });
            lines.extend(all.iter().map(|one| format!("  there is {}", registered(one))));
            if let Some(nearest) = &outcome.nearest {
                lines.push(format!("  did you mean `{nearest}`?"));
            }
            lines.extend(outcome.reasons.iter().map(|reason| format!("  {reason}")));
        }
    }
    lines
}

fn registered(one: &Registered) -> String {
    format!("`{}` {}, of {}", one.qualified, one.version, one.file.display())
}

fn directory(directory: &Directory) -> Vec<String> {
    let Directory { path, origin, problem, files } = directory;
    let mut line = format!("  {} ({origin})", path.display());
    match problem {
        Some(problem) => line.push_str(&format!(": {problem}")),
        None if files.is_empty() => line.push_str(": no libraries"),
        None => {}
    }
    std::iter::once(line).chain(files.iter().map(|one| format!("    {}", file(one)))).collect()
}

fn file(file: &File) -> String {
    let name = file.path.file_name().map_or_else(String::new, |name| Path::new(name).display().to_string());
    let plugin = match (&file.plugin, &file.version) {
        (Some(plugin), Some(version)) => format!(": {plugin} {version}"),
        _ => String::new(),
    };
    let status = match file.status {
        Status::Usable => String::new(),
        Status::Hidden => format!(", hidden: {}", file.reasons.join("; ")),
        Status::Unusable => format!(", cannot be used: {}", file.reasons.join("; and ")),
        Status::PassedOver => ", passed over: no plugin".to_owned(),
    };
    let kinds: Vec<_> = file.registers.iter().map(|kind| kind.with_article()).collect();
    let registers =
        if kinds.is_empty() { String::new() } else { format!(", registers it as {}", kinds.join(" and ")) };
    format!("{name}{plugin}{registers}{status}")
}
