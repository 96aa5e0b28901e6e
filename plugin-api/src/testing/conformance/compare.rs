//! Tensors compared: to the bit, or to a tolerance.

use tch::{Kind, Tensor, no_grad};

use super::finding::{Checked, Complaint};
use crate::NamedTensors;

/// Whether two tensors are the same to the bit, in shape and type too.
pub(super) fn same_bits(a: &Tensor, b: &Tensor) -> Checked<bool> {
    if a.size() != b.size() || a.kind() != b.kind() {
        return Ok(false);
    }
    let bits = match a.kind() {
        Kind::Double => Kind::Int64,
        Kind::Float => Kind::Int,
        Kind::Half | Kind::BFloat16 => Kind::Int16,
        kind => kind,
    };
    let plain = |tensor: &Tensor| -> Checked<Tensor> {
        let dense = if tensor.is_sparse() { tensor.f_to_dense(None, false)? } else { tensor.shallow_clone() };
        // A tensor without dimensions cannot be seen as another type.
        Ok(dense.f_detach()?.f_contiguous()?.f_reshape([-1])?.f_view_dtype(bits)?)
    };
    Ok(plain(a)?.f_equal(&plain(b)?)?)
}

/// A copy of the values, without history.
pub(super) fn copy(tensor: &Tensor) -> Checked<Tensor> {
    Ok(no_grad(|| tensor.f_detach_copy())?)
}

/// The first of two lists of named tensors that are not the same to the bit.
pub(super) fn first_difference(a: &NamedTensors, b: &NamedTensors) -> Checked<Option<String>> {
    let names = |list: &NamedTensors| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(a) != names(b) {
        return Ok(Some(format!("[{}] and [{}]", names(a).join(", "), names(b).join(", "))));
    }
    for ((name, a), (_, b)) in a.iter().zip(b) {
        if !same_bits(a, b)? {
            let off = if a.size() == b.size() {
                format!(", off by {:.3e}", largest_difference(a, b)?)
            } else {
                String::new()
            };
            return Ok(Some(format!("`{name}`{off}")));
        }
    }
    Ok(None)
}

/// The largest absolute difference; NaN where there is one in either.
pub(super) fn largest_difference(a: &Tensor, b: &Tensor) -> Checked<f64> {
    if a.numel() == 0 {
        return Ok(0.0);
    }
    let double = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Double);
    Ok(double(a)?.f_sub(&double(b)?)?.f_abs()?.f_max()?.f_double_value(&[])?)
}

/// The largest absolute value; 0 of none.
pub(super) fn largest(tensor: &Tensor) -> Checked<f64> {
    if tensor.numel() == 0 {
        return Ok(0.0);
    }
    Ok(tensor.f_detach()?.f_to_kind(Kind::Double)?.f_abs()?.f_max()?.f_double_value(&[])?)
}

/// Whether two tensors agree to a share of their size, and by how much they are off.
pub(super) fn agree(a: &Tensor, b: &Tensor, tolerance: f64) -> Checked<(bool, f64)> {
    let off = largest_difference(a, b)?;
    Ok((off <= tolerance * (1.0 + largest(a)?), off))
}

/// Complains about a number that is infinite or none.
pub(super) fn finite(what: &str, tensor: &Tensor) -> Checked<()> {
    let finite = tensor.numel() == 0 || tensor.f_detach()?.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0;
    if finite {
        return Ok(());
    }
    Err(Complaint::new(format!("{what} holds a number that is infinite or none"))
        .expected("finite numbers")
        .help("look for a division by a count or a norm that may be 0, and for a softmax over nothing")
        .into())
}
