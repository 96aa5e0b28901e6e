//! An optimizer in the place of one that is not under test.

use kiwi_torch_ext::gradients::gradient;
use kiwi_torch_ext::optim::{AdamSettings, AdamTensors, fused_adam};
use tch::Tensor;

use super::NoOptions;
use crate::{Component, Error, NamedTensors, Optimizer, ParameterGroup, Result, init};

/// Adam (Kingma and Ba 2015) with its usual constants. Takes no sparse gradients.
pub struct Adam {
    groups: Vec<Vec<Item>>,
}

/// A parameter and what is remembered of its gradients.
struct Item {
    name: String,
    parameter: Tensor,
    mean: Tensor,
    squares: Tensor,
    steps: Tensor,
}

impl Component for Adam {
    type Config = NoOptions;
    const CLASS_NAME: &'static str = "Adam";
    const SUMMARY: &'static str = "Adam without options, for tests of other components";
}

impl Optimizer for Adam {
    fn create(_config: NoOptions, groups: Vec<ParameterGroup>) -> Result<Self> {
        let item = |(name, parameter): (String, Tensor)| -> Result<Item> {
            let (mean, squares) = (parameter.f_zeros_like()?, parameter.f_zeros_like()?);
            let steps = init::zeros(&[], parameter.device())?;
            Ok(Item { name, parameter, mean, squares, steps })
        };
        let groups = groups
            .into_iter()
            .map(|group| group.parameters.into_iter().map(item).collect())
            .collect::<Result<_>>()?;
        Ok(Self { groups })
    }

    fn step(&mut self, learning_rates: &[f64]) -> Result<()> {
        for (group, learning_rate) in self.groups.iter().zip(learning_rates) {
            let mut lists = [const { Vec::new() }; 5];
            for item in group {
                let Some(gradient) = gradient(&item.parameter)? else { continue };
                let parameter = item.parameter.shallow_clone();
                let (mean, squares) = (item.mean.shallow_clone(), item.squares.shallow_clone());
                let all = [parameter, gradient, mean, squares, item.steps.shallow_clone()];
                lists.iter_mut().zip(all).for_each(|(list, tensor)| list.push(tensor));
            }
            let [parameters, gradients, exp_avgs, exp_avg_sqs, steps] = &lists;
            let tensors =
                AdamTensors { parameters, gradients, exp_avgs, exp_avg_sqs, max_exp_avg_sqs: &[], steps };
            fused_adam(&tensors, &AdamSettings { learning_rate: *learning_rate, ..AdamSettings::default() })?;
        }
        Ok(())
    }

    fn state(&self) -> Result<NamedTensors> {
        let items = self.groups.iter().flatten();
        Ok(items
            .flat_map(|item| item.entries().map(|(name, tensor)| (name, tensor.shallow_clone())))
            .collect())
    }

    fn load_state(&mut self, state: NamedTensors) -> Result<()> {
        let entries: Vec<_> = self.groups.iter().flatten().flat_map(Item::entries).collect();
        if entries.len() != state.len() {
            return Err(Error::new(format!("{} tensors of state, expected {}", state.len(), entries.len())));
        }
        for (name, tensor) in entries {
            let (_, saved) = state
                .iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| Error::new(format!("the state lacks `{name}`")))?;
            if saved.size() != tensor.size() {
                return Err(Error::new(format!(
                    "`{name}` has shape {:?}, expected {:?}",
                    saved.size(),
                    tensor.size()
                )));
            }
            tensor.shallow_clone().f_copy_(saved)?;
        }
        Ok(())
    }
}

impl Item {
    fn entries(&self) -> [(String, &Tensor); 3] {
        let named = |what: &str| format!("{}.{what}", self.name);
        [(named("exp_avg"), &self.mean), (named("exp_avg_sq"), &self.squares), (named("step"), &self.steps)]
    }
}
