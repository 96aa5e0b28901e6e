//! `sgd`: stochastic gradient descent, with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::optim::{SgdSettings, fused_sgd};

use crate::groups::{Group, copied, find_parameter, of_shape, split_key};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Share of the previous step that is taken again; at least 0.
    pub(crate) momentum: f64,
    /// Share of the gradient that does not enter the momentum.
    pub(crate) dampening: f64,
    /// Added to the gradient, times the parameter; at least 0.
    pub(crate) weight_decay: f64,
    /// Look ahead along the momentum (Nesterov 1983); needs a momentum and no dampening.
    pub(crate) nesterov: bool,
}

/// The optimizer.
pub(crate) struct Sgd {
    config: Config,
    groups: Vec<Group<Tensor>>,
}

impl Component for Sgd {
    type Config = Config;
    const CLASS_NAME: &'static str = "sgd";
    const SUMMARY: &'static str = "Stochastic gradient descent with PyTorch's defaults, fused";

    fn check(config: &Config, report: &mut ConfigReport) {
        report.require(config.momentum >= 0.0, "momentum", config.momentum, "a number of at least 0");
        report.require(
            config.weight_decay >= 0.0,
            "weight_decay",
            config.weight_decay,
            "a number of at least 0",
        );
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
        Ok(Self { config, groups: Group::all(groups) })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let config = &self.config;
        for (group, rate) in self.groups.iter_mut().zip(learning_rates) {
            // A parameter's first step fills its momentum instead of adding to it, so those of a first step go apart.
            let (known, fresh): (Vec<_>, Vec<_>) = group
                .with_gradients(Self::CLASS_NAME)?
                .into_iter()
                .partition(|(name, _, _)| config.momentum == 0.0 || group.states.contains_key(name));
            for (found, first_step) in [(known, false), (fresh, true)] {
                let (mut parameters, mut gradients, mut momenta) = (Vec::new(), Vec::new(), Vec::new());
                for (name, parameter, gradient) in found {
                    if first_step {
                        group.states.insert(name.clone(), parameter.f_zeros_like()?.f_detach()?);
                    }
                    momenta.extend(group.states.get(&name).map(Tensor::shallow_clone));
                    parameters.push(parameter);
                    gradients.push(gradient);
                }
                if parameters.is_empty() {
                    continue;
                }
                let settings = SgdSettings {
                    learning_rate: *rate,
                    momentum: config.momentum,
                    dampening: config.dampening,
                    weight_decay: config.weight_decay,
                    nesterov: config.nesterov,
                    maximize: false,
                    first_step,
                };
                fused_sgd(&parameters, &gradients, &momenta, &settings)?;
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<NamedTensors> {
        let mut all = Vec::new();
        for group in &self.groups {
            for (name, momentum) in &group.states {
                all.push((format!("{name}.momentum_buffer"), copied(momentum)?));
            }
        }
        Ok(all)
    }

    fn load_state(&mut self, saved: NamedTensors) -> Result<()> {
        let mut states: Vec<_> = self.groups.iter().map(|_| std::collections::BTreeMap::new()).collect();
        for (key, tensor) in &saved {
            let (name, entry) = split_key(key)?;
            if entry != "momentum_buffer" {
                return Err(Error::new(format!("`{entry}` is no entry of this optimizer's state")));
            }
            let (index, parameter) = find_parameter(&self.groups, name)?;
            states[index].insert(name.to_owned(), of_shape(key, tensor, parameter)?);
        }
        for (group, states) in self.groups.iter_mut().zip(states) {
            group.states = states;
        }
        Ok(())
    }
}
