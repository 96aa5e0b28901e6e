//! Parameters as the bytes of a file, and back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use kiwi_core::saved_system::{Dtype, TensorData, TensorLayout};
use kiwi_plugin_api::{Error, Result};
use tch::{Device, Kind, Tensor};

const TYPES: [(Kind, Dtype); 8] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

/// The kind of tensor that has elements of this type.
pub(crate) fn kind_of(dtype: Dtype) -> Option<Kind> {
    TYPES.iter().find(|(_, known)| *known == dtype).map(|(kind, _)| *kind)
}

/// What tensors of this kind are called in a file, as `F32`.
pub(crate) fn dtype_of(kind: Kind) -> String {
    let known = TYPES.iter().find(|(known, _)| *known == kind);
    known.map_or_else(|| format!("{kind:?}"), |(_, dtype)| format!("{dtype:?}"))
}

/// Tensors on their way into a file, each copied to host memory when its turn comes.
pub(crate) struct ToFile<'a> {
    tensors: BTreeMap<&'a str, &'a Tensor>,
}

impl<'a> ToFile<'a> {
    /// These tensors by their names.
    pub(crate) fn new(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Self {
        Self { tensors: tensors.into_iter().collect() }
    }

    /// What the header of the file tells of them.
    ///
    /// # Errors
    /// When one has elements of a type that no file has.
    pub(crate) fn layouts(&self) -> Result<Vec<TensorLayout>> {
        let layout = |(name, tensor): (&&str, &&Tensor)| {
            let known = TYPES.iter().find(|(kind, _)| *kind == tensor.kind());
            let (_, dtype) =
                known.ok_or_else(|| Error::new(format!("tensors of {:?} cannot be saved", tensor.kind())))?;
            let shape = tensor.size().into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect();
            Ok(TensorLayout { name: (*name).to_owned(), dtype: *dtype, shape })
        };
        self.tensors.iter().map(layout).collect()
    }

    /// A tensor's elements, little-endian, row by row.
    ///
    /// # Errors
    /// When there is no such tensor, or libtorch cannot copy it.
    pub(crate) fn elements(&self, name: &str) -> io::Result<Cow<'static, [u8]>> {
        let tensor = self.tensors.get(name).ok_or_else(|| io::Error::other(format!("no tensor `{name}`")))?;
        let copy = || -> Result<Vec<u8>> {
            let tensor = tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous()?;
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
            Ok(bytes)
        };
        copy().map(Cow::Owned).map_err(|error| io::Error::other(error.to_string()))
    }
}

/// A tensor of the elements in a file.
pub(crate) fn tensor_from(data: &TensorData<'_>) -> Result<Tensor> {
    let kind = kind_of(data.dtype).ok_or_else(|| {
        Error::new(format!("`{}` has elements of {:?}, which no parameter has", data.name, data.dtype))
    })?;
    let shape: Vec<i64> = data.shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
    Ok(Tensor::f_from_data_size(data.bytes, &shape, kind)?)
}
