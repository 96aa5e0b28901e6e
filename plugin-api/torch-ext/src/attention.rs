//! Additive attention of the words of one sentence over those of another.

use tch::Tensor;

use crate::TorchError;
use crate::ffi;

/// What [`additive_attention`] computes with.
#[derive(Debug, Clone, Copy)]
pub struct AdditiveAttention<'a> {
    /// `[N, d]`: the first layer's part of each query, with its bias.
    pub left: &'a Tensor,
    /// `[M, d]`: the first layer's part of each key.
    pub right: &'a Tensor,
    /// `[M, k]`: the keys, of which contexts are means.
    pub keys: &'a Tensor,
    /// `[d]`: the second layer.
    pub weight: &'a Tensor,
    /// `[1]`: its bias.
    pub bias: &'a Tensor,
    /// `[B + 1]` int64 on the CPU: where the queries of each sentence begin, and N.
    pub query_starts: &'a Tensor,
    /// `[B + 1]` int64 on the CPU: where those of `key_rows` begin that belong to each sentence, and K.
    pub key_starts: &'a Tensor,
    /// `[K]` int64 on the CPU: the keys of all sentences, as rows of `right` and `keys`; none twice.
    pub key_rows: &'a Tensor,
}

/// For each query the mean `[N, k]` of its sentence's keys, weighted by the softmax of
/// `tanh(weight · tanh(left + right) + bias)`; zeros where the sentence has no keys.
///
/// The pairs of queries and keys, of `[d]` each, are never stored: backward computes them again. Of float32 or float64 on the CPU;
/// autocast changes nothing. Backward runs through it once: there is no second derivative.
pub fn additive_attention(of: &AdditiveAttention<'_>) -> Result<Tensor, TorchError> {
    let tensors = [of.left, of.right, of.keys, of.weight, of.bias].map(Tensor::as_ptr);
    let mut out = ffi::room::<1>();
    // SAFETY: live tensors, which the shim checks; it fills `out` with an owned tensor when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_additive_attention(
            tensors.as_ptr(),
            of.query_starts.as_ptr(),
            of.key_starts.as_ptr(),
            of.key_rows.as_ptr(),
            out.as_mut_ptr(),
        ))?;
        let [contexts] = out.map(|tensor| ffi::own(tensor));
        Ok(contexts)
    }
}
