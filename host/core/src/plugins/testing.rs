//! Plugin files for tests: real shared libraries that hold metadata and no code, made by the C compiler that this
//! project needs anyway.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiwi_plugin_metadata::reader::{ComponentMetadata, PluginMetadata, SystemMetadata};
use kiwi_plugin_metadata::{
    API_VERSION, FORMAT_VERSION, MAGIC, RUSTC, SECTION, TARGET, TORCH_VERSION, field, record,
};

/// Metadata of a plugin that fits this host and registers nothing.
#[must_use]
pub fn metadata(name: &str) -> PluginMetadata {
    PluginMetadata {
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        description: "A plugin for tests.".to_owned(),
        license: "MIT".to_owned(),
        authors: vec!["Ada".to_owned(), "Grace".to_owned()],
        api_version: API_VERSION.to_owned(),
        minimum_host_api: API_VERSION.to_owned(),
        torch: TORCH_VERSION.to_owned(),
        target: TARGET.to_owned(),
        rustc: RUSTC.to_owned(),
        panic: "unwind".to_owned(),
        components: Vec::new(),
        systems: Vec::new(),
    }
}

/// Metadata of a plugin with one component.
#[must_use]
pub fn with_component(name: &str, kind: &str, class: &str) -> PluginMetadata {
    PluginMetadata { components: vec![component(kind, class)], ..metadata(name) }
}

/// Metadata of a component.
#[must_use]
pub fn component(kind: &str, class: &str) -> ComponentMetadata {
    ComponentMetadata {
        kind: kind.to_owned(),
        class: class.to_owned(),
        summary: format!("A {kind} for tests."),
    }
}

/// Metadata of a system.
#[must_use]
pub fn system(class: &str, encoder: &str, head: &str) -> SystemMetadata {
    SystemMetadata {
        class: class.to_owned(),
        summary: "A system for tests.".to_owned(),
        encoder: encoder.to_owned(),
        head: head.to_owned(),
    }
}

/// The section that such a plugin has.
#[must_use]
pub fn section(plugin: &PluginMetadata) -> Vec<u8> {
    let authors = plugin.authors.join(":");
    let mut out = encode(&[
        (field::RECORD, record::PLUGIN),
        (field::NAME, &plugin.name),
        (field::VERSION, &plugin.version),
        (field::DESCRIPTION, &plugin.description),
        (field::LICENSE, &plugin.license),
        (field::AUTHORS, &authors),
        (field::API_VERSION, &plugin.api_version),
        (field::MINIMUM_HOST_API, &plugin.minimum_host_api),
        (field::TORCH, &plugin.torch),
        (field::TARGET, &plugin.target),
        (field::RUSTC, &plugin.rustc),
        (field::PANIC, &plugin.panic),
    ]);
    for component in &plugin.components {
        out.extend(encode(&[
            (field::RECORD, record::COMPONENT),
            (field::KIND, &component.kind),
            (field::CLASS, &component.class),
            (field::SUMMARY, &component.summary),
        ]));
    }
    for system in &plugin.systems {
        out.extend(encode(&[
            (field::RECORD, record::SYSTEM),
            (field::CLASS, &system.class),
            (field::SUMMARY, &system.summary),
            (field::ENCODER, &system.encoder),
            (field::HEAD, &system.head),
        ]));
    }
    out
}

fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = Vec::new();
    for (key, value) in fields {
        body.extend(length(key));
        body.extend(length(value));
        body.extend(key.as_bytes());
        body.extend(value.as_bytes());
    }
    let mut out = MAGIC.to_vec();
    out.extend(FORMAT_VERSION.to_le_bytes());
    out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(body);
    out
}

/// Writes a shared library that holds this metadata.
///
/// # Panics
///
/// There is no C compiler.
pub fn library(folder: &Path, name: &str, plugin: &PluginMetadata) -> PathBuf {
    library_of_section(folder, name, Some(&section(plugin)))
}

/// Writes a shared library whose metadata are these bytes, or that has none.
///
/// # Panics
///
/// There is no C compiler.
pub fn library_of_section(folder: &Path, name: &str, section: Option<&[u8]>) -> PathBuf {
    let path = folder.join(name);
    let written = write_library(&path, section);
    assert!(written.is_ok(), "{} cannot be written: {written:?}", path.display());
    path
}

fn write_library(path: &Path, section: Option<&[u8]>) -> io::Result<()> {
    let work = tempfile::tempdir()?;
    let (data, source) = (work.path().join("section"), work.path().join("plugin.s"));
    let mut text = "    .section .note.GNU-stack,\"\",%progbits\n".to_owned();
    if let Some(section) = section {
        fs::write(&data, section)?;
        text += &format!("    .section {SECTION},\"a\"\n    .incbin \"{}\"\n", data.display());
    }
    fs::write(&source, text)?;
    let output = Command::new("cc").args(["-shared", "-nostdlib", "-o"]).arg(path).arg(&source).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}
