//! `plugins inspect`: all that one plugin says about itself. Nothing of it is run.

use std::path::{Path, PathBuf};

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure, nearest};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugins::{Registry, Rejected, inspect};
use kiwi_core::request::Format;
use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::{Value, json};

use super::{print_data, print_for_people, registered, text, warnings};
use crate::arguments::InspectArguments;
use crate::print::clean;

/// What is known about one file.
struct Facts {
    file: PathBuf,
    sha256: Option<String>,
    metadata: Option<PluginMetadata>,
    reasons: Vec<String>,
}

pub(super) fn run(arguments: &InspectArguments, registry: &Registry) -> Result<i32, Failure> {
    let file = find_file(&arguments.plugin, registry)?;
    let facts = examine(file);
    match arguments.format.into() {
        Format::Human => print_for_people(facts.for_people())?,
        Format::Json => print_data([data_format::line(facts.as_json())])?,
    }
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
pub(super) fn find_file(asked: &Path, registry: &Registry) -> Result<PathBuf, Failure> {
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
    let mut error =
        Diagnostic::error(Code::NoSuchPlugin, "there is neither a file nor an installed plugin of this name")
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
        for warning in warnings(&self.file) {
            line("warning", &warning);
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
            "warnings": warnings(&self.file),
            "metadata": self.metadata,
        })
    }
}
