//! LSTMs with PyTorch's parameter names: one over packed sequences in both directions, one over padded sequences.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::{LstmWay, lstm_both_ways};

use super::places::Places;

/// h and c of one layer in one direction, `[B, h]` each.
pub(crate) struct State {
    pub(crate) h: Tensor,
    pub(crate) c: Tensor,
}

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

    /// Layers.
    pub(crate) fn layers(&self) -> usize {
        self.layers.unsigned_abs() as usize
    }

    /// One of its two directions in a layer (0 the only or forward one, 1 the backward one) over `x` `[N, E]` from states
    /// `[B, h]`.
    fn way<'a>(&'a self, layer: usize, direction: usize, x: &'a Tensor, from: &'a State) -> LstmWay<'a> {
        let directions = if self.bidirectional { 2 } else { 1 };
        let of = &self.weights[4 * (layer * directions + direction)..][..4];
        LstmWay {
            x,
            weight_ih: &of[0],
            weight_hh: &of[1],
            bias_ih: &of[2],
            bias_hh: &of[3],
            h: &from.h,
            c: &from.c,
        }
    }

    /// In both directions over packed rows `x` `[N, E]` of B sentences: outputs `[N, 2h]`, and the states after the last step of
    /// each direction, layer by layer.
    pub(crate) fn both_ways(
        &self,
        x: &Tensor,
        batch_sizes: &Tensor,
        sentences: usize,
        training: bool,
    ) -> Result<(Tensor, Vec<[State; 2]>)> {
        let zeros = || Tensor::f_zeros([sentences as i64, self.hidden_size], (x.kind(), x.device()));
        let start = State { h: zeros()?, c: zeros()? };
        let mut outputs = x.shallow_clone();
        let mut states = Vec::new();
        for layer in 0..self.layers() {
            if layer > 0 && training && self.dropout > 0.0 {
                outputs = outputs.f_dropout(self.dropout, true)?;
            }
            let [forward, backward] = lstm_both_ways(
                &self.way(layer, 0, &outputs, &start),
                &self.way(layer, 1, &outputs, &start),
                batch_sizes,
            )?;
            outputs = Tensor::f_cat(&[forward.y, backward.y], 1)?;
            states.push([State { h: forward.h, c: forward.c }, State { h: backward.h, c: backward.c }]);
        }
        Ok((outputs, states))
    }

    /// Factors `[T * B, h]` for the outputs of each layer but the last, at each step of each sentence: drawn as for padded rows,
    /// so that the same words are dropped either way. None where nothing is dropped.
    fn dropout_factors(
        &self,
        [steps, sentences]: [i64; 2],
        like: &Tensor,
        training: bool,
    ) -> Result<Vec<Tensor>> {
        if !training || self.dropout == 0.0 {
            return Ok(Vec::new());
        }
        let draw = |_| -> Result<Tensor> {
            let mut factors =
                Tensor::f_empty([steps * sentences, self.hidden_size], (like.kind(), like.device()))?;
            let kept = 1.0 - self.dropout;
            Ok(factors.f_bernoulli_float_(kept)?.f_div_scalar_(kept)?)
        };
        (1..self.layers()).map(draw).collect()
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

/// `forward` and, from the end to the beginning, `backward` over the same packed rows `x` `[N, E]`, from a state for each layer and
/// direction: outputs `[N, h]` each. `width` is that of the padded field.
pub(crate) fn side_by_side(
    [forward, backward]: [&Lstm; 2],
    x: &Tensor,
    places: &Places,
    states: &[[State; 2]],
    width: i64,
    training: bool,
) -> Result<[Tensor; 2]> {
    let shape = [width, places.sentences() as i64];
    let factors =
        [forward.dropout_factors(shape, x, training)?, backward.dropout_factors(shape, x, training)?];
    let steps = if factors[0].is_empty() { None } else { Some([places.steps(false)?, places.steps(true)?]) };
    let mut outputs = [x.shallow_clone(), x.shallow_clone()];
    for (layer, [of_forward, of_backward]) in states.iter().enumerate() {
        if let (Some(steps), Some(before)) = (&steps, layer.checked_sub(1)) {
            for way in 0..2 {
                let factors = factors[way][before].f_index_select(0, &steps[way])?;
                outputs[way] = outputs[way].f_mul(&factors)?;
            }
        }
        let [forward, backward] = lstm_both_ways(
            &forward.way(layer, 0, &outputs[0], of_forward),
            &backward.way(layer, 0, &outputs[1], of_backward),
            &places.batch_sizes,
        )?;
        outputs = [forward.y, backward.y];
    }
    Ok(outputs)
}
