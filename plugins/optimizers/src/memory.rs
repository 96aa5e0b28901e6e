//! What all optimizers share: which parameters of a group have a gradient, and what is remembered of each, by name.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext;

/// One thing that an optimizer remembers of each parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    name: &'static str,
    form: Form,
    initial: f64,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// Of the parameter's shape, type and device.
    Like,
    /// One float64 number on the CPU, which can be read without waiting for a device.
    Number,
    /// One float32 number on the parameter's device, as fused operators count steps.
    FusedSteps,
}

impl Entry {
    /// A tensor like the parameter, filled with `initial`.
    pub(crate) fn like(name: &'static str, initial: f64) -> Self {
        Self { name, form: Form::Like, initial }
    }

    /// A number.
    pub(crate) fn number(name: &'static str, initial: f64) -> Self {
        Self { name, form: Form::Number, initial }
    }

    /// The number of steps, as fused operators want it.
    pub(crate) fn fused_steps() -> Self {
        Self { name: "step", form: Form::FusedSteps, initial: 0.0 }
    }

    fn fresh(self, parameter: &Tensor) -> Result<Tensor> {
        Ok(match self.form {
            Form::Like => parameter.f_full_like(self.initial)?.f_detach()?,
            Form::Number => Tensor::f_full([0_i64; 0], self.initial, (Kind::Double, Device::Cpu))?,
            Form::FusedSteps => Tensor::f_full([0_i64; 0], self.initial, (Kind::Float, parameter.device()))?,
        })
    }
}

/// The parameter groups of an optimizer with its memory of each parameter that ever had a gradient.
pub(crate) struct Memory {
    groups: Vec<Group>,
}

/// One parameter group.
pub(crate) struct Group {
    layout: Vec<Entry>,
    parameters: NamedTensors,
    states: BTreeMap<String, Vec<Tensor>>,
}

/// What a step is to do with one parameter. The tensors share the memory of what they stand for.
pub(crate) struct Update {
    pub(crate) name: String,
    pub(crate) parameter: Tensor,
    pub(crate) gradient: Tensor,
    /// As laid out.
    pub(crate) state: Vec<Tensor>,
    /// Whether the parameter has its first gradient.
    pub(crate) first: bool,
}

impl Memory {
    /// Nothing remembered yet; `layout` is what will be, of each parameter.
    pub(crate) fn new(groups: Vec<ParameterGroup>, layout: &[Entry]) -> Self {
        let groups = groups.into_iter().map(|group| Group {
            layout: layout.to_vec(),
            parameters: group.parameters,
            states: BTreeMap::new(),
        });
        Self { groups: groups.collect() }
    }

