//! The factor on the loss in 16-bit precision: small gradients, which float16 would make zero, become large enough, and before a
//! step they are divided by it again. The algorithm is that of PyTorch's `torch.amp.GradScaler`, with its defaults.

use kiwi_plugin_api::torch_ext::gradients;
use kiwi_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

const INITIAL: f32 = 65536.0;
const GROWTH: f32 = 2.0;
const BACKOFF: f32 = 0.5;
/// Good steps in a row before it grows.
const GROWTH_INTERVAL: u32 = 2000;
/// Below it nothing is scaled up any more: gradients that are not finite then have another reason.
const LEAST: f32 = 1e-10;

/// What is saved beside the optimizer's state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScalerState {
    /// The factor.
    pub(crate) scale: f32,
    /// Steps in a row since it changed whose gradients were finite.
    pub(crate) good_steps: u32,
}

/// What a resume point keeps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedScaler {
    pub(super) state: ScalerState,
    pub(super) skipped: u64,
}

/// The factor, and how it fared.
#[derive(Debug)]
pub(crate) struct GradientScaler {
    state: ScalerState,
    skipped: u64,
}

impl GradientScaler {
    /// As it begins, or as it was saved.
    pub(super) fn new(saved: Option<ScalerState>) -> Self {
        let usable = saved.filter(|state| state.scale.is_finite() && state.scale >= LEAST);
        Self { state: usable.unwrap_or(ScalerState { scale: INITIAL, good_steps: 0 }), skipped: 0 }
    }

    /// As a resume point kept it.
    pub(super) fn resumed(saved: Option<SavedScaler>) -> Self {
        let skipped = saved.map_or(0, |saved| saved.skipped);
        Self { skipped, ..Self::new(saved.map(|saved| saved.state)) }
    }

    /// What there is to save.
    pub(crate) fn state(&self) -> ScalerState {
        self.state
    }

    /// What a resume point keeps.
    pub(super) fn saved(&self) -> SavedScaler {
        SavedScaler { state: self.state, skipped: self.skipped }
    }

    /// Steps that were skipped so far.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The loss times the factor.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(super) fn scale(&self, loss: &Tensor) -> Result<Tensor> {
        Ok(loss.f_mul_scalar(f64::from(self.state.scale))?)
    }

    /// Divides the gradients of a step by the factor, and says whether all are finite; one that is not means that the step must be
    /// skipped. Waits for the device.
    ///
    /// # Errors
    /// When libtorch fails, or gradients stay not finite however small the factor is.
    pub(super) fn unscale(&mut self, parameters: &[Tensor]) -> Result<bool> {
        let found = gradients::unscale(parameters, f64::from(self.state.scale))?;
        let finite = found.f_double_value(&[])? == 0.0;
        self.update(finite);
        if self.state.scale < LEAST {
            return Err(Error::new(format!(
                "the gradients of {} steps were not finite in float16, the last with the loss scaled by {}",
                self.skipped, self.state.scale
            )));
        }
        Ok(finite)
    }

    fn update(&mut self, finite: bool) {
        let state = &mut self.state;
        if !finite {
            *state = ScalerState { scale: state.scale * BACKOFF, good_steps: 0 };
            self.skipped += 1;
            return;
        }
        state.good_steps += 1;
        if state.good_steps >= GROWTH_INTERVAL {
            let grown = state.scale * GROWTH;
            *state =
                ScalerState { scale: if grown.is_finite() { grown } else { state.scale }, good_steps: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use kiwi_plugin_api::torch_ext::gradients::{gradient, set_gradient};
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn the_factor_grows_and_shrinks_as_that_of_pytorch() {
        let mut scaler = GradientScaler::new(None);
        assert_eq!(scaler.state(), ScalerState { scale: 65536.0, good_steps: 0 });
        scaler.update(false);
        scaler.update(false);
        assert_eq!((scaler.state().scale, scaler.skipped()), (16384.0, 2));
        (0..1999).for_each(|_| scaler.update(true));
        assert_eq!(scaler.state(), ScalerState { scale: 16384.0, good_steps: 1999 });
        let mut loaded = GradientScaler::new(Some(scaler.state()));
        loaded.update(true);
        assert_eq!(loaded.state(), ScalerState { scale: 32768.0, good_steps: 0 }, "it goes on where it was");
        (0..10).for_each(|_| loaded.update(true));
        loaded.update(false);
        assert_eq!(loaded.state(), ScalerState { scale: 16384.0, good_steps: 0 }, "and counts anew");
    }

    #[test]
    fn gradients_are_divided_again_and_those_that_are_not_finite_are_seen() {
        let parameter = Tensor::zeros([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut scaler = GradientScaler::new(Some(ScalerState { scale: 4.0, good_steps: 0 }));
        let loss =
            scaler.scale(&(&parameter * Tensor::from_slice(&[1.0_f32, 2.0, 3.0])).sum(Kind::Float)).unwrap();
        loss.backward();
        assert!(scaler.unscale(std::slice::from_ref(&parameter)).unwrap());
        let found = Vec::<f32>::try_from(gradient(&parameter).unwrap().unwrap()).unwrap();
        assert_eq!(found, [1.0, 2.0, 3.0]);
        let infinite = Tensor::from_slice(&[1.0_f32, f32::INFINITY, 0.0]);
        set_gradient(&parameter, Some(&infinite)).unwrap();
        assert!(!scaler.unscale(std::slice::from_ref(&parameter)).unwrap());
        assert_eq!((scaler.state().scale, scaler.skipped()), (2.0, 1));
        for _ in 0..33 {
            let _ = scaler.unscale(std::slice::from_ref(&parameter)).unwrap();
        }
        while scaler.state().scale >= LEAST * 2.0 {
            let _ = scaler.unscale(std::slice::from_ref(&parameter)).unwrap();
        }
        let error = scaler.unscale(std::slice::from_ref(&parameter)).unwrap_err().to_string();
        assert!(error.contains("were not finite in float16"), "{error}");
    }
}
