//! `adam`, with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;

use super::{Family, Settings};
use crate::checks;

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Decay rates of the averages of the gradient and of its square, each in [0, 1).
    #[schemars(extend("items" = {"type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0}))]
    betas: [f64; 2],
    /// Added to the root in the denominator; at least 0.
    #[schemars(range(min = 0.0))]
    eps: f64,
    /// Added to the gradient, times the parameter; at least 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Divide by the largest average of squares so far (Reddi et al. 2018).
    amsgrad: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// The optimizer.
pub(crate) struct Adam(Family);

impl Component for Adam {
    type Config = Config;
    const CLASS_NAME: &'static str = "adam";
    const SUMMARY: &'static str = "Adam with PyTorch's defaults, fused";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::betas(report, &config.betas);
        checks::not_negative(report, "eps", config.eps);
        checks::not_negative(report, "weight_decay", config.weight_decay);
    }
}

impl Optimizer for Adam {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let settings = Settings {
            class: Self::CLASS_NAME,
            betas: config.betas,
            eps: config.eps,
            weight_decay: config.weight_decay,
            amsgrad: config.amsgrad,
            decoupled: false,
            bias_correction: true,
        };
        Ok(Self(Family::new(settings, groups)))
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        self.0.step(learning_rates)
    }

    fn state(&self) -> Result<NamedTensors> {
        self.0.memory.state()
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        self.0.memory.load_state(&state)
    }
}
