//! `lion`: the optimizer of Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms".
//!
//! With gradient g, momentum m and learning rate r each parameter p takes the step
//!
//! ```text
//! p ← (1 - r · weight_decay) · p - r · sign(β₁ m + (1 - β₁) g)
//! m ← β₂ m + (1 - β₂) g
//! ```
//!
//! It remembers one tensor a parameter where Adam remembers two. Every component moves by r in every step, so its learning rate is
//! 3 to 10 times smaller than Adam's, and its weight decay as many times larger.

mod momenta;
#[cfg(test)]
mod tests;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;

use momenta::Momenta;

register!(optimizer Lion);
plugin!();

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// β₁, the share of the momentum in the direction of a step, and β₂, its decay rate; each in [0, 1).
    pub betas: [f64; 2],
    /// What a step takes off the parameters, as a multiple of learning rate times parameter; at least 0.
    pub weight_decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { betas: [0.9, 0.99], weight_decay: 0.0 }
    }
}

/// The optimizer.
pub struct Lion {
    config: Config,
    momenta: Momenta,
}

impl Component for Lion {
    type Config = Config;
    const CLASS_NAME: &'static str = "lion";
    const SUMMARY: &'static str =
        "Lion: the sign of a momentum, with decoupled weight decay (Chen et al. 2023)";

    fn check(config: &Config, report: &mut ConfigReport) {
        for (i, beta) in config.betas.iter().enumerate() {
            report.require((0.0..1.0).contains(beta), &format!("betas[{i}]"), beta, "a number in [0, 1)");
        }
        let decay = config.weight_decay;
        let valid = decay.is_finite() && decay >= 0.0;
        report.require(valid, "weight_decay", decay, "a number of at least 0");
    }
}

impl Optimizer for Lion {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        Ok(Self { config, momenta: Momenta::new(groups) })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let Config { betas: [direction_share, decay_rate], weight_decay } = self.config;
        for (updates, rate) in self.momenta.updates(learning_rates)? {
            let directions: Vec<Tensor> =
                updates.momenta.iter().map(|momentum| momentum.f_empty_like()).collect::<Result<_, _>>()?;
            foreach::copy_(&directions, &updates.momenta)?;
            foreach::lerp_(&directions, &updates.gradients, 1.0 - direction_share)?;
            for direction in &directions {
                let _ = direction.shallow_clone().f_sign_()?;
            }
            if weight_decay != 0.0 {
                foreach::mul_scalar_(&updates.parameters, 1.0 - rate * weight_decay)?;
            }
            foreach::add_(&updates.parameters, &directions, -rate)?;
            foreach::lerp_(&updates.momenta, &updates.gradients, 1.0 - decay_rate)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<NamedTensors> {
        Ok(self.momenta.state())
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        self.momenta.load_state(&state)
    }
}
