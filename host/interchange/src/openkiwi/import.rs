//! From a system of OpenKiwi to a saved system of ours.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_core::saved_system::{self, Dtype, Part, PluginIdentity, SystemHeader, TensorLayout};
use serde_json::json;

use super::json::json as to_json;
use super::options::{self, EncoderOptions};
use super::parameters::{self, OUTPUT_TABLE, Sizes, TARGET_TABLE};
use super::{ENCODER, Error, HEAD, PREFIX, SYSTEM, VERSION};
use super::{training, vocabulary};
use crate::pickle::{ElementType, Graph, Object, TensorView, Value};
use crate::tensor;
use crate::torch_file::{self, TorchFile};

/// The plugins that provide the parts of an imported system.
#[derive(Debug, Clone)]
pub struct Plugins {
    /// That of `PredictorEncoder`.
    pub encoder: PluginIdentity,
    /// That of `TLMOutputs`.
    pub head: PluginIdentity,
}

/// A system that was read and is not written yet.
#[derive(Debug)]
pub struct Imported<'a> {
    /// What it is.
    pub header: SystemHeader,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Diagnostic>,
    /// Its tensors by their names in a saved system.
    tensors: BTreeMap<String, (TensorView, &'a [u8])>,
}

/// Reads a system of OpenKiwi out of the bytes of its file, which is named in errors.
///
/// # Errors
/// The bytes are no such system, or one that would not be the same here.
pub fn import<'a>(file: &Path, bytes: &'a [u8], plugins: &Plugins) -> Result<Imported<'a>, crate::Error> {
    let in_file = |cause: torch_file::Error| crate::Error::File { file: file.to_owned(), cause };
    let in_system = |cause: Error| crate::Error::System { file: file.to_owned(), cause };
    let torch = TorchFile::parse(bytes).map_err(in_file)?;
    let graph = &torch.graph;
    let root = graph.root();
    let mut warnings = Vec::new();
    let described = Described::read(graph, root, &mut warnings).map_err(in_system)?;
    let views = state_dict(graph, root, &described).map_err(in_system)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in views {
        let storage = torch.storage(&view.storage).map_err(in_file)?;
        tensors.insert(name, (view, storage));
    }
    if described.encoder.share_embeddings {
        untie(&mut tensors).map_err(in_system)?;
    }
    let tensors = tensors.into_iter().map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor)).collect();
    Ok(Imported { header: described.header(plugins), warnings, tensors })
}

impl Imported<'_> {
    /// Writes the system as a saved system; a file that exists is not replaced.
    ///
    /// # Errors
    /// The file exists, or as for [`saved_system::write_each`].
    pub fn write(&self, path: &Path) -> Result<(), crate::Error> {
        // A link that leads nowhere is a file too.
        if path.symlink_metadata().is_ok() {
            return Err(crate::Error::Exists { file: path.to_owned() });
        }
        let layouts = self.tensors.iter().map(|(name, (view, _))| TensorLayout {
            name: name.clone(),
            dtype: Dtype::F32,
            shape: view.shape.clone(),
        });
        Ok(saved_system::write_each(path, &self.header, layouts, |name| self.elements(name))?)
    }

    /// The elements of a tensor, row by row.
    ///
    /// # Errors
    /// There is no tensor of this name.
    pub fn elements(&self, name: &str) -> io::Result<Cow<'_, [u8]>> {
        let (view, storage) = self
            .tensors
            .get(name)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no tensor `{name}`")))?;
        tensor::elements(view, storage).map_err(io::Error::other)
    }

    /// The names of its tensors in a saved system, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }
}

/// All that a system says about itself, without its tensors.
struct Described {
    encoder: EncoderOptions,
    fine_tune: bool,
    data_processing: serde_json::Value,
    training: Option<serde_json::Value>,
    source: Vec<String>,
    target: Vec<String>,
}

impl Described {
    fn read(graph: &Graph, root: &Value, warnings: &mut Vec<Diagnostic>) -> Result<Self, Error> {
        if graph.entries(root).is_none() {
            return Err(Error::NotSystem { found: graph.kind(root).to_owned() });
        }
        class(graph, &["class_name"], "system", SYSTEM)?;
        class(graph, &["encoder", "class_name"], "encoder", ENCODER)?;
        class(graph, &["tlm_outputs", "class_name"], "head", HEAD)?;
        if let Some(Value::Text(version)) = graph.get(root, "__version__")
            && **version != *VERSION
        {
            let warning = Diagnostic::warning(
                Code::ConvertedWithChanges,
                "the system was saved by another version of OpenKiwi",
            );
            warnings.push(warning.found(version.to_string()).expected(VERSION));
        }
        let at = |path: &[&str]| {
            let (value, path) = entry(graph, path)?;
            to_json(graph, value, &path).map(|json| (json, path))
        };
        let (options, path) = at(&["encoder", "config"])?;
        let encoder = EncoderOptions::read(&options, &path, warnings)?;
        let (options, path) = at(&["tlm_outputs", "config"])?;
        let fine_tune = options::fine_tune(&options, &path)?;
        let (options, path) = at(&["config", "data_processing"])?;
        let processing = options::data_processing(&options, &path, warnings)?;
        let training = training::read(&at(&["config"])?.0);
        let (vocabularies, _) = entry(graph, &["vocab"])?;
        let source = vocabulary::words(graph, vocabularies, "source")?;
        let target = vocabulary::words(graph, vocabularies, "target")?;
        if processing.share_input_fields_encoders && source != target {
            return Err(Error::NotShared);
        }
        let data_processing = options::data_processing_json(&processing);
        Ok(Self { encoder, fine_tune, data_processing, training, source, target })
    }

