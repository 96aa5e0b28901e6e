//! `plugins list`: what each plugin registers, and which files cannot be used. Nothing of them is run.

use std::collections::BTreeSet;

use kiwi_core::data_format;
use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugins::{Registry, Rejected};
use kiwi_core::request::Format;
use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::json;

use super::{print_data, print_for_people, registered, text, warnings};
use crate::arguments::ListArguments;
use crate::print::clean;

pub(super) fn run(arguments: &ListArguments, registry: &Registry, verbose: bool) -> Result<i32, Failure> {
    match arguments.format.into() {
        Format::Human => print_for_people(list_for_people(registry, verbose))?,
        Format::Json => print_data(list_as_json(registry, verbose))?,
    }
    Ok(ExitCode::Success.number())
}

fn list_for_people(registry: &Registry, verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for plugin in &registry.plugins {
        let PluginMetadata { name, version, .. } = &plugin.metadata;
        lines.push(clean(&format!("{name} {version}  {}", plugin.path.display())));
        lines.extend(registered(&plugin.metadata));
    }
    if registry.plugins.is_empty() {
        lines.push("no plugins that can be used".to_owned());
    }
    // What plugins of one directory have in common is said once.
    let exposed: BTreeSet<_> = registry.plugins.iter().flat_map(|one| warnings(&one.path)).collect();
    lines.extend(exposed.iter().map(|one| clean(&format!("warning: {one}"))));
    for shadowed in registry.shadowed.iter().filter(|shadowed| verbose || !shadowed.identical) {
        let PluginMetadata { name, version, .. } = &shadowed.metadata;
        let (path, by) = (shadowed.path.display(), shadowed.by.display());
        let what = if shadowed.identical { "the same file" } else { "another plugin of this name" };
        lines.push(clean(&format!("not used: {path}: {name} {version}; {what}, {by}, was found first")));
    }
    let unusable = |rejected: &Rejected| {
        clean(&format!("cannot be used: {}: it {}", rejected.path.display(), rejected.reason()))
    };
    lines.extend(registry.rejected.iter().map(unusable));
    if verbose {
        lines.extend(registry.ignored.iter().map(|ignored| {
            clean(&format!("passed over: {}: it {}", ignored.path.display(), ignored.reason()))
        }));
    }
    if verbose || registry.plugins.is_empty() {
        lines.extend(registry.directories.iter().map(|one| {
            let (path, origin) = (one.directory.path.display(), one.directory.origin);
            clean(&format!("searched: {path} ({origin}){}", if one.searched { "" } else { ": not there" }))
        }));
    }
    lines
}

fn list_as_json(registry: &Registry, verbose: bool) -> Vec<String> {
    let rejected = |status: &'static str| move |one: &Rejected| json!({"status": status, "file": text(&one.path), "reasons": reasons(one), "metadata": one.metadata});
    let usable = registry
        .plugins
        .iter()
        .map(|one| json!({"status": "usable", "file": text(&one.path), "metadata": one.metadata, "warnings": warnings(&one.path)}));
    let hidden = registry.shadowed.iter().map(|one| {
        let (file, by) = (text(&one.path), text(&one.by));
        json!({"status": "hidden", "file": file, "hidden_by": by, "identical": one.identical, "metadata": one.metadata})
    });
    let mut all: Vec<_> = usable.chain(hidden).collect();
    all.extend(registry.rejected.iter().map(rejected("unusable")));
    if verbose {
        all.extend(registry.ignored.iter().map(rejected("passed_over")));
    }
    all.into_iter().map(data_format::line).collect()
}

fn reasons(rejected: &Rejected) -> Vec<String> {
    rejected.reasons.iter().map(ToString::to_string).collect()
}
