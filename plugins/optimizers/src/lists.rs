//! The updates of a step as the lists that operators over many tensors work on.

use std::collections::BTreeMap;

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::foreach;

use crate::memory::{Update, copied};

/// Lists of equal length, one item a parameter. The tensors share the memory of what they stand for.
pub(crate) struct Lists {
    pub(crate) parameters: Vec<Tensor>,
    pub(crate) gradients: Vec<Tensor>,
    /// One list for each entry of the layout.
    state: Vec<Vec<Tensor>>,
}

impl Lists {
    /// The updates as lists, for a memory of `entries` entries a parameter.
    pub(crate) fn new(updates: Vec<Update>, entries: usize) -> Self {
        let mut lists = Self {
            parameters: Vec::new(),
            gradients: Vec::new(),
            state: (0..entries).map(|_| Vec::new()).collect(),
        };
        for update in updates {
            lists.parameters.push(update.parameter);
            lists.gradients.push(update.gradient);
            for (list, tensor) in lists.state.iter_mut().zip(update.state) {
                list.push(tensor);
            }
        }
        lists
    }

    /// The list of this entry of the layout; empty if the layout has no such entry.
    pub(crate) fn state(&self, entry: usize) -> &[Tensor] {
        self.state.get(entry).map_or(&[], Vec::as_slice)
    }

    /// Adds `weight_decay` times the parameters to the gradients. What backward accumulates into is left as it is.
    pub(crate) fn decay_weights(&mut self, weight_decay: f64) -> Result<()> {
        if weight_decay != 0.0 {
            self.gradients = copies(&self.gradients)?;
            foreach::add_(&self.gradients, &self.parameters, weight_decay)?;
        }
        Ok(())
    }
}

/// The same values in memory of their own.
pub(crate) fn copies(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    tensors.iter().map(copied).collect()
}

/// Counts a step of each parameter in this entry, a number, and puts those together that have taken as many. They differ where
/// a parameter had no gradient in some steps.
pub(crate) fn by_step(updates: Vec<Update>, entry: usize) -> Result<BTreeMap<u64, Vec<Update>>> {
    let mut together: BTreeMap<u64, Vec<Update>> = BTreeMap::new();
    for update in updates {
        let step = number(&update.state[entry])? + 1.0;
        set_number(&update.state[entry], step)?;
        together.entry(step as u64).or_default().push(update);
    }
    Ok(together)
}

/// A number of a state.
pub(crate) fn number(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.f_double_value(&[])?)
}

/// Sets a number of a state.
pub(crate) fn set_number(tensor: &Tensor, value: f64) -> Result<()> {
    let _ = tensor.shallow_clone().f_fill_(value)?;
    Ok(())
}

/// A sparse gradient: each row of the parameter that was looked up, once, and its gradient.
pub(crate) struct SparseRows {
    /// `[K]` int64.
    pub(crate) rows: Tensor,
    /// `[K, …]`, as the rows of the parameter.
    pub(crate) values: Tensor,
}

impl SparseRows {
    /// The rows of a sparse gradient; gradients of one row are added up.
    ///
    /// # Errors
    /// When it is sparse in more than its rows.
    pub(crate) fn of(update: &Update) -> Result<Self> {
        let gradient = update.gradient.f_coalesce()?;
        let indices = gradient.f_indices()?;
        if indices.size().first() != Some(&1) {
            return Err(Error::new(format!(
                "the gradient of `{}` is sparse in more than its rows, which only the gradients of tables are expected to be",
                update.name
            )));
        }
        Ok(Self { rows: indices.f_select(0, 0)?, values: gradient.f_values()? })
    }

    /// These rows of `tensor`, a copy.
    pub(crate) fn select(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.f_index_select(0, &self.rows)?)
    }

    /// Puts `values` in the place of these rows of `tensor`.
    pub(crate) fn put(&self, tensor: &Tensor, values: &Tensor) -> Result<()> {
        let _ = tensor.f_detach()?.f_index_copy_(0, &self.rows, values)?;
        Ok(())
    }

    /// Adds `scale` times `values` to these rows of `tensor`.
    pub(crate) fn add(&self, tensor: &Tensor, values: &Tensor, scale: f64) -> Result<()> {
        let _ = tensor.f_detach()?.f_index_add_(0, &self.rows, &values.f_mul_scalar(scale)?)?;
        Ok(())
    }
}
