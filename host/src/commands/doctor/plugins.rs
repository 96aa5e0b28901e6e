//! Plugins: where they are looked for, which there are, and what is odd about them. Nothing of them is run.

use std::collections::BTreeMap;

use kiwi_core::diagnostic::{Diagnostic, Severity};
use kiwi_core::plan;
use kiwi_core::plugins::registry::Searched;
use kiwi_core::plugins::{Kind, Registry, permissions};
use kiwi_core::request::Common;

use super::finding::{Finding, Level, Section};

pub(super) fn findings(common: &Common) -> Vec<Finding> {
    let registry = plan::discover(common);
    let mut findings: Vec<_> =
        registry.directories.iter().map(|searched| directory(searched, &registry)).collect();
    findings.push(usable(&registry));
    findings.extend(registry.rejected.iter().map(|rejected| {
        let file = rejected.path.display().to_string();
        // The reasons say what to do.
        new("unusable", Level::Warning, format!("{file}: it {}", rejected.reason())).fact("file", file)
    }));
    findings.extend(registry.shadowed.iter().filter(|shadowed| !shadowed.identical).map(|shadowed| {
        let (file, by) = (shadowed.path.display(), shadowed.by.display());
        let name = &shadowed.metadata.name;
        new(
            "hidden",
            Level::Warning,
            format!("{file} is not used: {by} is called {name} too, and was found first"),
        )
        .help("remove one of them, or name the directory of the one that you want with --plugin-dir")
        .fact("file", file.to_string())
        .fact("by", by.to_string())
    }));
    findings.extend(ambiguous(&registry));
    findings.extend(exposed(&registry));
    findings.extend(registry.diagnostics.iter().filter(|one| !is_about_directory(one, &registry)).map(other));
    findings
}

fn new(check: &'static str, level: Level, message: String) -> Finding {
    Finding::new(Section::Plugins, check, level, message)
}

/// A directory of the search, with what it holds.
fn directory(searched: &Searched, registry: &Registry) -> Finding {
    let path = &searched.directory.path;
    let lies_here = |file: &std::path::Path| file.parent() == Some(path);
    let usable = registry.plugins.iter().filter(|one| lies_here(&one.path)).count();
    let hidden = registry.shadowed.iter().filter(|one| lies_here(&one.path)).count();
    let unusable = registry.rejected.iter().filter(|one| lies_here(&one.path)).count();
    let origin = searched.directory.origin;
    let shown = format!("{} ({origin})", path.display());
    let complaint = registry.diagnostics.iter().find(|one| is_about(one, searched));
    let finding = match (&searched.problem, complaint) {
        (Some(problem), Some(complaint)) => {
            let help =
                complaint.help.as_deref().unwrap_or("make it a directory that can be read, or remove it");
            new("directory", level(complaint), format!("{shown} {problem}")).help(help)
        }
        (Some(problem), None) => new("directory", Level::Ok, format!("{shown} {problem}, and need not")),
        (None, _) => {
            let mut holds = vec![counted(usable, "plugin")];
            if hidden > 0 {
                holds.push(format!("{} found before", counted(hidden, "plugin")));
            }
            if unusable > 0 {
                holds.push(format!("{} that cannot be used", counted(unusable, "file")));
            }
            new("directory", Level::Ok, format!("{shown}: {}", holds.join(", ")))
        }
    };
    finding
        .fact("path", path.display().to_string())
        .fact("origin", origin.to_string())
        .fact("searched", searched.searched)
        .fact("usable", usable)
        .fact("hidden", hidden)
        .fact("unusable", unusable)
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn level(complaint: &Diagnostic) -> Level {
    match complaint.severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warning,
    }
}

fn is_about(complaint: &Diagnostic, searched: &Searched) -> bool {
    complaint.message.starts_with(&format!("the plugin directory {} ", searched.directory.path.display()))
}

fn is_about_directory(complaint: &Diagnostic, registry: &Registry) -> bool {
    registry.directories.iter().any(|searched| is_about(complaint, searched))
}

/// Whatever else was complained about.
fn other(complaint: &Diagnostic) -> Finding {
    let finding = new("plugins", level(complaint), complaint.message.clone());
    let finding = finding.notes(complaint.notes.iter().cloned());
    match &complaint.help {
        Some(help) => finding.help(help),
        None => finding,
    }
}

/// The plugins that can be used, and whether there is one of every kind that training takes.
fn usable(registry: &Registry) -> Finding {
    let names: Vec<_> = registry
        .plugins
        .iter()
        .map(|one| format!("{} {}", one.metadata.name, one.metadata.version))
        .collect();
    let kinds = [Kind::Encoder, Kind::Head, Kind::Optimizer];
    let lacking: Vec<_> = kinds
        .into_iter()
        .filter(|kind| !registry.plugins.iter().any(|one| one.classes(*kind).next().is_some()))
        .map(Kind::with_article)
        .collect();
    let finding = match (names.is_empty(), lacking.is_empty()) {
        (true, _) => {
            new("usable", Level::Error, "no plugin can be used, so that there is nothing to train".to_owned())
                .help("install kiwi-host again, or name a directory of plugins with --plugin-dir")
        }
        (false, false) => {
            let message = format!("{}; none of them registers {}", names.join(", "), lacking.join(" or "));
            new("usable", Level::Warning, message).help(
                "name a directory of plugins that do with --plugin-dir; `kiwi-host plugins list` shows all",
            )
        }
        (false, true) => new("usable", Level::Ok, names.join(", ")),
    };
    let registered = registry.plugins.iter().flat_map(|plugin| {
        let kinds = [Kind::System, Kind::Encoder, Kind::Head, Kind::Optimizer, Kind::Metric];
        kinds.into_iter().filter_map(|kind| {
            let classes: Vec<_> = plugin.classes(kind).collect();
            (!classes.is_empty()).then(|| format!("{}: {kind} {}", plugin.metadata.name, classes.join(", ")))
        })
    });
    finding.notes(registered).fact("plugins", names)
}

/// Classes that more than one plugin registers.
fn ambiguous(registry: &Registry) -> Vec<Finding> {
    let mut plugins: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for kind in [Kind::System, Kind::Encoder, Kind::Head, Kind::Optimizer, Kind::Metric] {
        for plugin in &registry.plugins {
            for class in plugin.classes(kind) {
                plugins.entry((kind.name(), class.to_owned())).or_default().push(&plugin.metadata.name);
            }
        }
    }
    let several = plugins.into_iter().filter(|(_, plugins)| plugins.len() > 1);
    several
        .map(|((kind, class), plugins)| {
            let names: Vec<_> = plugins.iter().map(|plugin| format!("`{plugin}::{class}`")).collect();
            let message = format!("{} register {kind} `{class}`", plugins.join(" and "));
            new("ambiguous", Level::Warning, message)
                .help(format!("write {} in configs", names.join(" or ")))
                .fact("class", class)
                .fact("plugins", plugins.into_iter().map(str::to_owned).collect::<Vec<_>>())
        })
        .collect()
}

/// Plugins that others can change.
fn exposed(registry: &Registry) -> Vec<Finding> {
    let mut exposed: Vec<_> =
        registry.plugins.iter().flat_map(|one| permissions::exposed(&one.path)).collect();
    // What plugins of one directory have in common is said once.
    exposed.sort_by(|a, b| a.path.cmp(&b.path));
    exposed.dedup_by(|a, b| a.how == b.how);
    exposed
        .into_iter()
        .map(|one| {
            new("permissions", Level::Warning, format!("{} ({})", one.how, one.found))
                .help(one.help)
                .fact("path", one.path.display().to_string())
        })
        .collect()
}
