//! `plugins list` and `plugins inspect`: what plugin files say about themselves. Nothing of them is run, and a file that
//! cannot be used is something to list, not a failure.

mod why;

use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::{Diagnostic, Failure, nearest};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::plugins::{Kind, Registry, Rejected, inspect};
use kiwi_core::request::Format;
use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::{Value, json};

use super::{common, print_data};
use crate::arguments::{CommonOptions, InspectArguments, ListArguments, PluginsArguments, PluginsCommand};
use crate::print::{self, clean};

pub(super) fn run(arguments: PluginsArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let registry = plan::discover(&common(options)?);
    let errors: Vec<_> = registry.errors().cloned().collect();
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
    }
    if !options.quiet {
        print::diagnostics(&registry.diagnostics);
    }
    match arguments.command {
        PluginsCommand::List(arguments) => match &arguments.why {
            Some(asked) => {
                why::why(asked, arguments.kind.map(Kind::from), arguments.format.into(), &registry)
            }
            None => list(&arguments, &registry, options.verbose),
        },
        PluginsCommand::Inspect(arguments) => show(&arguments, &registry),
    }
}

fn list(arguments: &ListArguments, registry: &Registry, verbose: bool) -> Result<i32, Failure> {
    print_data(match arguments.format.into() {
        Format::Human => list_for_people(registry, verbose),
        Format::Json => list_as_json(registry, verbose),
    })?;
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
        .map(|one| json!({"status": "usable", "file": text(&one.path), "metadata": one.metadata}));
    let hidden = registry.shadowed.iter().map(|one| {
        let (file, by) = (text(&one.path), text(&one.by));
        json!({"status": "hidden", "file": file, "hidden_by": by, "identical": one.identical, "metadata": one.metadata})
    });
    let mut all: Vec<_> = usable.chain(hidden).collect();
    all.extend(registry.rejected.iter().map(rejected("unusable")));
    if verbose {
        all.extend(registry.ignored.iter().map(rejected("passed_over")));
    }
    all.iter().map(Value::to_string).collect()
}

fn reasons(rejected: &Rejected) -> Vec<String> {
    rejected.reasons.iter().map(ToString::to_string).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A line for each thing that a plugin registers, in columns.
fn registered(plugin: &PluginMetadata) -> Vec<String> {
    let systems = plugin.systems.iter().map(|one| {
        let parts = format!("{} with {}", one.encoder, one.head);
        let summary = if one.summary.is_empty() { parts } else { format!("{} ({parts})", one.summary) };
        (Kind::System.name().to_owned(), one.class.clone(), summary)
    });
    let components =
        plugin.components.iter().map(|one| (one.kind.clone(), one.class.clone(), one.summary.clone()));
    let all: Vec<_> = systems.chain(components).collect();
    let width = all.iter().map(|(_, class, _)| class.chars().count()).max().unwrap_or(0);
    all.iter()
        .map(|(kind, class, summary)| clean(format!("  {kind:<9}  {class:<width$}  {summary}").trim_end()))
        .collect()
}

/// What is known about one file.
struct Facts {
    file: PathBuf,
    sha256: Option<String>,
    metadata: Option<PluginMetadata>,
    reasons: Vec<String>,
}

fn show(arguments: &InspectArguments, registry: &Registry) -> Result<i32, Failure> {
    let file = find_file(&arguments.plugin, registry)?;
    let facts = examine(file);
    print_data(match arguments.format.into() {
        Format::Human => facts.for_people(),
        Format::Json => vec![facts.as_json().to_string()],
    })?;
    Ok(if facts.reasons.is_empty() { ExitCode::Success } else { ExitCode::Plugin }.number())
}

fn examine(file: PathBuf) -> Facts {
    // Read once, so that hash and metadata are of the same bytes.
    match inspect::read_file(&file) {
        Ok(bytes) => {
            let inspection = inspect::inspect_bytes(&bytes);
            Facts {
                sha256: Some(inspect::sha256(&bytes)),
                metadata: inspection.metadata,
                reasons: inspection.rejections.iter().map(ToString::to_string).collect(),
                file,
            }
        }
        Err(rejection) => Facts { file, sha256: None, metadata: None, reasons: vec![rejection.to_string()] },
    }
}

/// The file that is meant: one that exists, else that of an installed plugin.
fn find_file(asked: &Path, registry: &Registry) -> Result<PathBuf, Failure> {
    if asked.exists() {
        return Ok(asked.to_owned());
    }
    let name = asked.to_string_lossy();
    if let Some(plugin) = registry.plugin(&name) {
        return Ok(plugin.path.clone());
    }
    // What cannot be used is worth inspecting most of all.
    let rejected = |one: &&Rejected| one.metadata.as_ref().is_some_and(|metadata| metadata.name == *name);
    if let Some(rejected) = registry.rejected.iter().find(rejected) {
        return Ok(rejected.path.clone());
    }
    let names: Vec<_> = registry.plugins.iter().map(|plugin| plugin.metadata.name.as_str()).collect();
    let mut error = Diagnostic::error("there is neither a file nor an installed plugin of this name")
        .found(name.as_ref())
        .nearest(nearest(&name, names.iter().copied()));
    error = if names.is_empty() {
        error.expected("a file")
    } else {
        error.expected(format!("a file, or one of {}", names.join(", ")))
    };
    error.notes = registry
        .directories
        .iter()
        .map(|one| format!("searched {} ({})", one.directory.path.display(), one.directory.origin))
        .collect();
    Err(Failure::new(ExitCode::Invalid, error.help("see `kiwi-host plugins list`")))
}

impl Facts {
    fn for_people(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |label: &str, value: &str| {
            if !value.is_empty() {
                lines.push(clean(&format!("{label:<18}{value}")));
            }
        };
        line("file", &text(&self.file));
        line("sha256", self.sha256.as_deref().unwrap_or_default());
        if let Some(metadata) = &self.metadata {
            line("name", &metadata.name);
            line("version", &metadata.version);
            line("description", &metadata.description);
            line("license", &metadata.license);
            line("authors", &metadata.authors.join(", "));
            line("plugin API", &metadata.api_version);
            line("minimum host API", &metadata.minimum_host_api);
            line("torch", &metadata.torch);
            line("target", &metadata.target);
            line("compiler", &metadata.rustc);
            line("panic", &metadata.panic);
        }
        line("usable", if self.reasons.is_empty() { "yes" } else { "no" });
        for reason in &self.reasons {
            line("", &format!("it {reason}"));
        }
        lines.extend(self.metadata.iter().flat_map(registered));
        lines
    }

    fn as_json(&self) -> Value {
        json!({
            "file": text(&self.file),
            "sha256": self.sha256,
            "usable": self.reasons.is_empty(),
            "reasons": self.reasons,
            "metadata": self.metadata,
        })
    }
}
