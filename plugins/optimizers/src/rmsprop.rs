//! `rmsprop` (Tieleman and Hinton 2012), with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;

use crate::checks;
use crate::lists::{Lists, copies};
use crate::memory::{Entry, Memory};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Decay rate of the average of squares, in [0, 1).
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    alpha: f64,
    /// Added to the root in the denominator; at least 0.
    #[schemars(range(min = 0.0))]
    eps: f64,
    /// Added to the gradient, times the parameter; at least 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Share of the previous step that is taken again; at least 0.
    #[schemars(range(min = 0.0))]
    momentum: f64,
    /// Divide by the standard deviation of the gradient instead of the root of its average square (Graves 2013).
    centered: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0, centered: false }
    }
}

/// The optimizer.
pub(crate) struct RmsProp {
    config: Config,
    memory: Memory,
}

/// Position of the averages of squares in the layout; those of what the options ask for follow.
const SQUARE: usize = 0;

impl Config {
    fn momentum_position(&self) -> usize {
        SQUARE + 1
    }

    fn mean_position(&self) -> usize {
        self.momentum_position() + usize::from(self.momentum > 0.0)
    }

    fn layout(&self) -> Vec<Entry> {
        let momentum = (self.momentum > 0.0).then(|| Entry::like("momentum_buffer", 0.0));
        let mean = self.centered.then(|| Entry::like("grad_avg", 0.0));
        [Entry::like("square_avg", 0.0)].into_iter().chain(momentum).chain(mean).collect()
    }
}

impl Component for RmsProp {
    type Config = Config;
    const CLASS_NAME: &'static str = "rmsprop";
    const SUMMARY: &'static str = "RMSprop with PyTorch's defaults";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::decay_rate(report, "alpha", config.alpha);
        checks::not_negative(report, "eps", config.eps);
        checks::not_negative(report, "weight_decay", config.weight_decay);
        checks::not_negative(report, "momentum", config.momentum);
    }
}

impl Optimizer for RmsProp {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        Ok(Self { memory: Memory::new(groups, &config.layout()), config })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let config = &self.config;
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            let mut lists = Lists::new(group.dense_updates(Self::CLASS_NAME)?, config.layout().len());
            lists.decay_weights(config.weight_decay)?;
            let Lists { parameters, gradients, .. } = &lists;
            foreach::mul_scalar_(lists.state(SQUARE), config.alpha)?;
            foreach::addcmul_(lists.state(SQUARE), gradients, gradients, 1.0 - config.alpha)?;
            let roots = if config.centered {
                let means = lists.state(config.mean_position());
                foreach::lerp_(means, gradients, 1.0 - config.alpha)?;
                let variances = copies(lists.state(SQUARE))?;
                foreach::addcmul_(&variances, means, means, -1.0)?;
                foreach::sqrt(&variances)?
            } else {
                foreach::sqrt(lists.state(SQUARE))?
            };
            foreach::add_scalar_(&roots, config.eps)?;
            if config.momentum > 0.0 {
                let momenta = lists.state(config.momentum_position());
                foreach::mul_scalar_(momenta, config.momentum)?;
                foreach::addcdiv_(momenta, gradients, &roots, 1.0)?;
                foreach::add_(parameters, momenta, -rate)?;
            } else {
                foreach::addcdiv_(parameters, gradients, &roots, -rate)?;
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
