//! The momentum of each parameter that ever had a gradient, and how it is saved and loaded.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::gradients::gradient;

use crate::Lion;

/// The parameter groups with their momenta.
pub(crate) struct Momenta {
    groups: Vec<ParameterGroup>,
    /// By the parameter's name.
    of: BTreeMap<String, Tensor>,
}

/// The parameters of a group that have a gradient: lists of equal length, whose tensors share the memory of what they stand for.
#[derive(Default)]
pub(crate) struct Updates {
    pub(crate) parameters: Vec<Tensor>,
    pub(crate) gradients: Vec<Tensor>,
    pub(crate) momenta: Vec<Tensor>,
}

/// What the name of a momentum in a saved state ends with.
const SUFFIX: &str = ".momentum";

impl Momenta {
    /// Nothing remembered yet.
    pub(crate) fn new(groups: Vec<ParameterGroup>) -> Self {
        Self { groups, of: BTreeMap::new() }
    }

    /// What a step is to do, group by group, with the learning rate of each. A momentum begins at zero.
    ///
    /// # Errors
    /// When there is not one rate a group, or a gradient is sparse; then no momentum has changed.
    pub(crate) fn updates(&mut self, rates: &[f64]) -> Result<Vec<(Updates, f64)>> {
        if rates.len() != self.groups.len() {
            return Err(Error::new(format!(
                "{} learning rates for {} parameter groups",
                rates.len(),
                self.groups.len()
            )));
        }
        let mut all = Vec::new();
        for (group, rate) in self.groups.iter().zip(rates) {
            let mut updates = Updates::default();
            for (name, parameter) in &group.parameters {
                let Some(gradient) = gradient(parameter)? else { continue };
                if gradient.is_sparse() {
                    return Err(Error::new(format!(
                        "the gradient of `{name}` is sparse, which `{}` cannot use: set sparse_embeddings to false, or train it by \
                         sgd, adagrad or sparse_adam in a list of optimizers",
                        Lion::CLASS_NAME
                    )));
                }
                if !self.of.contains_key(name) {
                    self.of.insert(name.clone(), parameter.f_detach()?.f_zeros_like()?);
                }
                updates.momenta.extend(self.of.get(name).map(Tensor::shallow_clone));
                updates.parameters.push(parameter.shallow_clone());
                updates.gradients.push(gradient);
            }
            all.push((updates, *rate));
        }
        Ok(all)
    }

    /// The momenta, as `{parameter}.momentum`.
    pub(crate) fn state(&self) -> NamedTensors {
        self.of.iter().map(|(name, momentum)| (format!("{name}{SUFFIX}"), momentum.shallow_clone())).collect()
    }

    /// Remembers what [`Momenta::state`] gave, and that alone.
    ///
    /// # Errors
    /// When a tensor is of an unknown name, another shape or another type; then nothing is taken over.
    pub(crate) fn load_state(&mut self, saved: &[(String, Tensor)]) -> Result<()> {
        let mut of = BTreeMap::new();
        for (key, tensor) in saved {
            let name = key.strip_suffix(SUFFIX).ok_or_else(|| {
                Error::new(format!(
                    "`{key}` is no entry of this optimizer's state: expected `PARAMETER{SUFFIX}`"
                ))
            })?;
            let parameter = self.parameter(name)?;
            if (tensor.size(), tensor.kind()) != (parameter.size(), parameter.kind()) {
                return Err(Error::new(format!(
                    "`{key}` is {:?} of shape {:?}, expected {:?} of shape {:?}",
                    tensor.kind(),
                    tensor.size(),
                    parameter.kind(),
                    parameter.size()
                )));
            }
            let mut momentum = parameter.f_detach()?.f_empty_like()?;
            momentum.f_copy_(&tensor.f_detach()?)?;
            of.insert(name.to_owned(), momentum);
        }
        self.of = of;
        Ok(())
    }

    fn parameter(&self, name: &str) -> Result<&Tensor> {
        let mut parameters = self.groups.iter().flat_map(|group| &group.parameters);
        let found = parameters.find(|(known, _)| known == name).map(|(_, parameter)| parameter);
        found.ok_or_else(|| Error::new(format!("the saved state is of `{name}`, which is not trained")))
    }
}
