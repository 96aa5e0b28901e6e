//! `adadelta` (Zeiler 2012), with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;

use crate::checks;
use crate::lists::{Lists, copies};
use crate::memory::{Entry, Memory};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Decay rate of the averages of squares, in [0, 1].
    #[schemars(range(min = 0.0, max = 1.0))]
    rho: f64,
    /// Added under both roots; at least 0.
    #[schemars(range(min = 0.0))]
    eps: f64,
    /// Added to the gradient, times the parameter; at least 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }
}

/// The optimizer.
pub(crate) struct Adadelta {
    config: Config,
    memory: Memory,
}

// Positions in the layout: averages of the squares of gradients, and of the steps.
const SQUARE: usize = 0;
const STEPS: usize = 1;

impl Component for Adadelta {
    type Config = Config;
    const CLASS_NAME: &'static str = "adadelta";
    const SUMMARY: &'static str = "Adadelta with PyTorch's defaults";

    fn check(config: &Config, report: &mut ConfigReport) {
        report.require((0.0..=1.0).contains(&config.rho), "rho", config.rho, "a number in [0, 1]");
        checks::not_negative(report, "eps", config.eps);
        checks::not_negative(report, "weight_decay", config.weight_decay);
    }
}

impl Optimizer for Adadelta {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let layout = [Entry::like("square_avg", 0.0), Entry::like("acc_delta", 0.0)];
        Ok(Self { config, memory: Memory::new(groups, &layout) })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let Config { rho, eps, weight_decay } = self.config;
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            let mut lists = Lists::new(group.dense_updates(Self::CLASS_NAME)?, STEPS + 1);
            lists.decay_weights(weight_decay)?;
            foreach::mul_scalar_(lists.state(SQUARE), rho)?;
            foreach::addcmul_(lists.state(SQUARE), &lists.gradients, &lists.gradients, 1.0 - rho)?;
            let root = |averages: &[Tensor]| -> Result<Vec<Tensor>> {
                let sums = copies(averages)?;
                foreach::add_scalar_(&sums, eps)?;
                Ok(foreach::sqrt(&sums)?)
            };
            let steps = root(lists.state(STEPS))?;
            foreach::div_(&steps, &root(lists.state(SQUARE))?)?;
            foreach::mul_(&steps, &lists.gradients)?;
            foreach::mul_scalar_(lists.state(STEPS), rho)?;
            foreach::addcmul_(lists.state(STEPS), &steps, &steps, 1.0 - rho)?;
            foreach::add_(&lists.parameters, &steps, -rate)?;
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
