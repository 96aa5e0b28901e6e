//! Parameters as the bytes of a file, and back.

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

/// What the header of a file tells of a tensor.
///
/// # Errors
/// When it has elements of a type that no file has.
pub(crate) fn layout_of(name: &str, tensor: &Tensor) -> Result<TensorLayout> {
    let known = TYPES.iter().find(|(kind, _)| *kind == tensor.kind());
    let (_, dtype) =
        known.ok_or_else(|| Error::new(format!("tensors of {:?} cannot be saved", tensor.kind())))?;
    let shape = tensor.size().into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect();
    Ok(TensorLayout { name: name.to_owned(), dtype: *dtype, shape })
}

/// Copies a tensor's elements, little-endian, row by row, to where there are as many bytes.
///
/// # Errors
/// When libtorch cannot copy it.
pub(crate) fn copy_elements(tensor: &Tensor, bytes: &mut [u8]) -> Result<()> {
    let tensor = tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous()?;
    Ok(tensor.f_copy_data_u8(bytes, tensor.numel())?)
}

/// A tensor of the elements in a file.
pub(crate) fn tensor_from(data: &TensorData<'_>) -> Result<Tensor> {
    let kind = kind_of(data.dtype).ok_or_else(|| {
        Error::new(format!("`{}` has elements of {:?}, which no parameter has", data.name, data.dtype))
    })?;
    let shape: Vec<i64> = data.shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
    Ok(Tensor::f_from_data_size(data.bytes, &shape, kind)?)
}
