//! The way of a batch through padded tensors and libtorch's own operations: on any device, in any precision, and traced.

use kiwi_plugin_api::prelude::*;

use super::lstm::States;
use super::{EncodedTarget, PredictorEncoder};

/// The encoded source: A `[B, S, 2h]`, its final states, and where its words are `[B, S]`.
pub(super) struct EncodedSource {
    keys: Tensor,
    states: States,
    mask: Tensor,
}

impl PredictorEncoder {
    pub(super) fn encode_source(&self, field: &Field, pass: &mut Pass) -> Result<EncodedSource> {
        let x = self.source.padded(field.ids()?, pass.training())?;
        let (keys, states) = self.source_lstm.over_lengths(&x, field.lengths()?, pass.training())?;
        for (name, tensor) in [("x_source", &x), ("A", &keys), ("h_n", &states.h), ("c_n", &states.c)] {
            pass.trace(name, tensor);
        }
        Ok(EncodedSource { keys, states, mask: field.strict_mask()?.shallow_clone() })
    }

    /// A target, or a post-edit by the same parameters; what is traced of a post-edit has `pe_` before its name.
    ///
    /// In training mode the first and the last position of f are zero: no loss counts them and no feature reads them.
    pub(super) fn encode_target(
        &self,
        field: &Field,
        source: &EncodedSource,
        pass: &mut Pass,
    ) -> Result<EncodedTarget> {
        let training = pass.training();
        let x = self.target.padded(field.ids()?, training)?;
        let reverse = reverse_within(field.lengths()?, &x)?;
        let forward = self.forward_lstm.over_padded(&x, &source.states.of_direction(0)?, training)?;
        let backward = self.backward_lstm.over_padded(
            &gather_rows(&x, &reverse)?,
            &source.states.of_direction(1)?,
            training,
        )?;
        let backward = gather_rows(&backward, &reverse)?;
        let prefix = if field.name == "pe" { "pe_" } else { "" };
        for (name, tensor) in [("x_target", &x), ("F", &forward), ("R", &backward)] {
            pass.trace(&format!("{prefix}{name}"), tensor);
        }

        let only_inner = training;
        let query = neighbours(&forward, &backward, only_inner)?;
        let around = neighbours(&x, &x, only_inner)?;
        let context = self.attention.forward(&query, &source.keys, &source.mask, prefix, pass)?;
        let predicted = self.predict(&query, &around, &context)?;
        for (name, tensor) in [("q", &query), ("a", &context), ("f", &predicted)] {
            pass.trace(&format!("{prefix}{name}"), tensor);
        }
        let predicted = if only_inner { predicted.f_constant_pad_nd([0i64, 0, 1, 1])? } else { predicted };
        Ok(EncodedTarget { predicted, forward, backward })
    }
}

/// `[B, T]`: for each row the positions in reverse within its length, padding staying in place.
fn reverse_within(lengths: &Tensor, like: &Tensor) -> Result<Tensor> {
    let positions = Tensor::f_arange(like.size()[1], (Kind::Int64, Device::Cpu))?.f_unsqueeze(0)?;
    let lengths = lengths.f_unsqueeze(1)?;
    let reversed = lengths.f_sub(&positions)?.f_sub_scalar(1)?;
    to_device(&reversed.f_where_self(&positions.f_lt_tensor(&lengths)?, &positions)?, like.device())
}

/// Row by row, the positions `index` `[B, T]` of `x` `[B, T, D]`.
fn gather_rows(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    Ok(x.f_gather(1, &index.f_unsqueeze(-1)?.f_expand_as(x)?, false)?)
}

/// `[left_{i-1} ; right_{i+1}]` for every position i, zero outside; or for the inner positions 1 .. T-2 only.
fn neighbours(left: &Tensor, right: &Tensor, only_inner: bool) -> Result<Tensor> {
    let width = left.size()[1];
    if only_inner {
        let (left, right) = (left.f_narrow(1, 0, width - 2)?, right.f_narrow(1, 2, width - 2)?);
        return Ok(Tensor::f_cat(&[left, right], -1)?);
    }
    let left = left.f_narrow(1, 0, width - 1)?.f_constant_pad_nd([0i64, 0, 1, 0])?;
    let right = right.f_narrow(1, 1, width - 1)?.f_constant_pad_nd([0i64, 0, 0, 1])?;
    Ok(Tensor::f_cat(&[left, right], -1)?)
}
