//! `adagrad` (Duchi, Hazan and Singer 2011), with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;

use crate::checks;
use crate::lists::{Lists, SparseRows, by_step};
use crate::memory::{Entry, Memory, Update};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Step s, from 0, has the learning rate divided by 1 + s * lr_decay; at least 0.
    #[schemars(range(min = 0.0))]
    lr_decay: f64,
    /// Added to the gradient, times the parameter; at least 0. Sparse gradients need 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// What the sums of squares begin with; at least 0.
    #[schemars(range(min = 0.0))]
    initial_accumulator_value: f64,
    /// Added to the root in the denominator; at least 0.
    #[schemars(range(min = 0.0))]
    eps: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lr_decay: 0.0, weight_decay: 0.0, initial_accumulator_value: 0.0, eps: 1e-10 }
    }
}

/// The optimizer.
pub(crate) struct Adagrad {
    config: Config,
    memory: Memory,
}

// Positions in the layout.
const STEP: usize = 0;
const SUM: usize = 1;

impl Component for Adagrad {
    type Config = Config;
    const CLASS_NAME: &'static str = "adagrad";
    const SUMMARY: &'static str = "Adagrad with PyTorch's defaults; takes sparse gradients";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::not_negative(report, "lr_decay", config.lr_decay);
        checks::not_negative(report, "weight_decay", config.weight_decay);
        checks::not_negative(report, "initial_accumulator_value", config.initial_accumulator_value);
        checks::not_negative(report, "eps", config.eps);
    }
}

impl Optimizer for Adagrad {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let layout = [Entry::number("step", 0.0), Entry::like("sum", config.initial_accumulator_value)];
        Ok(Self { memory: Memory::new(groups, &layout), config })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let config = &self.config;
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            for (step, updates) in by_step(group.updates()?, STEP)? {
                let rate = rate / (1.0 + (step - 1) as f64 * config.lr_decay);
                let (sparse, dense): (Vec<_>, Vec<_>) =
                    updates.into_iter().partition(|update| update.gradient.is_sparse());
                for update in sparse {
                    sparse_step(&update, config, rate)?;
                }
                let mut lists = Lists::new(dense, SUM + 1);
                lists.decay_weights(config.weight_decay)?;
                foreach::addcmul_(lists.state(SUM), &lists.gradients, &lists.gradients, 1.0)?;
                let roots = foreach::sqrt(lists.state(SUM))?;
                foreach::add_scalar_(&roots, config.eps)?;
                foreach::addcdiv_(&lists.parameters, &lists.gradients, &roots, -rate)?;
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

/// The same step for the rows that were looked up; the others have no gradient and do not change.
fn sparse_step(update: &Update, config: &Config, rate: f64) -> Result<()> {
    if config.weight_decay != 0.0 {
        return Err(Error::new(format!(
            "the gradient of `{}` is sparse, which `adagrad` cannot use with weight_decay={}: set weight_decay to 0, or \
             sparse_embeddings to false",
            update.name, config.weight_decay
        )));
    }
    let gradient = SparseRows::of(update)?;
    let sums = gradient.select(&update.state[SUM])?.f_add(&gradient.values.f_square()?)?;
    gradient.put(&update.state[SUM], &sums)?;
    let steps = gradient.values.f_div(&sums.f_sqrt()?.f_add_scalar(config.eps)?)?;
    gradient.add(&update.parameter, &steps, -rate)
}
