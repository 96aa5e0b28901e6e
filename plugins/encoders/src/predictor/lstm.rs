//! LSTMs with PyTorch's parameter names: one over packed sequences in both directions, one over padded sequences.

use kiwi_plugin_api::prelude::*;

/// States of an LSTM after its last step: h and c, `[layers * directions, B, h]` each.
pub(crate) struct States {
    pub(crate) h: Tensor,
    pub(crate) c: Tensor,
}

/// A multi-layer LSTM.
pub(crate) struct Lstm {
    weights: Vec<Tensor>,
    hidden_size: i64,
    layers: i64,
    dropout: f64,
    bidirectional: bool,
}

/// Sizes of an LSTM.
pub(crate) struct Sizes {
    pub(crate) input: i64,
    pub(crate) hidden: i64,
    pub(crate) layers: i64,
    pub(crate) dropout: f64,
    pub(crate) bidirectional: bool,
}

impl Lstm {
    /// Fresh weights: matrices Xavier-uniform (the four gates one matrix), biases uniform in ±1/√h as PyTorch's.
    pub(crate) fn new(
        name: &str,
        sizes: &Sizes,
        parameters: &mut Parameters,
        device: Device,
    ) -> Result<Self> {
        let hidden = sizes.hidden;
        let directions = if sizes.bidirectional { 2 } else { 1 };
        let bound = 1.0 / (hidden as f64).sqrt();
        let mut weights = Vec::new();
        for layer in 0..sizes.layers {
            let input = if layer == 0 { sizes.input } else { directions * hidden };
            for suffix in ["", "_reverse"].into_iter().take(directions as usize) {
                let mut add = |kind: &str, value| {
                    parameters.trainable(format!("{name}.{kind}_l{layer}{suffix}"), value)
                };
                weights.push(add("weight_ih", init::xavier_uniform([4 * hidden, input], device)?)?);
                weights.push(add("weight_hh", init::xavier_uniform([4 * hidden, hidden], device)?)?);
                weights.push(add("bias_ih", init::uniform(&[4 * hidden], bound, device)?)?);
                weights.push(add("bias_hh", init::uniform(&[4 * hidden], bound, device)?)?);
            }
        }
        Ok(Self {
            weights,
            hidden_size: hidden,
            layers: sizes.layers,
            dropout: sizes.dropout,
            bidirectional: sizes.bidirectional,
        })
    }

    /// Over padded rows `x` `[B, T, E]` from `initial` states: outputs `[B, T, h]`.
    pub(crate) fn over_padded(&self, x: &Tensor, initial: &States, training: bool) -> Result<Tensor> {
        let (outputs, _, _) = x.f_lstm(
            &[&initial.h, &initial.c],
            &self.borrowed(),
            true,
            self.layers,
            self.dropout,
            training,
            self.bidirectional,
            true,
        )?;
        Ok(outputs)
    }

    /// Over rows `x` `[B, T, E]` of these `lengths` (`[B]`, on the CPU), so that padding influences no state: outputs
    /// `[B, T, directions * h]`, zero at padding, and the states after each row's last word.
    pub(crate) fn over_lengths(
        &self,
        x: &Tensor,
        lengths: &Tensor,
        training: bool,
    ) -> Result<(Tensor, States)> {
        let (rows, width) = (x.size()[0], x.size()[1]);
        let (lengths, order) = lengths.f_sort_stable(true, 0, true)?;
        let back = order.f_argsort(0, false)?.f_to(x.device())?;
        let order = order.f_to(x.device())?;
        let (data, batch_sizes) =
            x.f_index_select(0, &order)?.f_internal_pack_padded_sequence(&lengths, true)?;
        let directions = if self.bidirectional { 2 } else { 1 };
        let zeros =
            Tensor::f_zeros([directions * self.layers, rows, self.hidden_size], (x.kind(), x.device()))?;
        let (outputs, h, c) = Tensor::f_lstm_data(
            &data,
            &batch_sizes,
            &[&zeros, &zeros],
            &self.borrowed(),
            true,
            self.layers,
            self.dropout,
            training,
            self.bidirectional,
        )?;
        let (outputs, _) = Tensor::f_internal_pad_packed_sequence(&outputs, &batch_sizes, true, 0.0, width)?;
        let states = States { h: h.f_index_select(1, &back)?, c: c.f_index_select(1, &back)? };
        Ok((outputs.f_index_select(0, &back)?, states))
    }

    fn borrowed(&self) -> Vec<&Tensor> {
        self.weights.iter().collect()
    }
}

impl States {
    /// Of states of both directions, layer by layer, those of one: 0 forward, 1 backward.
    pub(crate) fn of_direction(&self, direction: i64) -> Result<Self> {
        let pick = |states: &Tensor| -> Result<Tensor> {
            let size = states.size();
            Ok(states.f_view([size[0] / 2, 2, size[1], size[2]])?.f_select(1, direction)?.f_contiguous()?)
        };
        Ok(Self { h: pick(&self.h)?, c: pick(&self.c)? })
    }
}
