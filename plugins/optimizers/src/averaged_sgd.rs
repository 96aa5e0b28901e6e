//! `averaged_sgd`: stochastic gradient descent that also averages the parameters (Polyak and Juditsky 1992), as PyTorch's `ASGD`.
//!
//! The averages are kept in the state as `ax`; what is trained, validated and saved are the parameters themselves.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;

use crate::checks;
use crate::lists::{Lists, copies, number, set_number};
use crate::memory::{Entry, Memory, Update};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How fast the learning rate decays, and the parameters with it; at least 0.
    #[schemars(range(min = 0.0))]
    lambd: f64,
    /// Power of that decay.
    alpha: f64,
    /// Steps before the averaging begins; at least 0.
    #[schemars(range(min = 0.0))]
    t0: f64,
    /// Added to the gradient, times the parameter; at least 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lambd: 1e-4, alpha: 0.75, t0: 1e6, weight_decay: 0.0 }
    }
}

/// The optimizer.
pub(crate) struct AveragedSgd {
    config: Config,
    memory: Memory,
}

// Positions in the layout. `eta` is the rate of the next step and `mu` the weight of the newest parameters in the average.
const STEP: usize = 0;
const ETA: usize = 1;
const MU: usize = 2;
const AVERAGE: usize = 3;

impl Component for AveragedSgd {
    type Config = Config;
    const CLASS_NAME: &'static str = "averaged_sgd";
    const SUMMARY: &'static str = "Averaged stochastic gradient descent with PyTorch's defaults (ASGD)";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::not_negative(report, "lambd", config.lambd);
        checks::not_negative(report, "t0", config.t0);
        checks::not_negative(report, "weight_decay", config.weight_decay);
    }
}

impl Optimizer for AveragedSgd {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let layout = [
            Entry::number("step", 0.0),
            Entry::number("eta", 0.0),
            Entry::number("mu", 1.0),
            Entry::like("ax", 0.0),
        ];
        Ok(Self { config, memory: Memory::new(groups, &layout) })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let config = &self.config;
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            for ([eta, mu], updates) in alike(group.dense_updates(Self::CLASS_NAME)?, rate)? {
                let (eta, mu) = (f64::from_bits(eta), f64::from_bits(mu));
                for update in &updates {
                    let step = number(&update.state[STEP])? + 1.0;
                    set_number(&update.state[STEP], step)?;
                    let decay = 1.0 + config.lambd * rate * step;
                    set_number(&update.state[ETA], rate / decay.powf(config.alpha))?;
                    set_number(&update.state[MU], 1.0 / (step - config.t0).max(1.0))?;
                }
                let mut lists = Lists::new(updates, AVERAGE + 1);
                lists.decay_weights(config.weight_decay)?;
                foreach::mul_scalar_(&lists.parameters, 1.0 - config.lambd * eta)?;
                foreach::add_(&lists.parameters, &lists.gradients, -eta)?;
                if mu == 1.0 {
                    foreach::copy_(lists.state(AVERAGE), &lists.parameters)?;
                } else {
                    let changes = copies(&lists.parameters)?;
                    foreach::add_(&changes, lists.state(AVERAGE), -1.0)?;
                    foreach::add_(lists.state(AVERAGE), &changes, mu)?;
                }
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

/// The updates put together by the bits of their `eta` and `mu`. A parameter's first step has the rate itself.
fn alike(updates: Vec<Update>, rate: f64) -> Result<BTreeMap<[u64; 2], Vec<Update>>> {
    let mut together: BTreeMap<[u64; 2], Vec<Update>> = BTreeMap::new();
    for update in updates {
        let eta = if update.first { rate } else { number(&update.state[ETA])? };
        let mu = number(&update.state[MU])?;
        together.entry([eta.to_bits(), mu.to_bits()]).or_default().push(update);
    }
    Ok(together)
}
