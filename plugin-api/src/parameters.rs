//! The named tensors of a component: parameters that train, parameters that are frozen, buffers, and second names.

use kiwi_torch_ext::{TensorFacts, described};
use tch::{Tensor, no_grad};

use crate::{Error, Result};

/// Tensors by name, in order: the state of an optimizer, for instance.
pub type NamedTensors = Vec<(String, Tensor)>;

/// One named tensor of a component.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name, as `embeddings.source.embedding.weight`: the key in a saved system.
    pub name: String,
    /// The tensor; the host reads and overwrites its values in place.
    pub tensor: Tensor,
    /// Whether an optimizer may change it. A frozen parameter or a buffer is saved, but not trained.
    pub trainable: bool,
    /// Whether it is no parameter at all but a constant that belongs to the saved state.
    pub buffer: bool,
    /// The name of the parameter that this one is only a second name of.
    pub alias_of: Option<String>,
}

/// The named tensors of a component, in the order they were added.
#[derive(Debug, Default)]
pub struct Parameters {
    entries: Vec<Parameter>,
}

impl Parameters {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter that trains and returns the tensor to compute with.
    ///
    /// # Errors
    /// When the name is taken, or the values are no floating-point numbers.
    pub fn trainable(&mut self, name: impl Into<String>, value: Tensor) -> Result<Tensor> {
        let name = name.into();
        if !TensorFacts::of(&value)?.floating() {
            return Err(Error::new(format!(
                "the parameter `{name}` is {}, and only floating-point numbers can be trained: add constants by `buffer`",
                described(&value)
            )));
        }
        let tensor = value.f_detach()?.f_set_requires_grad(true)?;
        self.push(Parameter { name, tensor, trainable: true, buffer: false, alias_of: None })
    }

    /// Adds a parameter that is saved but never trained.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn frozen(&mut self, name: impl Into<String>, value: Tensor) -> Result<Tensor> {
        let tensor = value.f_detach()?;
        self.push(Parameter { name: name.into(), tensor, trainable: false, buffer: false, alias_of: None })
    }

    /// Adds a constant that belongs to the saved state.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn buffer(&mut self, name: impl Into<String>, value: Tensor) -> Result<Tensor> {
        let tensor = value.f_detach()?;
        self.push(Parameter { name: name.into(), tensor, trainable: false, buffer: true, alias_of: None })
    }

    /// Gives the parameter `of` a second name in the saved state, as tied tables have.
    ///
    /// # Errors
    /// When there is no parameter `of`, or the name is taken.
    pub fn alias(&mut self, name: impl Into<String>, of: &str) -> Result<Tensor> {
        let tensor = self
            .get(of)
            .ok_or_else(|| Error::new(format!("no parameter named `{of}` to give a second name")))?
            .tensor
            .shallow_clone();
        self.push(Parameter {
            name: name.into(),
            tensor,
            trainable: false,
            buffer: false,
            alias_of: Some(of.to_owned()),
        })
    }

    /// The entry of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// All entries, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.entries.iter()
    }

    /// Overwrites the values of the entry of this name, keeping its place in memory.
    ///
    /// # Errors
    /// When there is none, or its shape is another.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let entry =
            self.get(name).ok_or_else(|| Error::new(format!("no parameter or buffer is named `{name}`")))?;
        let mut tensor = entry.tensor.shallow_clone();
        if tensor.size() != value.size() {
            return Err(Error::new(format!(
                "`{name}` has shape {:?}, the given values have {:?}",
                tensor.size(),
                value.size()
            )));
        }
        no_grad(|| tensor.f_copy_(value))?;
        Ok(())
    }

    fn push(&mut self, entry: Parameter) -> Result<Tensor> {
        if self.get(&entry.name).is_some() {
            return Err(Error::new(format!("a parameter named `{}` exists already", entry.name)));
        }
        let tensor = entry.tensor.shallow_clone();
        self.entries.push(entry);
        Ok(tensor)
    }
}