    /// Each group with its learning rate.
    ///
    /// # Errors
    /// When there is not one rate a group.
    pub(crate) fn with_rates<'a>(
        &'a mut self,
        rates: &'a [f64],
    ) -> Result<impl Iterator<Item = (&'a mut Group, f64)>> {
        if rates.len() != self.groups.len() {
            return Err(Error::new(format!(
                "{} learning rates for {} parameter groups",
                rates.len(),
                self.groups.len()
            )));
        }
        Ok(self.groups.iter_mut().zip(rates.iter().copied()))
    }

    /// Everything that is remembered, as `{parameter}.{entry}`.
    pub(crate) fn state(&self) -> Result<NamedTensors> {
        let mut all = Vec::new();
        for group in &self.groups {
            for (name, state) in &group.states {
                for (entry, tensor) in group.layout.iter().zip(state) {
                    all.push((format!("{name}.{}", entry.name), tensor.shallow_clone()));
                }
            }
        }
        Ok(all)
    }

    /// Remembers what [`Memory::state`] gave, and that alone.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape or type, or of an unknown name; then nothing is taken over.
    pub(crate) fn load_state(&mut self, saved: &[(String, Tensor)]) -> Result<()> {
        let mut states: Vec<BTreeMap<String, Vec<Option<Tensor>>>> =
            self.groups.iter().map(|_| BTreeMap::new()).collect();
        for (key, tensor) in saved {
            let (name, part) = key.rsplit_once('.').ok_or_else(|| {
                Error::new(format!("`{key}` is no entry of an optimizer's state: expected `parameter.entry`"))
            })?;
            let (index, group, parameter) = self.find(name)?;
            let position =
                group.layout.iter().position(|entry| entry.name == part).ok_or_else(|| {
                    let known: Vec<_> = group.layout.iter().map(|entry| entry.name).collect();
                    Error::new(match known.as_slice() {
                        [] => format!("`{key}` is no entry of this optimizer's state: it has none with these options"),
                        known => format!(
                            "`{key}` is no entry of this optimizer's state: expected one of {} with these options",
                            known.join(", ")
                        ),
                    })
                })?;
            let value = fitting(key, tensor, &group.layout[position].fresh(parameter)?)?;
            let of_parameter = states[index]
                .entry(name.to_owned())
                .or_insert_with(|| group.layout.iter().map(|_| None).collect());
            of_parameter[position] = Some(value);
        }
        let complete = self.groups.iter().zip(states).map(|(group, states)| group.complete(states));
        let complete = complete.collect::<Result<Vec<_>>>()?;
        for (group, states) in self.groups.iter_mut().zip(complete) {
            group.states = states;
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<(usize, &Group, &Tensor)> {
        let found = self.groups.iter().enumerate().find_map(|(index, group)| {
            let (_, parameter) = group.parameters.iter().find(|(known, _)| known == name)?;
            Some((index, group, parameter))
        });
        found.ok_or_else(|| Error::new(format!("the saved state is of `{name}`, which is not trained")))
    }
}

impl Group {
    /// The parameters that have a gradient, dense or sparse.
    pub(crate) fn updates(&mut self) -> Result<Vec<Update>> {
        let mut updates = Vec::with_capacity(self.parameters.len());
        for (name, parameter) in &self.parameters {
            let Some(gradient) = torch_ext::gradients::gradient(parameter)? else { continue };
            let first = !self.states.contains_key(name);
            if first {
                let fresh = self.layout.iter().map(|entry| entry.fresh(parameter));
                self.states.insert(name.clone(), fresh.collect::<Result<_>>()?);
            }
            let state = self.states.get(name).into_iter().flatten().map(Tensor::shallow_clone).collect();
            updates.push(Update {
                name: name.clone(),
                parameter: parameter.shallow_clone(),
                gradient,
                state,
                first,
            });
        }
        Ok(updates)
    }

    /// The same, for an optimizer that cannot use sparse gradients.
    ///
    /// # Errors
    /// When a gradient is sparse, naming the parameter and what can train it.
    pub(crate) fn dense_updates(&mut self, class: &str) -> Result<Vec<Update>> {
        let updates = self.updates()?;
        match updates.iter().find(|update| update.gradient.is_sparse()) {
            None => Ok(updates),
            Some(Update { name, .. }) => Err(Error::new(format!(
                "the gradient of `{name}` is sparse, which `{class}` cannot use: set sparse_embeddings to false, or \
                 train it by sgd, adagrad or sparse_adam in a list of optimizers"
            ))),
        }
    }

    fn complete(
        &self,
        states: BTreeMap<String, Vec<Option<Tensor>>>,
    ) -> Result<BTreeMap<String, Vec<Tensor>>> {
        let complete = states.into_iter().map(|(name, state)| {
            let entries = state.into_iter().zip(&self.layout).map(|(tensor, entry)| {
                tensor.ok_or_else(|| Error::new(format!("the saved state lacks `{name}.{}`", entry.name)))
            });
            let entries = entries.collect::<Result<Vec<_>>>()?;
            Ok((name, entries))
        });
        complete.collect()
    }
}

/// The same values in memory of their own.
pub(crate) fn copied(tensor: &Tensor) -> Result<Tensor> {
    let mut copy = tensor.f_detach()?.f_empty_like()?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}

/// A copy of the saved tensor where `like` lies, if it is of its shape and type.
fn fitting(key: &str, saved: &Tensor, like: &Tensor) -> Result<Tensor> {
    if saved.size() != like.size() {
        return Err(Error::new(format!("`{key}` has shape {:?}, expected {:?}", saved.size(), like.size())));
    }
    if saved.kind() != like.kind() {
        return Err(Error::new(format!("`{key}` is of type {:?}, expected {:?}", saved.kind(), like.kind())));
    }
    copied(&saved.f_detach()?.f_to(like.device())?)
}
