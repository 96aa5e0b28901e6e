//! What all optimizers share: which parameters of a group have a gradient, and states by the parameters' names.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext;

/// The parameters of a group, with what the optimizer remembers of each that ever had a gradient.
pub(crate) struct Group<S> {
    pub(crate) parameters: NamedTensors,
    pub(crate) states: BTreeMap<String, S>,
}

impl<S> Group<S> {
    pub(crate) fn all(groups: Vec<ParameterGroup>) -> Vec<Self> {
        groups
            .into_iter()
            .map(|group| Self { parameters: group.parameters, states: BTreeMap::new() })
            .collect()
    }

    /// The parameters that have a gradient, with it.
    ///
    /// # Errors
    /// When a gradient is sparse, naming the parameter and what can train it.
    pub(crate) fn with_gradients(&self, class: &str) -> Result<Vec<(String, Tensor, Tensor)>> {
        let mut found = Vec::with_capacity(self.parameters.len());
        for (name, parameter) in &self.parameters {
            if let Some(gradient) = torch_ext::gradients::gradient(parameter)? {
                if gradient.is_sparse() {
                    return Err(Error::new(format!(
                        "the gradient of `{name}` is sparse, which `{class}` cannot use: set sparse_embeddings to false"
                    )));
                }
                found.push((name.clone(), parameter.shallow_clone(), gradient));
            }
        }
        Ok(found)
    }

    /// The parameter of this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&Tensor> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }
}

/// The parameter of this name and the number of its group.
///
/// # Errors
/// When none is trained that is named so.
pub(crate) fn find_parameter<'a, S>(groups: &'a [Group<S>], name: &str) -> Result<(usize, &'a Tensor)> {
    groups
        .iter()
        .enumerate()
        .find_map(|(index, group)| group.parameter(name).map(|parameter| (index, parameter)))
        .ok_or_else(|| Error::new(format!("the saved state is of `{name}`, which is not trained")))
}

/// Splits `{parameter}.{part}` of a saved state.
pub(crate) fn split_key(key: &str) -> Result<(&str, &str)> {
    key.rsplit_once('.').ok_or_else(|| {
        Error::new(format!("`{key}` is no entry of an optimizer's state: expected `parameter.entry`"))
    })
}

/// The saved tensor, if it has the shape of what it belongs to.
pub(crate) fn of_shape(key: &str, saved: &Tensor, like: &Tensor) -> Result<Tensor> {
    if saved.size() == like.size() {
        copied(&saved.f_detach()?.f_to(like.device())?)
    } else {
        Err(Error::new(format!("`{key}` has shape {:?}, expected {:?}", saved.size(), like.size())))
    }
}

/// The same values in memory of their own.
pub(crate) fn copied(tensor: &Tensor) -> Result<Tensor> {
    let mut copy = tensor.f_detach()?.f_empty_like()?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}
