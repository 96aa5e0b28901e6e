//! The projection of hidden states to a large vocabulary, fused with its cross-entropy loss.

use tch::{Kind, TchError, Tensor};

use crate::ffi;
use crate::{TorchError, plain_operations};

/// What [`projection_cross_entropy`] gives for each of N rows.
#[derive(Debug)]
pub struct ProjectionLoss {
    /// `-log p(gold)`, float32 (float64 if input and weight are). The one that is differentiable.
    pub nll: Tensor,
    /// `p(gold)`, of the same type.
    pub probability: Tensor,
    /// Whether gold is the most probable; of equals the first counts.
    pub correct: Tensor,
}

/// The negative log-likelihood of `gold` under the softmax of `input · weightᵀ + bias`, with all that training and
/// metrics want to know of the logits, which are never given out.
///
/// `input` is `[N, o]`, `weight` `[V, o]`, `bias` `[V]`, `gold` `[N]` of int64 from 0 to V-1; N may be 0. Logits are
/// computed for some rows at a time, and softmax, arg-max and the gradient come from them while they are in the caches.
/// If a gradient is needed, a matrix of `[N, V]` is kept for backward; otherwise memory does not grow with N·V.
///
/// Softmax and loss are computed in float32, or float64 if input and weight are float64. So are the products, except under
/// autocast, where they use its type, as those of any linear layer. Backward runs through it once: there is no second
/// derivative.
pub fn projection_cross_entropy(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    gold: &Tensor,
) -> Result<ProjectionLoss, TorchError> {
    if plain_operations() {
        return plainly(input, weight, bias, gold).map_err(|error| TorchError(error.to_string()));
    }
    let mut out = ffi::room::<3>();
    // SAFETY: live tensors, of which `bias` may be null; the shim checks them and fills `out` with owned tensors when it
    // succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_projection_cross_entropy(
            input.as_ptr(),
            weight.as_ptr(),
            bias.map_or(std::ptr::null(), Tensor::as_ptr),
            gold.as_ptr(),
            out.as_mut_ptr(),
        ))?;
        let [nll, probability, correct] = out.map(|tensor| ffi::own(tensor));
        Ok(ProjectionLoss { nll, probability, correct })
    }
}

/// The same in libtorch's own operations.
fn plainly(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    gold: &Tensor,
) -> Result<ProjectionLoss, TchError> {
    let logits = input.f_linear(weight, bias)?;
    let logits = match logits.kind() {
        Kind::Double => logits,
        _ => logits.f_to_kind(Kind::Float)?,
    };
    let log_softmax = logits.f_log_softmax(1, None)?;
    let nll = log_softmax.f_gather(1, &gold.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?.f_neg()?;
    let probability = nll.f_detach()?.f_neg()?.f_exp()?;
    let correct = logits.f_argmax(1, false)?.f_eq_tensor(gold)?;
    Ok(ProjectionLoss { nll, probability, correct })
}
