//! `sgd`: stochastic gradient descent, with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::optim::{SgdSettings, fused_sgd};

use crate::checks;
use crate::lists::{Lists, SparseRows};
use crate::memory::{Entry, Memory, Update};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "if" = {"properties": {"nesterov": {"const": true}}, "required": ["nesterov"]},
    "then" = {
        "properties": {"momentum": {"exclusiveMinimum": 0}, "dampening": {"const": 0}},
        "required": ["momentum"]
    }
))]
pub(crate) struct Config {
    /// Share of the previous step that is taken again; at least 0.
    #[schemars(range(min = 0.0))]
    momentum: f64,
    /// Share of the gradient that does not enter the momentum.
    dampening: f64,
    /// Added to the gradient, times the parameter; at least 0. Sparse gradients need 0.
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// Look ahead along the momentum (Nesterov 1983); needs a momentum and no dampening.
    nesterov: bool,
}

/// The optimizer.
pub(crate) struct Sgd {
    config: Config,
    memory: Memory,
}

impl Component for Sgd {
    type Config = Config;
    const CLASS_NAME: &'static str = "sgd";
    const SUMMARY: &'static str =
        "Stochastic gradient descent with PyTorch's defaults, fused; takes sparse gradients";

    fn check(config: &Config, report: &mut ConfigReport) {
        checks::not_negative(report, "momentum", config.momentum);
        checks::not_negative(report, "weight_decay", config.weight_decay);
        if config.nesterov && (config.momentum <= 0.0 || config.dampening != 0.0) {
            report.error(
                "nesterov",
                "Nesterov's momentum needs a momentum above 0 and a dampening of 0",
                "set momentum, for example to 0.9, and leave dampening out",
            );
        }
    }
}

impl Optimizer for Sgd {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        let momentum = (config.momentum != 0.0).then(|| Entry::like("momentum_buffer", 0.0));
        Ok(Self { memory: Memory::new(groups, momentum.as_slice()), config })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let config = &self.config;
        for (group, rate) in self.memory.with_rates(learning_rates)? {
            let (sparse, dense): (Vec<_>, Vec<_>) =
                group.updates()?.into_iter().partition(|update| update.gradient.is_sparse());
            for update in sparse {
                sparse_step(&update, config, rate)?;
            }
            // A parameter's first step fills its momentum instead of adding to it, so those of a first step go apart.
            let (fresh, known): (Vec<_>, Vec<_>) =
                dense.into_iter().partition(|update| update.first && config.momentum != 0.0);
            for (updates, first_step) in [(known, false), (fresh, true)] {
                let lists = Lists::new(updates, 1);
                let settings = SgdSettings {
                    learning_rate: rate,
                    momentum: config.momentum,
                    dampening: config.dampening,
                    weight_decay: config.weight_decay,
                    nesterov: config.nesterov,
                    maximize: false,
                    first_step,
                };
                fused_sgd(&lists.parameters, &lists.gradients, lists.state(0), &settings)?;
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

/// Without momentum only the rows that were looked up change; a momentum carries the others on.
fn sparse_step(update: &Update, config: &Config, rate: f64) -> Result<()> {
    if config.weight_decay != 0.0 {
        return Err(Error::new(format!(
            "the gradient of `{}` is sparse, which `sgd` cannot use with weight_decay={}: set weight_decay to 0, or \
             sparse_embeddings to false",
            update.name, config.weight_decay
        )));
    }
    let gradient = SparseRows::of(update)?;
    let Some(momentum) = update.state.first() else {
        return gradient.add(&update.parameter, &gradient.values, -rate);
    };
    let share = if update.first { 1.0 } else { 1.0 - config.dampening };
    let _ = momentum.shallow_clone().f_mul_scalar_(config.momentum)?;
    gradient.add(momentum, &gradient.values, share)?;
    let mut parameter = update.parameter.f_detach()?;
    if config.nesterov {
        gradient.add(&parameter, &gradient.values, -rate)?;
        let _ = parameter.f_add_(&momentum.f_mul_scalar(-rate * config.momentum)?)?;
    } else {
        let _ = parameter.f_add_(&momentum.f_mul_scalar(-rate)?)?;
    }
    Ok(())
}
