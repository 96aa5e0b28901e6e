//! Affine maps of one stack or of several side by side, the normalisation before them, and dropout.

use kiwi_plugin_api::prelude::*;

/// A map `x Wᵀ + b` for each of D stacks.
pub(crate) struct Affine {
    /// `[D, outputs, inputs]`.
    weight: Tensor,
    /// `[D, outputs]`.
    bias: Tensor,
}

/// Where a module's parameters go and what they are called.
pub(crate) struct Place<'a> {
    pub(crate) parameters: &'a mut Parameters,
    pub(crate) device: Device,
    name: String,
}

impl<'a> Place<'a> {
    /// The place of the whole encoder.
    pub(crate) fn of_all(parameters: &'a mut Parameters, device: Device) -> Self {
        Self { parameters, device, name: String::new() }
    }

    /// The place of a part of the module.
    pub(crate) fn part(&mut self, name: &str) -> Place<'_> {
        Place { name: self.named(name), parameters: self.parameters, device: self.device }
    }

    /// Adds a parameter of the module.
    pub(crate) fn trainable(&mut self, name: &str, value: Tensor) -> Result<Tensor> {
        self.parameters.trainable(self.named(name), value)
    }

    fn named(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) }
    }
}

impl Affine {
    /// A map for each of `stacks`, whose outputs are `parts` of the size `outputs`. Each part of a weight is Xavier-uniform by
    /// itself, and the biases are zero.
    pub(crate) fn new(
        stacks: i64,
        inputs: i64,
        parts: i64,
        outputs: i64,
        mut place: Place<'_>,
    ) -> Result<Self> {
        let drawn = (0..stacks * parts).map(|_| init::xavier_uniform([outputs, inputs], place.device));
        let weight = Tensor::f_cat(&drawn.collect::<Result<Vec<_>>>()?, 0)?;
        let weight = weight.f_view([stacks, parts * outputs, inputs])?;
        let bias = init::zeros(&[stacks, parts * outputs], place.device)?;
        Ok(Self { weight: place.trainable("weight", weight)?, bias: place.trainable("bias", bias)? })
    }

    /// `x` `[D, N, inputs]` → `[D, N, outputs]`; where `x` is `[1, N, inputs]`, each stack has it.
    pub(crate) fn map(&self, x: &Tensor) -> Result<Tensor> {
        let stacks = self.weight.size()[0];
        if stacks == 1 {
            return Ok(x.f_linear(&self.weight.f_squeeze_dim(0)?, Some(&self.bias.f_squeeze_dim(0)?))?);
        }
        let x = x.f_expand([stacks, -1, -1], false)?;
        Ok(self.bias.f_unsqueeze(1)?.f_baddbmm(&x, &self.weight.f_transpose(1, 2)?, 1, 1)?)
    }
}

/// Each row of `x` with mean 0 and variance 1. Gain and bias of a layer norm are left to the affine map that follows, which can do
/// all that they could.
pub(crate) fn normalised(x: &Tensor) -> Result<Tensor> {
    let size = x.size().last().copied().unwrap_or_default();
    Ok(x.f_layer_norm([size], None::<&Tensor>, None::<&Tensor>, 1e-5, true)?)
}

/// `x` with this share of its components dropped and the others made larger, in training.
pub(crate) fn dropped(x: Tensor, share: f64, pass: &Pass) -> Result<Tensor> {
    if pass.training() && share > 0.0 { Ok(x.f_dropout(share, true)?) } else { Ok(x) }
}
