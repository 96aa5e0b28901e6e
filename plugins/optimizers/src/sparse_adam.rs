//! `sparse_adam`: Adam for the rows of tables that a batch looks up, with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;

use crate::checks;
use crate::lists::{SparseRows, number, set_number};
use crate::memory::{Entry, Memory, Update};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Decay rates of the averages of the gradient and of its square, each in [0, 1).
    #[schemars(extend("items" = {"type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0}))]
    betas: [f64; 2],
    /// Added to the root in the denominator; above 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    eps: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8 }
    }
}

/// The optimizer.
pub(crate) struct SparseAdam {
    config: Config,
    memory: Memory,
}

// Positions in the layout.
const STEP: usize = 0;
const AVERAGE: usize = 1;
const SQUARE: usize = 2;

impl Component for SparseAdam {
    type Config = Config;
    const CLASS_NAME: &'static str = "sparse_adam";
    const SUMMARY: &'static str = "Adam for sparse gradients only, with PyTorch's defaults";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::betas(report, &config.betas);
        report.require(config.eps > 0.0, "eps", config.eps, "a number above 0");
    }
}

impl Optimizer for SparseAdam {
    const SPARSE_ONLY: bool = true;

    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let layout =
            [Entry::number("step", 0.0), Entry::like("exp_avg", 0.0), Entry::like("exp_avg_sq", 0.0)];
        Ok(Self { config, memory: Memory::new(groups, &layout) })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            let updates = group.updates()?;
            if let Some(Update { name, .. }) = updates.iter().find(|update| !update.gradient.is_sparse()) {
                return Err(Error::new(format!(
                    "the gradient of `{name}` is dense, which `sparse_adam` cannot use: make system.optimizer a list with \
                     sparse_adam for the tables of sparse_embeddings and another class, such as adam, for the other parameters"
                )));
            }
            for update in updates {
                step(&update, &self.config, rate)?;
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

/// Averages and parameters move in the rows that were looked up; the number of steps is that of the whole table.
fn step(update: &Update, config: &Config, rate: f64) -> Result<()> {
    let [beta1, beta2] = config.betas;
    let steps = number(&update.state[STEP])? + 1.0;
    set_number(&update.state[STEP], steps)?;
    let gradient = SparseRows::of(update)?;
    let averages = gradient.select(&update.state[AVERAGE])?.f_lerp(&gradient.values, 1.0 - beta1)?;
    let squares =
        gradient.select(&update.state[SQUARE])?.f_lerp(&gradient.values.f_square()?, 1.0 - beta2)?;
    gradient.put(&update.state[AVERAGE], &averages)?;
    gradient.put(&update.state[SQUARE], &squares)?;
    let scale = (1.0 - beta2.powf(steps)).sqrt() / (1.0 - beta1.powf(steps));
    gradient.add(
        &update.parameter,
        &averages.f_div(&squares.f_sqrt()?.f_add_scalar(config.eps)?)?,
        -rate * scale,
    )
}
