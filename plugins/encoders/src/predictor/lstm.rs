//! LSTMs with PyTorch's parameter names, on two ways: over padded sequences by libtorch's own operators, and over packed places by
//! the fused operation, two directions side by side.

use std::ops::Range;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::{LstmWay, dropout_factors, lstm_both_ways};

use super::places::Places;

/// Tensors of weights that a layer has in a direction.
const WEIGHTS: i64 = 4;
/// cuDNN's number of this kind of network.
const CUDNN_LSTM: i64 = 2;

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
        let lstm = Self {
            weights,
            hidden_size: hidden,
            layers: sizes.layers,
            dropout: sizes.dropout,
            bidirectional: sizes.bidirectional,
        };
        lstm.flatten(sizes.input, device)?;
        Ok(lstm)
    }

    /// On a GPU, moves the weights of layers that run together into one piece of memory, in the order in which cuDNN wants them:
    /// otherwise it would copy them there in each step, and warn of it.
    fn flatten(&self, input: i64, device: Device) -> Result<()> {
        if !device.is_cuda() || !Tensor::f_internal_use_cudnn_rnn_flatten_weight()? {
            return Ok(());
        }
        let runs: Vec<Range<i64>> = if self.by_layer(device, true) {
            (0..self.layers).map(|layer| layer..layer + 1).collect()
        } else {
            std::iter::once(0..self.layers).collect()
        };
        for layers in runs {
            let input = if layers.start == 0 { input } else { self.directions() * self.hidden_size };
            let _one_piece = tch::no_grad(|| {
                Tensor::f_internal_cudnn_rnn_flatten_weight(
                    &self.of_layers(&layers),
                    WEIGHTS,
                    input,
                    CUDNN_LSTM,
                    self.hidden_size,
                    0,
                    layers.end - layers.start,
                    true,
                    self.bidirectional,
                )
            })?;
        }
        Ok(())
    }

    /// Over padded rows `x` `[B, T, E]` from `initial` states: outputs `[B, T, h]`.
    pub(crate) fn over_padded(&self, x: &Tensor, initial: &States, training: bool) -> Result<Tensor> {
        let run = |x: &Tensor, layers: Range<i64>| -> Result<Tensor> {
            let states = initial.of_layers(&layers, 1)?;
            let (outputs, _, _) = x.f_lstm(
                &[&states.h, &states.c],
                &self.of_layers(&layers),
                true,
                layers.end - layers.start,
                0.0,
                training,
                false,
                true,
            )?;
            Ok(outputs)
        };
        if !self.by_layer(x.device(), training) {
            return run(x, 0..self.layers);
        }
        if x.device() != Device::Cpu {
            let mut outputs = x.shallow_clone();
            for layer in 0..self.layers {
                outputs = run(&self.drop_before(layer, &outputs, training)?, layer..layer + 1)?;
            }
            return Ok(outputs);
        }
        let (rows, width) = (x.size()[0], x.size()[1]);
        let steps = Tensor::f_arange(rows * width, (Kind::Int64, Device::Cpu))?;
        let mut outputs = x.shallow_clone();
        let factors = self.factors_at(&steps, x.kind())?;
        for (layer, factors) in (0..self.layers).zip(std::iter::once(None).chain(factors.iter().map(Some))) {
            if let Some(factors) = factors {
                let by_row = factors.f_view([width, rows, self.hidden_size])?.f_transpose(0, 1)?;
                outputs = outputs.f_mul(&by_row.f_to_kind(outputs.kind())?)?;
            }
            outputs = run(&outputs, layer..layer + 1)?;
        }
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
        let back = to_device(&order.f_argsort(0, false)?, x.device())?;
        let order = to_device(&order, x.device())?;
        let (data, batch_sizes) =
            x.f_index_select(0, &order)?.f_internal_pack_padded_sequence(&lengths, true)?;
        let directions = self.directions();
        let run = |data: &Tensor, layers: Range<i64>| -> Result<(Tensor, Tensor, Tensor)> {
            let count = layers.end - layers.start;
            let zeros =
                Tensor::f_zeros([directions * count, rows, self.hidden_size], (x.kind(), x.device()))?;
            Ok(Tensor::f_lstm_data(
                data,
                &batch_sizes,
                &[&zeros, &zeros],
                &self.of_layers(&layers),
                true,
                count,
                0.0,
                training,
                self.bidirectional,
            )?)
        };
        let (outputs, h, c) = if self.by_layer(x.device(), training) {
            let (mut outputs, mut h, mut c) = (data, Vec::new(), Vec::new());
            for layer in 0..self.layers {
                outputs = self.drop_before(layer, &outputs, training)?;
                let (of_layer, last_h, last_c) = run(&outputs, layer..layer + 1)?;
                outputs = of_layer;
                h.push(last_h);
                c.push(last_c);
            }
            (outputs, Tensor::f_cat(&h, 0)?, Tensor::f_cat(&c, 0)?)
        } else {
            run(&data, 0..self.layers)?
        };
        let (outputs, _) = Tensor::f_internal_pad_packed_sequence(&outputs, &batch_sizes, true, 0.0, width)?;
        let states = States { h: h.f_index_select(1, &back)?, c: c.f_index_select(1, &back)? };
        Ok((outputs.f_index_select(0, &back)?, states))
    }

    fn directions(&self) -> i64 {
        if self.bidirectional { 2 } else { 1 }
    }

    /// The weights of some layers.
    fn of_layers(&self, layers: &Range<i64>) -> Vec<&Tensor> {
        let each = WEIGHTS * self.directions();
        let number = |layer: i64| (layer * each).unsigned_abs() as usize;
        self.weights[number(layers.start)..number(layers.end)].iter().collect()
    }

    /// Layers.
    pub(crate) fn layers(&self) -> usize {
        self.layers.unsigned_abs() as usize
    }

    /// One of its two directions in a layer (0 the only or forward one, 1 the backward one) over `x` `[N, E]` from states
    /// `[B, h]`.
    fn way<'a>(&'a self, layer: usize, direction: usize, x: &'a Tensor, from: &'a State) -> LstmWay<'a> {
        let directions = self.directions().unsigned_abs() as usize;
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
            if layer > 0 && self.drops(training) {
                outputs = outputs.f_mul(&self.factors_for(&outputs)?)?;
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

    /// Whether layers run one by one, with our own dropout between them: libtorch's own would draw on a GPU from a state that
    /// no seed of ours sets. There evaluation runs so too, since weights lie in memory as training wants them.
    fn by_layer(&self, device: Device, training: bool) -> bool {
        self.drops(training || device != Device::Cpu)
    }

    /// What `layer` reads of the outputs of the one before: in training, dropout is on them.
    fn drop_before(&self, layer: i64, outputs: &Tensor, training: bool) -> Result<Tensor> {
        if layer == 0 || !self.drops(training) {
            return Ok(outputs.shallow_clone());
        }
        if outputs.device() != Device::Cpu {
            return Ok(outputs.f_dropout(self.dropout, true)?);
        }
        Ok(outputs.f_mul(&self.factors_for(outputs)?)?)
    }

    fn drops(&self, training: bool) -> bool {
        training && self.dropout > 0.0 && self.layers > 1
    }

    /// Factors of dropout for packed outputs `[N, D]` of a layer.
    fn factors_for(&self, outputs: &Tensor) -> Result<Tensor> {
        let rows = Tensor::f_arange(outputs.size()[0], (Kind::Int64, Device::Cpu))?;
        let factors = dropout_factors(&rows, outputs.size()[1], self.dropout, Kind::Float)?;
        Ok(factors.f_to_kind(outputs.kind())?)
    }

    /// Factors of dropout `[N, h]` for the outputs of each layer but the last at these steps of sentences, which are numbered
    /// `step * B + sentence`.
    fn factors_at(&self, steps: &Tensor, kind: Kind) -> Result<Vec<Tensor>> {
        let draw = |_| -> Result<Tensor> {
            Ok(dropout_factors(steps, self.hidden_size, self.dropout, Kind::Float)?.f_to_kind(kind)?)
        };
        (1..self.layers()).map(draw).collect()
    }
}

impl States {
    /// Those of some layers.
    fn of_layers(&self, layers: &Range<i64>, directions: i64) -> Result<Self> {
        let pick = |states: &Tensor| {
            states.f_narrow(0, layers.start * directions, (layers.end - layers.start) * directions)
        };
        Ok(Self { h: pick(&self.h)?, c: pick(&self.c)? })
    }

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
/// direction: outputs `[N, h]` each.
pub(crate) fn side_by_side(
    [forward, backward]: [&Lstm; 2],
    x: &Tensor,
    places: &Places,
    states: &[[State; 2]],
    training: bool,
) -> Result<[Tensor; 2]> {
    let factors = if forward.drops(training) {
        [
            forward.factors_at(&places.steps(false)?, x.kind())?,
            backward.factors_at(&places.steps(true)?, x.kind())?,
        ]
    } else {
        [Vec::new(), Vec::new()]
    };
    let mut outputs = [x.shallow_clone(), x.shallow_clone()];
    for (layer, [of_forward, of_backward]) in states.iter().enumerate() {
        for (outputs, factors) in outputs.iter_mut().zip(&factors) {
            if let Some(factors) = layer.checked_sub(1).and_then(|before| factors.get(before)) {
                *outputs = outputs.f_mul(factors)?;
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
