//! `adamax`: Adam with the largest gradients in place of their squares (Kingma and Ba 2015, section 7.1), with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;

use crate::checks;
use crate::lists::{Lists, by_step};
use crate::memory::{Entry, Memory};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Decay rates of the average of the gradient and of its largest value, each in [0, 1).
    #[schemars(extend("items" = {"type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0}))]
    betas: [f64; 2],
    /// Added to the absolute value of the gradient; at least 0.
    #[schemars(range(min = 0.0))]
    eps: f64,
    /// Added to the gradient, times the parameter; at least 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The optimizer.
pub(crate) struct Adamax {
    config: Config,
    memory: Memory,
}

// Positions in the layout.
const STEP: usize = 0;
const AVERAGE: usize = 1;
const LARGEST: usize = 2;

impl Component for Adamax {
    type Config = Config;
    const CLASS_NAME: &'static str = "adamax";
    const SUMMARY: &'static str = "Adamax with PyTorch's defaults";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::betas(report, &config.betas);
        checks::not_negative(report, "eps", config.eps);
        checks::not_negative(report, "weight_decay", config.weight_decay);
    }
}

impl Optimizer for Adamax {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let layout = [Entry::number("step", 0.0), Entry::like("exp_avg", 0.0), Entry::like("exp_inf", 0.0)];
        Ok(Self { config, memory: Memory::new(groups, &layout) })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let Config { betas: [beta1, beta2], eps, weight_decay } = self.config;
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            for (step, updates) in by_step(group.dense_updates(Self::CLASS_NAME)?, STEP)? {
                let mut lists = Lists::new(updates, LARGEST + 1);
                lists.decay_weights(weight_decay)?;
                foreach::lerp_(lists.state(AVERAGE), &lists.gradients, 1.0 - beta1)?;
                foreach::mul_scalar_(lists.state(LARGEST), beta2)?;
                let sizes = foreach::abs(&lists.gradients)?;
                foreach::add_scalar_(&sizes, eps)?;
                foreach::maximum_(lists.state(LARGEST), &sizes)?;
                let rate = rate / (1.0 - beta1.powf(step as f64));
                foreach::addcdiv_(&lists.parameters, lists.state(AVERAGE), lists.state(LARGEST), -rate)?;
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<NamedTensors> {
        self.memory.state()
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        self.memory.load_state(&state)
    }
}
