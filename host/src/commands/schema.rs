//! `schema`: the JSON Schema of configs, with the parts of the installed plugins.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use kiwi_core::config::schema::{self, Probed};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::plugins::probe::{Cache, PluginProbe, ProbedComponent};
use kiwi_core::plugins::{Kind, Plugin, Registry};
use kiwi_core::request::ProbeRequest;
use serde_json::Value;

use super::probe::{self, ProbeError};
use super::{common, print_data, whole_file};
use crate::arguments::{CommonOptions, SchemaArguments};
use crate::print;

/// The answers of plugins, by their names.
struct Answers(BTreeMap<String, PluginProbe>);

impl Probed for Answers {
    fn component(&self, plugin: &str, kind: &str, class: &str) -> Option<&ProbedComponent> {
        self.0.get(plugin)?.component(kind, class)
    }
}

pub(super) fn run(arguments: &SchemaArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let mut registry = plan::discover(&common(options)?);
    let errors: Vec<_> = registry.errors().cloned().collect();
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
    }
    if let Some(output) = &arguments.output {
        refuse_other_file(output)?;
    }
    let mut warnings = registry.diagnostics.clone();
    warnings.extend(registry.rejected.iter().map(|rejected| {
        let file = rejected.path.display();
        Diagnostic::warning(
            Code::SchemaIncomplete,
            format!("{file} is left out of the schema: it {}", rejected.reason()),
        )
    }));
    let answers = ask_all(&mut registry, options, Duration::from_secs(arguments.time_limit), &mut warnings)?;
    let mut unusable = Vec::new();
    let schema = schema::compose(&registry, &answers, &mut unusable);
    warnings.extend(unusable.iter().map(|one| {
        let name = format!("`{}::{}`", one.plugin, one.class);
        Diagnostic::warning(
            Code::SchemaIncomplete,
            format!("the options of {name} are not described in the schema: {}", one.reason),
        )
        .help("report this to the plugin's author")
    }));
    if !options.quiet {
        print::diagnostics(&warnings);
    }
    let text = format!("{schema:#}");
    match &arguments.output {
        Some(output) => whole_file::write(output, format!("{text}\n").as_bytes())
            .map_err(|error| unwritable(output, &error))?,
        None => print_data([text])?,
    }
    Ok(ExitCode::Success.number())
}

/// What each plugin says; one that has changed meanwhile is taken out of the registry.
fn ask_all(
    registry: &mut Registry,
    options: &CommonOptions,
    limit: Duration,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Answers, Failure> {
    let cache = Cache::of_command();
    let mut answers = BTreeMap::new();
    let mut changed = Vec::new();
    for plugin in &registry.plugins {
        let name = &plugin.metadata.name;
        let hash = match plugin.sha256() {
            Ok(hash) => hash,
            Err(change) => {
                let file = plugin.path.display();
                warnings.push(Diagnostic::warning(
                    Code::SchemaIncomplete,
                    format!("{file} is left out of the schema: {change}"),
                ));
                changed.push(name.clone());
                continue;
            }
        };
        if let Some(answer) = cache.as_ref().and_then(|cache| cache.get(hash)) {
            answers.insert(name.clone(), answer);
            continue;
        }
        match ask(registry, plugin, options, limit) {
            Ok(answer) => {
                // A cache that cannot be written to costs time and nothing else.
                if let Some(cache) = cache.as_ref().filter(|_| answer.failed.is_empty()) {
                    let _ = cache.put(hash, &answer);
                }
                warnings.extend(answer.failed.iter().map(|failed| {
                    let class = format!("`{name}::{}`", failed.class);
                    let message = format!("the options of {class} are not described in the schema");
                    Diagnostic::warning(Code::SchemaIncomplete, message).note(failed.reason.clone())
                }));
                answers.insert(name.clone(), answer);
            }
            Err(ProbeError::Here(failure)) => return Err(failure),
            Err(error) => warnings.push(
                Diagnostic::warning(
                    Code::SchemaIncomplete,
                    format!("the options of the plugin `{name}` are not described in the schema: {error}"),
                )
                .found(plugin.path.display().to_string())
                .help("rebuild or reinstall the plugin, or report this to its author"),
            ),
        }
    }
    registry.plugins.retain(|plugin| !changed.contains(&plugin.metadata.name));
    Ok(Answers(answers))
}

fn ask(
    registry: &Registry,
    plugin: &Plugin,
    options: &CommonOptions,
    limit: Duration,
) -> Result<PluginProbe, ProbeError> {
    let mut components = Vec::new();
    for kind in [Kind::Encoder, Kind::Head, Kind::Optimizer, Kind::Metric] {
        for class in plugin.classes(kind) {
            let asked = format!("{}::{class}", plugin.metadata.name);
            components.push(
                registry
                    .resolve(kind, &asked)
                    .map_err(|error| ProbeError::Here(Failure::new(ExitCode::Plugin, error.diagnostic())))?,
            );
        }
    }
    if components.is_empty() {
        return Ok(PluginProbe::default());
    }
    probe::ask(&ProbeRequest { components }, options, limit)
}

/// Refuses to write in place of anything but a schema of this command.
fn refuse_other_file(output: &Path) -> Result<(), Failure> {
    let bytes = match fs::symlink_metadata(output) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwritable(output, &error)),
        Ok(found) if found.is_file() => fs::read(output).map_err(|error| unwritable(output, &error))?,
        Ok(_) => Vec::new(),
    };
    let title = serde_json::from_slice::<Value>(&bytes).ok().and_then(|value| value.get("title").cloned());
    if title.as_ref().and_then(Value::as_str) == Some(schema::TITLE) {
        return Ok(());
    }
    let error = Diagnostic::error(Code::FileExists, format!("{} is there already", output.display()))
        .found("something else than a schema of kiwi-host")
        .expected("a file that does not exist, or such a schema, which is replaced")
        .help("choose another name, or remove it");
    Err(Failure::new(ExitCode::Invalid, error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let error = Diagnostic::error(Code::FileUnwritable, format!("{} cannot be written", path.display()))
        .note(error.to_string());
    Failure::new(ExitCode::Invalid, error)
}
