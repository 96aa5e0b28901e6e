//! Layers: attention and a feed-forward network, each adding to what goes through.

use kiwi_plugin_api::prelude::*;

use crate::affine::{Affine, Place, dropped, normalised};
use crate::attention::{CrossAttention, Heads, SelfAttention};
use crate::config::Config;
use crate::packing::Packing;

/// Stacks of layers side by side: one over the source, or two over the target.
pub(crate) struct Stack {
    layers: Vec<Layer>,
    dropout: f64,
}

struct Layer {
    own: SelfAttention,
    /// Of the target's layers only.
    cross: Option<CrossAttention>,
    inner: Affine,
    outer: Affine,
}

/// A text that is attended to.
pub(crate) struct Memory {
    /// `[1, M, H]`.
    pub(crate) rows: Tensor,
    /// Of the rows, for as many stacks as attend to them.
    pub(crate) packing: Packing,
}

impl Stack {
    /// Over the source: rows attend to all rows.
    pub(crate) fn of_source(config: &Config, place: Place<'_>) -> Result<Self> {
        Self::new(1, false, config.source_layers, config, place)
    }

    /// Over the target, two side by side: rows attend to themselves, to earlier rows, and to the source.
    pub(crate) fn of_target(config: &Config, place: Place<'_>) -> Result<Self> {
        Self::new(2, true, config.target_layers, config, place)
    }

    fn new(stacks: i64, of_target: bool, layers: i64, config: &Config, mut place: Place<'_>) -> Result<Self> {
        let heads = Heads {
            count: config.attention_heads,
            size: config.hidden_size,
            dropout: config.attention_dropout,
        };
        let (size, inner) = (config.hidden_size, config.feed_forward_size);
        let layer = |number: i64| {
            let mut place = place.part(&format!("layers.{number}"));
            let own = SelfAttention::new(stacks, heads, of_target, place.part("self_attention"))?;
            let cross = of_target.then(|| CrossAttention::new(stacks, heads, place.part("cross_attention")));
            Ok(Layer {
                own,
                cross: cross.transpose()?,
                inner: Affine::new(stacks, size, 1, inner, place.part("feed_forward.inner"))?,
                outer: Affine::new(stacks, inner, 1, size, place.part("feed_forward.outer"))?,
            })
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_>>()?, dropout: config.dropout })
    }

    /// `x` `[D, N, H]` through all layers, normalised at the end.
    pub(crate) fn run(
        &self,
        mut x: Tensor,
        packing: &Packing,
        memory: Option<&Memory>,
        pass: &Pass,
    ) -> Result<Tensor> {
        let add = |x: &Tensor, more: Tensor| Ok::<_, Error>(x.f_add(&dropped(more, self.dropout, pass)?)?);
        for layer in &self.layers {
            x = add(&x, layer.own.attend(&normalised(&x)?, packing, pass)?)?;
            if let (Some(cross), Some(memory)) = (&layer.cross, memory) {
                let found = cross.attend(&normalised(&x)?, packing, &memory.rows, &memory.packing, pass)?;
                x = add(&x, found)?;
            }
            let inner = layer.inner.map(&normalised(&x)?)?.f_relu()?;
            x = add(&x, layer.outer.map(&inner)?)?;
        }
        normalised(&x)
    }
}
