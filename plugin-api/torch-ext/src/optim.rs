//! One step of an optimizer over lists of tensors, in one fused operation.
//!
//! Nothing is recorded for backward. What the tensors hold is changed although they are borrowed, as with every alias of
//! a tensor. All tensors of a call are on one device and of one floating-point type, and each tensor is of the shape and
//! strides of its parameter.

use tch::Tensor;
use torch_sys::C_tensor;

use crate::TorchError;
use crate::ffi::{self, RawAdam, RawSgd};

/// What Adam works on: lists of equal length, one item a parameter.
#[derive(Debug, Clone, Copy)]
pub struct AdamTensors<'a> {
    /// The parameters, which are updated.
    pub parameters: &'a [Tensor],
    /// Their gradients.
    pub gradients: &'a [Tensor],
    /// Running means of the gradients, zero before the first step.
    pub exp_avgs: &'a [Tensor],
    /// Running means of their squares, zero before the first step.
    pub exp_avg_sqs: &'a [Tensor],
    /// Largest running means of the squares: as long as the others with `amsgrad`, otherwise not looked at.
    pub max_exp_avg_sqs: &'a [Tensor],
    /// Numbers of steps taken so far, float32 scalars on the device of the parameters. The call adds one to each before
    /// it uses them.
    pub steps: &'a [Tensor],
}

/// How Adam steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squares.
    pub beta2: f64,
    /// Weight decay: added to the gradient by [`fused_adam`], applied to the parameter by [`fused_adamw`].
    pub weight_decay: f64,
    /// Added to the root of the mean of squares.
    pub epsilon: f64,
    /// Whether the largest mean of squares is used.
    pub amsgrad: bool,
    /// Whether the objective is maximised.
    pub maximize: bool,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            weight_decay: 0.0,
            epsilon: 1e-8,
            amsgrad: false,
            maximize: false,
        }
    }
}

/// One step of Adam; weight decay is part of the gradient.
pub fn fused_adam(tensors: &AdamTensors<'_>, settings: &AdamSettings) -> Result<(), TorchError> {
    adam("fused_adam", tensors, settings, false)
}

/// One step of AdamW; weight decay shrinks the parameters directly.
pub fn fused_adamw(tensors: &AdamTensors<'_>, settings: &AdamSettings) -> Result<(), TorchError> {
    adam("fused_adamw", tensors, settings, true)
}

fn adam(
    operation: &str,
    tensors: &AdamTensors<'_>,
    settings: &AdamSettings,
    decoupled: bool,
) -> Result<(), TorchError> {
    let mut lists = vec![
        ("parameters", tensors.parameters),
        ("gradients", tensors.gradients),
        ("exp_avgs", tensors.exp_avgs),
        ("exp_avg_sqs", tensors.exp_avg_sqs),
        ("steps", tensors.steps),
    ];
    if settings.amsgrad {
        lists.push(("max_exp_avg_sqs", tensors.max_exp_avg_sqs));
    }
    let Some((all, n)) = joined(operation, &lists)? else { return Ok(()) };
    let raw = RawAdam {
        learning_rate: settings.learning_rate,
        beta1: settings.beta1,
        beta2: settings.beta2,
        weight_decay: settings.weight_decay,
        epsilon: settings.epsilon,
        amsgrad: settings.amsgrad,
        maximize: settings.maximize,
    };
    // SAFETY: `n` live tensors for each list that the shim reads, in its order; it checks that they fit together.
    unsafe { ffi::check(ffi::kiwi_torch_fused_adam(all.as_ptr(), n, &raw const raw, decoupled)) }
}

/// How stochastic gradient descent steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum; zero for none.
    pub momentum: f64,
    /// How much of the gradient momentum leaves out.
    pub dampening: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// Whether the objective is maximised.
    pub maximize: bool,
    /// Whether this is the first step: the momentum buffers are then set to the gradients, whatever they held.
    pub first_step: bool,
}

/// One step of stochastic gradient descent. `momentum_buffers` is as long as `parameters` with momentum, otherwise not
/// looked at.
pub fn fused_sgd(
    parameters: &[Tensor],
    gradients: &[Tensor],
    momentum_buffers: &[Tensor],
    settings: &SgdSettings,
) -> Result<(), TorchError> {
    let mut lists = vec![("parameters", parameters), ("gradients", gradients)];
    if settings.momentum != 0.0 {
        lists.push(("momentum_buffers", momentum_buffers));
    }
    let Some((all, n)) = joined("fused_sgd", &lists)? else { return Ok(()) };
    let raw = RawSgd {
        learning_rate: settings.learning_rate,
        momentum: settings.momentum,
        dampening: settings.dampening,
        weight_decay: settings.weight_decay,
        nesterov: settings.nesterov,
        maximize: settings.maximize,
        first_step: settings.first_step,
    };
    // SAFETY: `n` live tensors for each list that the shim reads, in its order; it checks that they fit together.
    unsafe { ffi::check(ffi::kiwi_torch_fused_sgd(all.as_ptr(), n, &raw const raw)) }
}

/// The lists one after the other and the length of each, `None` if they are empty.
fn joined(
    operation: &str,
    lists: &[(&str, &[Tensor])],
) -> Result<Option<(Vec<*const C_tensor>, usize)>, TorchError> {
    let n = lists.first().map_or(0, |(_, list)| list.len());
    for (name, list) in lists {
        if list.len() != n {
            let found = list.len();
            return Err(TorchError(format!("{operation}: {found} tensors in {name} for {n} parameters")));
        }
    }
    let all: Vec<_> = lists.iter().flat_map(|(_, list)| list.iter().map(Tensor::as_ptr)).collect();
    Ok((n > 0).then_some((all, n)))
}
