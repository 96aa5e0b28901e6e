//! Attention with several heads (Vaswani et al. 2017), by libtorch's fused operation.

use kiwi_plugin_api::prelude::*;

use crate::affine::{Affine, Place};
use crate::packing::Packing;

/// What all attentions of an encoder have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: i64,
    /// H, that of all heads together.
    pub(crate) size: i64,
    /// On the weights.
    pub(crate) dropout: f64,
}

/// Attention of rows to rows of their own sentence and stack.
pub(crate) struct SelfAttention {
    heads: Heads,
    /// Whether a row attends to itself and to earlier rows only.
    causal: bool,
    query_key_value: Affine,
    output: Affine,
}

/// Attention of rows to the rows of another text.
pub(crate) struct CrossAttention {
    heads: Heads,
    query: Affine,
    key_value: Affine,
    output: Affine,
}

impl Heads {
    /// Splits `[R, width, P H]` into P tensors `[R, heads, width, H / heads]`.
    fn split(self, x: &Tensor) -> Result<Vec<Tensor>> {
        let [rows, width, size] = x.size()[..] else {
            return Err(Error::new(format!("attention to a tensor of shape {:?}", x.size())));
        };
        let parts = x.f_view([rows, width, size / self.size, self.count, self.size / self.count])?;
        Ok(parts.f_permute([2, 0, 3, 1, 4])?.f_unbind(0)?)
    }

    /// What queries find, heads joined again: `[R, width, H]`. `mask` is true where keys are.
    fn attend(
        self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Option<&Tensor>,
        causal: bool,
        pass: &Pass,
    ) -> Result<Tensor> {
        let dropout = if pass.training() { self.dropout } else { 0.0 };
        let found =
            Tensor::f_scaled_dot_product_attention(query, key, value, mask, dropout, causal, None, false)?;
        Ok(found.f_transpose(1, 2)?.f_flatten(2, 3)?)
    }
}

impl SelfAttention {
    pub(crate) fn new(stacks: i64, heads: Heads, causal: bool, mut place: Place<'_>) -> Result<Self> {
        let size = heads.size;
        Ok(Self {
            heads,
            causal,
            query_key_value: Affine::new(stacks, size, 3, size, place.part("query_key_value"))?,
            output: Affine::new(stacks, size, 1, size, place.part("output"))?,
        })
    }

    /// `x` `[D, N, H]` → `[D, N, H]`.
    pub(crate) fn attend(&self, x: &Tensor, packing: &Packing, pass: &Pass) -> Result<Tensor> {
        let projected = packing.padded(&self.query_key_value.map(x)?)?;
        let parts = self.heads.split(&projected)?;
        // Padding comes last, where no causal attention of a row that is there reaches it.
        let mask = if self.causal { None } else { packing.present() };
        let found = self.heads.attend(&parts[0], &parts[1], &parts[2], mask, self.causal, pass)?;
        self.output.map(&packing.packed(&found)?)
    }
}

impl CrossAttention {
    pub(crate) fn new(stacks: i64, heads: Heads, mut place: Place<'_>) -> Result<Self> {
        let size = heads.size;
        Ok(Self {
            heads,
            query: Affine::new(stacks, size, 1, size, place.part("query"))?,
            key_value: Affine::new(stacks, size, 2, size, place.part("key_value"))?,
            output: Affine::new(stacks, size, 1, size, place.part("output"))?,
        })
    }

    /// `x` `[D, N, H]` attends to `other` `[1, M, H]`, which `others` packs for D stacks → `[D, N, H]`.
    pub(crate) fn attend(
        &self,
        x: &Tensor,
        packing: &Packing,
        other: &Tensor,
        others: &Packing,
        pass: &Pass,
    ) -> Result<Tensor> {
        let query = self.heads.split(&packing.padded(&self.query.map(x)?)?)?;
        let key_value = self.heads.split(&others.padded(&self.key_value.map(other)?)?)?;
        let found =
            self.heads.attend(&query[0], &key_value[0], &key_value[1], others.present(), false, pass)?;
        self.output.map(&packing.packed(&found)?)
    }
}
