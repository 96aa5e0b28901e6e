//! `adam` (Kingma and Ba 2015), with PyTorch's defaults.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::optim::{AdamSettings, AdamTensors, fused_adam};

use crate::groups::{Group, copied, find_parameter, of_shape, split_key};

/// Options under `system.optimizer.options`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Decay rates of the averages of the gradient and of its square, each in [0, 1).
    pub(crate) betas: [f64; 2],
    /// Added to the root in the denominator; at least 0.
    pub(crate) eps: f64,
    /// Added to the gradient, times the parameter; at least 0.
    pub(crate) weight_decay: f64,
    /// Divide by the largest average of squares so far (Reddi et al. 2018).
    pub(crate) amsgrad: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// What Adam remembers of one parameter.
struct State {
    step: Tensor,
    average: Tensor,
    square: Tensor,
    largest: Option<Tensor>,
}

/// The optimizer.
pub(crate) struct Adam {
    config: Config,
    groups: Vec<Group<State>>,
}

impl Component for Adam {
    type Config = Config;
    const CLASS_NAME: &'static str = "adam";
    const SUMMARY: &'static str = "Adam with PyTorch's defaults, fused";

    fn check(config: &Config, report: &mut ConfigReport) {
        for (i, beta) in config.betas.iter().enumerate() {
            report.require((0.0..1.0).contains(beta), &format!("betas[{i}]"), beta, "a number in [0, 1)");
        }
        report.require(config.eps >= 0.0, "eps", config.eps, "a number of at least 0");
        report.require(
            config.weight_decay >= 0.0,
            "weight_decay",
            config.weight_decay,
            "a number of at least 0",
        );
    }
}

impl Optimizer for Adam {
    fn create(config: Config, groups: Vec<ParameterGroup>) -> Result<Self> {
        Ok(Self { config, groups: Group::all(groups) })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        let config = &self.config;
        for (group, rate) in self.groups.iter_mut().zip(learning_rates) {
            let found = group.with_gradients(Self::CLASS_NAME)?;
            let (mut parameters, mut gradients) = (Vec::new(), Vec::new());
            let (mut averages, mut squares, mut largest, mut steps) = (vec![], vec![], vec![], vec![]);
            for (name, parameter, gradient) in found {
                if !group.states.contains_key(&name) {
                    group.states.insert(name.clone(), State::new(&parameter, config.amsgrad)?);
                }
                if let Some(state) = group.states.get(&name) {
                    averages.push(state.average.shallow_clone());
                    squares.push(state.square.shallow_clone());
                    largest.extend(state.largest.as_ref().map(Tensor::shallow_clone));
                    steps.push(state.step.shallow_clone());
                }
                parameters.push(parameter);
                gradients.push(gradient);
            }
            if parameters.is_empty() {
                continue;
            }
            let settings = AdamSettings {
                learning_rate: *rate,
                beta1: config.betas[0],
                beta2: config.betas[1],
                weight_decay: config.weight_decay,
                epsilon: config.eps,
                amsgrad: config.amsgrad,
                maximize: false,
            };
            let tensors = AdamTensors {
                parameters: &parameters,
                gradients: &gradients,
                exp_avgs: &averages,
                exp_avg_sqs: &squares,
                max_exp_avg_sqs: &largest,
                steps: &steps,
            };
            fused_adam(&tensors, &settings)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<NamedTensors> {
        let mut all = Vec::new();
        for group in &self.groups {
            for (name, state) in &group.states {
                all.push((format!("{name}.step"), copied(&state.step)?));
                all.push((format!("{name}.exp_avg"), copied(&state.average)?));
                all.push((format!("{name}.exp_avg_sq"), copied(&state.square)?));
                if let Some(largest) = &state.largest {
                    all.push((format!("{name}.max_exp_avg_sq"), copied(largest)?));
                }
            }
        }
        Ok(all)
    }

    fn load_state(&mut self, saved: NamedTensors) -> Result<()> {
        let mut states: Vec<std::collections::BTreeMap<String, State>> =
            self.groups.iter().map(|_| std::collections::BTreeMap::new()).collect();
        for (key, tensor) in &saved {
            let (name, entry) = split_key(key)?;
            let (index, parameter) = find_parameter(&self.groups, name)?;
            if !states[index].contains_key(name) {
                states[index].insert(name.to_owned(), State::new(parameter, self.config.amsgrad)?);
            }
            let Some(state) = states[index].get_mut(name) else { continue };
            match (entry, &mut state.largest) {
                ("step", _) => state.step = of_shape(key, tensor, &state.step)?,
                ("exp_avg", _) => state.average = of_shape(key, tensor, parameter)?,
                ("exp_avg_sq", _) => state.square = of_shape(key, tensor, parameter)?,
                ("max_exp_avg_sq", Some(largest)) => *largest = of_shape(key, tensor, parameter)?,
                _ => return Err(Error::new(format!("`{entry}` is no entry of this optimizer's state"))),
            }
        }
        for (group, states) in self.groups.iter_mut().zip(states) {
            group.states = states;
        }
        Ok(())
    }
}

impl State {
    fn new(parameter: &Tensor, amsgrad: bool) -> Result<Self> {
        let zeros = || -> Result<Tensor> { Ok(parameter.f_zeros_like()?.f_detach()?) };
        Ok(Self {
            step: Tensor::f_zeros([] as [i64; 0], (Kind::Float, parameter.device()))?,
            average: zeros()?,
            square: zeros()?,
            largest: amsgrad.then(zeros).transpose()?,
        })
    }
}
