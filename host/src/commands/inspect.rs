//! `inspect`: what a saved system holds, as its file says. No plugin is opened and no libtorch looked for.

use std::fs;

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::Format;
use kiwi_core::saved_system::{FORMAT_VERSION, Part, SavedSystem, TensorData};
use serde_json::{Value, json};

use super::{print_data, print_for_people};
use crate::arguments::InspectSystemArguments;

pub(super) fn run(arguments: InspectSystemArguments) -> Result<i32, Failure> {
    let saved = SavedSystem::open(&arguments.system).map_err(|error| {
        let error =
            Diagnostic::error(error.code(), error.to_string()).found(arguments.system.display().to_string());
        Failure::new(ExitCode::Invalid, error)
    })?;
    let bytes = fs::metadata(&arguments.system).map(|metadata| metadata.len()).unwrap_or(0);
    match arguments.format.into() {
        Format::Json => print_data([data_format::line(json(&saved, bytes))])?,
        Format::Human => print_for_people(lines(&saved, bytes))?,
    }
    Ok(ExitCode::Success.number())
}

fn elements(tensor: &TensorData<'_>) -> usize {
    tensor.shape.iter().product()
}

/// Whether both sides have one vocabulary.
fn is_shared(saved: &SavedSystem) -> bool {
    saved.header().source_vocabulary == saved.header().target_vocabulary
}

fn json(saved: &SavedSystem, bytes: u64) -> Value {
    let header = saved.header();
    let part = |part: &Part| {
        let plugin = &part.plugin;
        json!({
            "class_name": part.class_name,
            "plugin": {"name": plugin.name, "version": plugin.version, "sha256": plugin.sha256},
            "config": part.config,
        })
    };
    let tensors: Vec<_> = saved
        .tensors()
        .map(|tensor| json!({"name": tensor.name, "dtype": format!("{:?}", tensor.dtype), "shape": tensor.shape}))
        .collect();
    json!({
        "file": saved.path(),
        "bytes": bytes,
        "format_version": FORMAT_VERSION,
        "class_name": header.class_name,
        "encoder": part(&header.encoder),
        "head": part(&header.head),
        "data_processing": header.data_processing,
        "training": header.training,
        "vocabularies": {
            "source": header.source_vocabulary.len(),
            "target": header.target_vocabulary.len(),
            "shared": is_shared(saved),
        },
        "parameters": saved.tensors().map(|tensor| elements(&tensor)).sum::<usize>(),
        "tensors": tensors,
    })
}

fn lines(saved: &SavedSystem, bytes: u64) -> Vec<String> {
    let header = saved.header();
    let mebibytes = bytes as f64 / 1_048_576.0;
    let mut lines = vec![
        format!(
            "file          {} ({mebibytes:.1} MiB, format version {FORMAT_VERSION})",
            saved.path().display()
        ),
        format!("system        {}", header.class_name),
    ];
    for (label, part) in [("encoder", &header.encoder), ("head", &header.head)] {
        let Part { class_name, plugin, config, .. } = part;
        lines.push(format!(
            "{label:12}  {class_name} of plugin {} {} (SHA-256 {})",
            plugin.name, plugin.version, plugin.sha256
        ));
        lines.extend(
            options(config).into_iter().map(|(key, value)| format!("                {key} = {value}")),
        );
    }
    let (source, target) = (header.source_vocabulary.len(), header.target_vocabulary.len());
    lines.push(if is_shared(saved) {
        format!("vocabulary    {target} entries, shared by both sides")
    } else {
        format!("vocabularies  source {source} entries, target {target} entries")
    });
    lines.push("text".to_owned());
    let processing = options(&header.data_processing);
    lines.extend(processing.into_iter().map(|(key, value)| format!("                {key} = {value}")));
    if let Some(training) = &header.training {
        lines.push("training".to_owned());
        lines.extend(
            options(training).into_iter().map(|(key, value)| format!("                {key} = {value}")),
        );
    }
    let total: usize = saved.tensors().map(|tensor| elements(&tensor)).sum();
    lines.push(format!("tensors       {}, {total} numbers", saved.tensors().len()));
    let width = saved.tensors().map(|tensor| tensor.name.len()).max().unwrap_or(0);
    lines.extend(saved.tensors().map(|tensor| {
        format!("                {:width$}  {:?} {:?}", tensor.name, tensor.dtype, tensor.shape)
    }));
    lines
}

/// Each option by its path, as `embeddings.source.dim`.
fn options(config: &Value) -> Vec<(String, Value)> {
    match config {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(key, value)| match value {
                Value::Object(inner) if !inner.is_empty() => {
                    options(value).into_iter().map(|(path, value)| (format!("{key}.{path}"), value)).collect()
                }
                _ => vec![(key.clone(), value.clone())],
            })
            .collect(),
        _ => Vec::new(),
    }
}
