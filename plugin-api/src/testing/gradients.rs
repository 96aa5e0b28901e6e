//! What backward computes, against differences of the loss.

use tch::{Kind, Tensor, no_grad};

use super::Tolerance;
use super::compare::{index, values};
use crate::{Error, Result};

/// How gradients are checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientCheck {
    /// By how much a value is moved to either side. Too small a step drowns in rounding, too large a one sees the curve: 1e-2 suits
    /// float32, 1e-6 float64.
    pub step: f64,
    /// How far the two may lie apart.
    pub tolerance: Tolerance,
    /// At most so many values of each tensor are moved, spread evenly over it.
    pub values: usize,
}

impl Default for GradientCheck {
    /// For float32.
    fn default() -> Self {
        Self { step: 1e-2, tolerance: Tolerance { absolute: 5e-3, relative: 2e-2 }, values: 24 }
    }
}

impl GradientCheck {
    /// For tensors of float64.
    #[must_use]
    pub fn double() -> Self {
        Self { step: 1e-6, tolerance: Tolerance::of(1e-6), ..Self::default() }
    }
}

/// Compares the gradients of `loss` that backward computes with central differences. `loss` must be the same function at every
/// call: without dropout, or seeded by [`super::seeded`].
///
/// # Errors
/// When `loss` fails, a tensor needs no gradient or gets none, or one lies too far from the differences: which value of which
/// tensor, and both numbers.
pub fn check_gradients(
    tensors: &[(String, Tensor)],
    check: GradientCheck,
    mut loss: impl FnMut() -> Result<Tensor>,
) -> Result<()> {
    for (name, tensor) in tensors {
        if !tensor.requires_grad() {
            return Err(Error::new(format!("`{name}` needs no gradient, so there is none to check")));
        }
    }
    let inputs: Vec<_> = tensors.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
    let gradients = Tensor::f_run_backward(&[loss()?], &inputs, false, false)?;
    for ((name, tensor), gradient) in tensors.iter().zip(&gradients) {
        if !gradient.defined() {
            return Err(Error::new(format!("the loss does not depend on `{name}`")));
        }
        let gradient =
            if gradient.is_sparse() { gradient.f_to_dense(None, false)? } else { gradient.shallow_clone() };
        let by_backward = values(&gradient)?;
        let count = by_backward.len();
        let flat = tensor.f_detach()?.f_view([-1])?;
        for number in 0..check.values.min(count) {
            let at = number * count / check.values.min(count);
            let mut place = flat.f_narrow(0, at as i64, 1)?;
            let before = place.f_detach_copy()?;
            let value = f64::try_from(&before.f_to_kind(Kind::Double)?.f_reshape([])?)?;
            let mut moved = |by: f64| -> Result<f64> {
                let _ = no_grad(|| place.f_fill_(value + by))?;
                let moved = no_grad(&mut loss);
                no_grad(|| place.f_copy_(&before))?;
                Ok(f64::try_from(&moved?.f_to_kind(Kind::Double)?)?)
            };
            let by_differences = (moved(check.step)? - moved(-check.step)?) / (2.0 * check.step);
            if !check.tolerance.allows(by_backward[at], by_differences) {
                return Err(Error::new(format!(
                    "the gradient of `{name}` at {:?} is {} by backward and {by_differences} by differences of {} (allowed are {})",
                    index(at, &tensor.size()),
                    by_backward[at],
                    check.step,
                    check.tolerance
                )));
            }
        }
    }
    Ok(())
}
