//! Additive attention of target contexts over the encoded source.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::{AdditiveAttention, additive_attention};

use super::places::Words;

/// `score(i, j) = tanh(w2 · tanh(W1 [q_i ; A_j] + b1) + b2)`, softmax over the source's words.
///
/// `W1 [q ; A]` is computed as `W1q q + W1a A`: the same number without building all pairs.
pub(crate) struct Attention {
    wide: Tensor,
    wide_bias: Tensor,
    narrow: Tensor,
    narrow_bias: Tensor,
    size: i64,
}

impl Attention {
    /// Over queries and keys of `size` 2h: W1 is `[2h, 4h]`, w2 `[1, 2h]`.
    pub(crate) fn new(name: &str, size: i64, parameters: &mut Parameters, device: Device) -> Result<Self> {
        let mut linear = |layer: i64, inputs: i64, outputs: i64| -> Result<(Tensor, Tensor)> {
            let bound = 1.0 / (inputs as f64).sqrt();
            Ok((
                parameters.trainable(
                    format!("{name}.scorer.layers.{layer}.0.weight"),
                    init::xavier_uniform([outputs, inputs], device)?,
                )?,
                parameters.trainable(
                    format!("{name}.scorer.layers.{layer}.0.bias"),
                    init::uniform(&[outputs], bound, device)?,
                )?,
            ))
        };
        let (wide, wide_bias) = linear(0, 2 * size, size)?;
        let (narrow, narrow_bias) = linear(1, size, 1)?;
        Ok(Self { wide, wide_bias, narrow, narrow_bias, size })
    }

    /// `W1q q + b1` of queries and `W1a A` of keys.
    fn first_layer(&self, query: &Tensor, keys: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut parts = self.wide.f_split(self.size, 1)?.into_iter();
        let (Some(of_query), Some(of_keys)) = (parts.next(), parts.next()) else {
            return Err(Error::new(format!("W1 has shape {:?}, expected [2h, 4h]", self.wide.size())));
        };
        let left = query.f_linear(&of_query, Some(&self.wide_bias))?;
        Ok((left, keys.f_linear(&of_keys, None::<&Tensor>)?))
    }

    /// Contexts `[B, Q, 2h]` of queries `[B, Q, 2h]` over keys `[B, S, 2h]`, where `mask` `[B, S]` allows a position.
    /// Where it allows none, weights and context are zero. What is traced has `prefix` before its name.
    pub(crate) fn forward(
        &self,
        query: &Tensor,
        keys: &Tensor,
        mask: &Tensor,
        prefix: &str,
        pass: &mut Pass,
    ) -> Result<Tensor> {
        let (left, right) = self.first_layer(query, keys)?;
        let pairs = left.f_unsqueeze(2)?.f_add(&right.f_unsqueeze(1)?)?.f_tanh()?;
        let scores = pairs.f_linear(&self.narrow, Some(&self.narrow_bias))?.f_tanh()?.f_squeeze_dim(-1)?;
        pass.trace(&format!("{prefix}scores"), &scores);
        let scores = match scores.kind() {
            Kind::Half | Kind::BFloat16 => scores.f_to_kind(Kind::Float)?,
            _ => scores,
        };
        let lowest = if scores.kind() == Kind::Double { f64::MIN } else { f64::from(f32::MIN) };
        let masked = mask.f_logical_not()?.f_unsqueeze(1)?;
        let weights =
            scores.f_masked_fill(&masked, lowest)?.f_softmax(-1, None)?.f_masked_fill(&masked, 0.0)?;
        pass.trace(&format!("{prefix}p"), &weights);
        Ok(weights.f_to_kind(keys.kind())?.f_bmm(keys)?)
    }

    /// Contexts `[N, 2h]` of the queries `[N, 2h]` of `words` over those rows of `keys` `[M, 2h]` that are words of the same
    /// sentence's source.
    pub(crate) fn within_sentences(
        &self,
        query: &Tensor,
        keys: &Tensor,
        words: &Words,
        source_words: &Words,
    ) -> Result<Tensor> {
        let (left, right) = self.first_layer(query, keys)?;
        // Under autocast the layer gives a shorter type.
        let kind = self.narrow.kind();
        Ok(additive_attention(&AdditiveAttention {
            left: &left.f_to_kind(kind)?,
            right: &right.f_to_kind(kind)?,
            keys,
            weight: &self.narrow.f_reshape([self.size])?,
            bias: &self.narrow_bias,
            query_starts: &Tensor::from_slice(&words.starts),
            key_starts: &Tensor::from_slice(&source_words.starts),
            key_rows: &Tensor::from_slice(&source_words.places),
        })?)
    }
}
