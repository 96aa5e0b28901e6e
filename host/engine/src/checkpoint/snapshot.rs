//! The content of a file as it was at a moment: metadata and tensors copied to host memory, so that training can go on while the
//! file is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use kiwi_core::saved_system::{self, TensorLayout, archive};
use kiwi_plugin_api::{Error, Result};
use memmap2::MmapMut;
use tch::Tensor;

use crate::torch::{copy_elements, layout_of};

/// Bytes of a tensor from which it has memory of its own, which goes back to the system once the file is written. Copies of such a
/// size that come and go within the memory of training would leave it in pieces.
const MAPPED: usize = 1 << 16;

/// The bytes of a tensor.
#[derive(Debug)]
enum Bytes {
    Small(Vec<u8>),
    Large(MmapMut),
}

impl Bytes {
    /// So many, all 0.
    fn zeros(length: usize) -> io::Result<Self> {
        if length < MAPPED {
            return Ok(Self::Small(vec![0; length]));
        }
        MmapMut::map_anon(length).map(Self::Large)
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}

/// Tensors in host memory, which several snapshots may share.
#[derive(Debug, Clone, Default)]
pub(crate) struct CopiedTensors {
    tensors: Vec<(TensorLayout, Arc<Bytes>)>,
}

impl CopiedTensors {
    /// Copies tensors with their names.
    ///
    /// # Errors
    /// When one has elements of a type that no file has, or libtorch cannot copy it.
    pub(crate) fn of<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Self> {
        let tensors: BTreeMap<&str, &Tensor> = tensors.into_iter().collect();
        let copied = tensors.into_iter().map(|(name, tensor)| {
            let layout = layout_of(name, tensor)?;
            let length = tensor.numel() * tensor.kind().elt_size_in_bytes();
            let mut bytes = Bytes::zeros(length)
                .map_err(|error| Error::new(format!("no memory for a copy of `{name}`: {error}")))?;
            copy_elements(tensor, bytes.as_mut_slice())?;
            Ok((layout, Arc::new(bytes)))
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

/// The key of the metadata that holds a hash of the tensors.
pub(super) const HASH_KEY: &str = "kiwi.blake3";

/// The hash of tensors' bytes, given in the order of their names.
pub(super) fn hash_of<'a>(tensors: impl Iterator<Item = (String, &'a [u8])>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, bytes) in tensors {
        for part in [name.as_bytes(), bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// The content of a file.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    metadata: BTreeMap<String, String>,
    tensors: CopiedTensors,
    /// Whether the file has a hash of its tensors.
    hashed: bool,
}

impl Snapshot {
    /// These metadata and tensors.
    pub(crate) fn new(metadata: BTreeMap<String, String>, tensors: CopiedTensors) -> Self {
        Self { metadata, tensors, hashed: false }
    }

    /// The same with a hash of the tensors, which is computed when the file is written.
    pub(super) fn hashed(self) -> Self {
        Self { hashed: true, ..self }
    }

    /// Writes the file, which appears complete or not at all, and replaces one of the same name.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write(&self, path: &Path) -> std::result::Result<(), saved_system::Error> {
        let all = self.tensors.tensors.iter();
        let bytes: BTreeMap<&str, &[u8]> =
            all.map(|(layout, bytes)| (layout.name.as_str(), bytes.as_slice())).collect();
        let layouts = self.tensors.tensors.iter().map(|(layout, _)| layout.clone());
        let mut metadata = self.metadata.clone();
        if self.hashed {
            let tensors = bytes.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes));
            metadata.insert(HASH_KEY.to_owned(), hash_of(tensors));
        }
        archive::write_each(path, &metadata, layouts, |name| {
            Ok(Cow::Borrowed(bytes.get(name).copied().unwrap_or_default()))
        })
    }
}