    fn header(&self, plugins: &Plugins) -> SystemHeader {
        let part = |class: &str, config, plugin: &PluginIdentity| Part {
            class_name: class.to_owned(),
            config,
            plugin: plugin.clone(),
            extra: None,
        };
        SystemHeader {
            class_name: SYSTEM.to_owned(),
            encoder: part(ENCODER, self.encoder.json(), &plugins.encoder),
            head: part(HEAD, json!({"fine_tune": self.fine_tune}), &plugins.head),
            data_processing: self.data_processing.clone(),
            training: self.training.clone(),
            source_vocabulary: self.source.clone(),
            target_vocabulary: self.target.clone(),
        }
    }
}

/// The value at a path of keys, and the path as text.
fn entry<'a>(graph: &'a Graph, path: &[&str]) -> Result<(&'a Value, String), Error> {
    let mut value = graph.root();
    for (i, key) in path.iter().enumerate() {
        let missing = || Error::Missing { path: path[..=i].join(".") };
        value = graph.get(value, key).ok_or_else(missing)?;
    }
    Ok((value, path.join(".")))
}

fn class(graph: &Graph, path: &[&str], part: &'static str, expected: &'static str) -> Result<(), Error> {
    let (value, path) = entry(graph, path)?;
    match value {
        Value::Text(class) if **class == *expected => Ok(()),
        Value::Text(class) => Err(Error::Class { part, found: class.to_string(), expected }),
        other => {
            Err(Error::Type { path, found: graph.kind(other).to_owned(), expected: "the name of a class" })
        }
    }
}

/// The tensors of the encoder's state dict, of the shapes that options and vocabularies call for.
fn state_dict(
    graph: &Graph,
    root: &Value,
    system: &Described,
) -> Result<BTreeMap<String, TensorView>, Error> {
    let head = graph.get(root, "tlm_outputs").and_then(|head| graph.get(head, "state_dict"));
    let of_head = head.and_then(|head| graph.entries(head)).unwrap_or_default();
    if !of_head.is_empty() {
        let names = of_head.iter().map(|(name, _)| text(name).unwrap_or("?").to_owned()).collect();
        return Err(Error::HeadTensors { names });
    }
    let (dictionary, path) = entry(graph, &["encoder", "state_dict"])?;
    let entries = graph.entries(dictionary).ok_or_else(|| Error::Type {
        path: path.clone(),
        found: graph.kind(dictionary).to_owned(),
        expected: "a dictionary of tensors",
    })?;
    let mut found = BTreeMap::new();
    for (key, value) in entries {
        let name = text(key).ok_or_else(|| Error::Type {
            path: path.clone(),
            found: "a dictionary with keys that are no texts".to_owned(),
            expected: "a dictionary of tensors by their names",
        })?;
        let Some(Object::Tensor(view)) = graph.object(value) else {
            let path = format!("{path}.{name}");
            return Err(Error::Type { path, found: graph.kind(value).to_owned(), expected: "a tensor" });
        };
        found.insert(name.to_owned(), view);
    }
    if found.is_empty() {
        return Err(Error::NoWeights);
    }
    let sizes = Sizes { source: system.source.len(), target: system.target.len() };
    // An option may claim a million layers: one more than there could be is enough to find that it is missing.
    let mut expected = parameters::of(&system.encoder, sizes, found.len() + 1);
    if system.encoder.share_embeddings {
        expected.push((OUTPUT_TABLE.to_owned(), vec![sizes.target, system.encoder.target.dim]));
    }
    let mut tensors = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, shape) in expected {
        match found.remove(&name) {
            None => missing.push(name),
            Some(view) if view.shape != shape => {
                return Err(Error::Shape { name, found: view.shape.clone(), expected: shape });
            }
            Some(view) if view.storage.kind != ElementType::F32 => {
                return Err(Error::ElementType { name, found: view.storage.kind });
            }
            Some(view) => {
                tensor::check(view).map_err(|cause| Error::Tensor { name: name.clone(), cause })?;
                tensors.insert(name, view.clone());
            }
        }
    }
    if !missing.is_empty() {
        return Err(Error::MissingTensors { names: missing });
    }
    if !found.is_empty() {
        return Err(Error::ExtraTensors { names: found.into_keys().collect() });
    }
    Ok(tensors)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Takes out the second name of the table that is input and output at once.
fn untie(tensors: &mut BTreeMap<String, (TensorView, &[u8])>) -> Result<(), Error> {
    let different = Error::NotTied { first: TARGET_TABLE, second: OUTPUT_TABLE };
    let elements = |(view, storage): &(TensorView, &[u8])| {
        tensor::elements(view, storage).map(Cow::into_owned).map_err(|_| different.clone())
    };
    let second = tensors.remove(OUTPUT_TABLE).ok_or_else(|| different.clone())?;
    let first = tensors.get(TARGET_TABLE).ok_or_else(|| different.clone())?;
    if first.0 != second.0 && elements(first)? != elements(&second)? {
        return Err(different);
    }
    Ok(())
}
