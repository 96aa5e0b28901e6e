//! The content of a file as it was at a moment: metadata and tensors copied to host memory, so that training can go on while the
//! file is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kiwi_core::saved_system::archive;
use kiwi_core::saved_system::{Error, TensorLayout};
use kiwi_plugin_api::Result;
use tch::Tensor;

use crate::torch::ToFile;

/// Tensors in host memory, which several snapshots may share.
#[derive(Debug, Clone, Default)]
pub(crate) struct CopiedTensors {
    tensors: Vec<(TensorLayout, Arc<[u8]>)>,
}

impl CopiedTensors {
    /// Copies tensors with their names.
    ///
    /// # Errors
    /// When one has elements of a type that no file has, or libtorch cannot copy it.
    pub(crate) fn of<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Self> {
        let tensors = ToFile::new(tensors);
        let copied = tensors.layouts()?.into_iter().map(|layout| {
            let elements = tensors.elements(&layout.name);
            let elements =
                elements.map_err(|error| kiwi_plugin_api::Error::new(format!("{}: {error}", layout.name)))?;
            Ok((layout, Arc::from(elements.into_owned())))
        });
        Ok(Self { tensors: copied.collect::<Result<_>>()? })
    }

    /// Adds those of another, with `prefix` before their names.
    pub(crate) fn extend(&mut self, prefix: &str, other: &Self) {
        self.tensors.extend(other.tensors.iter().map(|(layout, bytes)| {
            (TensorLayout { name: format!("{prefix}{}", layout.name), ..layout.clone() }, Arc::clone(bytes))
        }));
    }
}

/// The content of a file.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    metadata: BTreeMap<String, String>,
    tensors: CopiedTensors,
}

impl Snapshot {
    /// These metadata and tensors.
    pub(crate) fn new(metadata: BTreeMap<String, String>, tensors: CopiedTensors) -> Self {
        Self { metadata, tensors }
    }

    /// Writes the file, which appears complete or not at all, and replaces one of the same name.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write(&self, path: &Path) -> std::result::Result<(), Error> {
        let bytes: BTreeMap<&str, &[u8]> =
            self.tensors.tensors.iter().map(|(layout, bytes)| (layout.name.as_str(), &**bytes)).collect();
        let layouts = self.tensors.tensors.iter().map(|(layout, _)| layout.clone());
        archive::write_each(path, &self.metadata, layouts, |name| {
            Ok(Cow::Borrowed(bytes.get(name).copied().unwrap_or_default()))
        })
    }
}
