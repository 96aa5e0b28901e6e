//! The gradients of an optimizer step, summed over all ranks.
//!
//! First all learn which parameters have a gradient anywhere, and of what layout: a rank whose share was empty adds zeros. Small
//! gradients then travel together, large ones by themselves, in place where they lie on the device that sums. Of a table of which a step uses few
//! rows (embeddings), only the rows that any rank has used travel, if that is less: all learn first, a byte a row, which those are.

use kiwi_core::diagnostic::Failure;
use kiwi_plugin_api::Result;
use kiwi_plugin_api::torch_ext::gradients::{gradient, set_gradient};
use tch::{Device, Kind, Tensor, no_grad};

use super::Ranks;
use crate::signals;
use crate::training::failed;

/// A gradient of fewer elements travels with others.
const SMALL: i64 = 1 << 16;
/// The elements that travel together, at most; more only where one gradient has more.
const TOGETHER: i64 = 1 << 22;
/// A matrix of fewer rows is summed whole.
const ROWS_OF_A_TABLE: i64 = 512;
/// For so many steps a table of which most rows were used is summed whole without another look.
const STEPS_WITHOUT_A_LOOK: u32 = 100;

/// What ranks tell one another at a step beside gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Facts {
    /// Target words of the step.
    pub(super) words: u64,
    /// What its losses are means over, where they are means.
    pub(super) items: Option<f64>,
    /// Which of the signals came.
    pub(super) came: [bool; signals::NAMES.len()],
}

/// What was summed so far, in bytes of one rank; how often they travel depends on how c10d sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Optimizer steps.
    pub(crate) steps: u64,
    /// All that was summed in them.
    pub(crate) bytes: u64,
    /// The same if no table had been summed by its rows.
    pub(crate) whole: u64,
}

/// Sums gradients, and remembers of which tables it is worth looking at the rows.
#[derive(Debug, Default)]
pub(super) struct Reduction {
    /// For each parameter, the steps for which it is summed whole without another look.
    rest: Vec<u32>,
    traffic: Traffic,
}

/// Whether any of the parameters has a gradient.
pub(super) fn any(parameters: &[Tensor]) -> Result<bool> {
    for parameter in parameters {
        if gradient(parameter)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is on its way for a parameter.
struct Summed {
    /// On the device that sums, contiguous.
    sums: Tensor,
    /// Whose.
    of: Of,
}

/// Where sums go.
enum Of {
    /// To the gradients of these parameters, one after the other.
    Whole(Vec<usize>),
    /// To these rows of the gradient of one.
    Rows { index: usize, rows: Tensor, sparse: bool },
}

/// How the ranks have the gradient of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    None,
    Dense,
    Sparse,
}

impl Reduction {
    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Replaces the gradients by their sums; says whether there is any, and what the facts are together.
    pub(super) fn sum(
        &mut self,
        ranks: &mut Ranks,
        parameters: &[Tensor],
        facts: Facts,
    ) -> std::result::Result<(bool, Facts), Failure> {
        self.rest.resize(parameters.len(), 0);
        let told = tell(parameters, facts).map_err(failed)?;
        ranks.together(|group| group.sum(&[&told]))?;
        let (layouts, facts) = hear(&told, parameters.len()).map_err(failed)?;
        if layouts.iter().all(|layout| *layout == Layout::None) {
            return Ok((false, facts));
        }
        if ranks.count() == 1 && ranks.sums_on == Device::Cpu {
            // Its gradients are the sums. On a GPU the way there is gone all the same, so that one is enough to try it.
            return Ok((true, facts));
        }
        no_grad(|| {
            let tables = self.tables(parameters, &layouts);
            let device = ranks.sums_on;
            let touched = touched(parameters, &tables, device)?;
            if let Some(touched) = &touched {
                ranks.together(|group| group.largest(&[touched]))?;
            }
            let all = self.gather(parameters, &layouts, &tables, touched.as_ref(), device).map_err(failed)?;
            let tensors: Vec<&Tensor> = all.iter().map(|summed| &summed.sums).collect();
            ranks.together(|group| group.sum(&tensors))?;
            self.count(parameters, &layouts, &[Some(&told), touched.as_ref()], &tensors);
            all.iter().try_for_each(|summed| give_back(parameters, summed)).map_err(failed)
        })?;
        Ok((true, facts))
    }

    /// The parameters whose rows are looked at.
    fn tables(&mut self, parameters: &[Tensor], layouts: &[Layout]) -> Vec<usize> {
        let mut tables = Vec::new();
        for (index, (parameter, layout)) in parameters.iter().zip(layouts).enumerate() {
            let size = parameter.size();
            let large = size.len() >= 2 && size[0] >= ROWS_OF_A_TABLE && elements(&size) >= SMALL;
            match layout {
                Layout::Sparse => tables.push(index),
                Layout::Dense if large && self.rest[index] == 0 => tables.push(index),
                Layout::Dense => self.rest[index] = self.rest[index].saturating_sub(1),
                Layout::None => {}
            }
        }
        tables
    }

    /// What is to be summed: of a table, whose touched rows are known, these, if they are few or the gradient is sparse.
    fn gather(
        &mut self,
        parameters: &[Tensor],
        layouts: &[Layout],
        tables: &[usize],
        touched: Option<&Tensor>,
        device: Device,
    ) -> Result<Vec<Summed>> {
        let mut all = Vec::new();
        let mut whole = vec![true; parameters.len()];
        let mut start = 0;
        for &index in tables {
            let Some(touched) = touched else { break };
            let size = parameters[index].size();
            let rows = touched.f_narrow(0, start, size[0])?.f_nonzero()?.f_squeeze_dim(1)?;
            start += size[0];
            let sparse = layouts[index] == Layout::Sparse;
            let few = rows.size()[0] * 2 <= size[0];
            if sparse || few {
                let sums = rows_of(&parameters[index], &rows, device)?;
                all.push(Summed { sums, of: Of::Rows { index, rows, sparse } });
                whole[index] = false;
            } else {
                self.rest[index] = STEPS_WITHOUT_A_LOOK;
            }
        }
        let mut small: Vec<(Kind, Vec<usize>, Vec<Tensor>, i64)> = Vec::new();
        for (index, parameter) in parameters.iter().enumerate() {
            if !whole[index] || layouts[index] == Layout::None {
                continue;
            }
            let gradient = dense(parameter)?;
            let elements = elements(&gradient.size());
            if elements >= SMALL {
                let sums = gradient.f_to(device)?.f_contiguous()?;
                all.push(Summed { sums, of: Of::Whole(vec![index]) });
                continue;
            }
            let (kind, flat) = (gradient.kind(), gradient.f_reshape([-1])?);
            match small.iter_mut().find(|(of, _, _, size)| *of == kind && size + elements <= TOGETHER) {
                Some((_, indices, parts, size)) => {
                    indices.push(index);
                    parts.push(flat);
                    *size += elements;
                }
                None => small.push((kind, vec![index], vec![flat], elements)),
            }
        }
        for (_, indices, parts, _) in small {
            let sums = Tensor::f_cat(&parts, 0)?.f_to(device)?;
            all.push(Summed { sums, of: Of::Whole(indices) });
        }
        Ok(all)
    }

    fn count(
        &mut self,
        parameters: &[Tensor],
        layouts: &[Layout],
        told: &[Option<&Tensor>],
        summed: &[&Tensor],
    ) {
        let bytes = |tensor: &Tensor| {
            elements(&tensor.size()).unsigned_abs() * tensor.kind().elt_size_in_bytes() as u64
        };
        let with_gradient = parameters.iter().zip(layouts).filter(|(_, layout)| **layout != Layout::None);
        self.traffic.steps += 1;
        self.traffic.bytes +=
            told.iter().flatten().map(|t| bytes(t)).chain(summed.iter().map(|t| bytes(t))).sum::<u64>();
        self.traffic.whole += with_gradient.map(|(parameter, _)| bytes(parameter)).sum::<u64>();
    }
}

fn elements(size: &[i64]) -> i64 {
    size.iter().product()
}

/// The facts as numbers to be summed, `[3 + signals + 2 P]` float64 for P parameters: of each whether it has a gradient, and a sparse
/// one.
fn tell(parameters: &[Tensor], facts: Facts) -> Result<Tensor> {
    let number = |so: bool| f64::from(u8::from(so));
    let mut told = vec![facts.words as f64, facts.items.unwrap_or(0.0), number(facts.items.is_some())];
    told.extend(facts.came.map(number));
    for parameter in parameters {
        let gradient = gradient(parameter)?;
        let sparse = gradient.as_ref().is_some_and(Tensor::is_sparse);
        told.extend([number(gradient.is_some()), number(sparse)]);
    }
    Ok(Tensor::from_slice(&told))
}

/// What [`tell`] told, of all ranks together.
fn hear(told: &Tensor, parameters: usize) -> Result<(Vec<Layout>, Facts)> {
    let told = Vec::<f64>::try_from(told)?;
    let signals = signals::NAMES.len();
    let mut facts = Facts {
        words: told[0] as u64,
        items: (told[2] > 0.0).then_some(told[1]),
        came: [false; signals::NAMES.len()],
    };
    for (came, count) in facts.came.iter_mut().zip(&told[3..]) {
        *came = *count > 0.0;
    }
    let layout = |of: &[f64]| match of {
        [_, sparse] if *sparse > 0.0 => Layout::Sparse,
        [count, _] if *count > 0.0 => Layout::Dense,
        _ => Layout::None,
    };
    let layouts: Vec<_> = told[3 + signals..].chunks(2).map(layout).collect();
    debug_assert_eq!(layouts.len(), parameters);
    Ok((layouts, facts))
}

/// The gradient of a parameter as a dense tensor, made if there is none.
fn dense(parameter: &Tensor) -> Result<Tensor> {
    if let Some(found) = gradient(parameter)? {
        return Ok(found);
    }
    set_gradient(parameter, Some(&parameter.f_zeros_like()?))?;
    gradient(parameter)?.ok_or_else(|| kiwi_plugin_api::Error::new("a gradient was set and is not there"))
}

/// The rows and values of a sparse gradient, each row once.
fn parts(gradient: &Tensor) -> Result<(Tensor, Tensor)> {
    let coalesced = gradient.f_coalesce()?;
    let indices = coalesced.f_indices()?;
    if indices.size()[0] != 1 {
        let message = format!(
            "a sparse gradient of {} sparse dimensions cannot be summed over several processes: only rows can be sparse",
            indices.size()[0]
        );
        return Err(kiwi_plugin_api::Error::new(message));
    }
    Ok((indices.f_squeeze_dim(0)?, coalesced.f_values()?))
}

/// Which rows of these tables this rank has gradients for, one table after the other: 1 or 0 in uint8, on this device.
fn touched(
    parameters: &[Tensor],
    tables: &[usize],
    device: Device,
) -> std::result::Result<Option<Tensor>, Failure> {
    let of = |index: &usize| -> Result<Tensor> {
        let rows = parameters[*index].size()[0];
        let none = || Tensor::f_zeros([rows], (Kind::Uint8, device));
        match gradient(&parameters[*index])? {
            None => Ok(none()?),
            Some(found) if found.is_sparse() => {
                let (rows, _) = parts(&found)?;
                Ok(none()?.f_index_fill_(0, &rows.f_to(device)?, 1)?)
            }
            Some(found) => {
                let used = found.f_reshape([rows, -1])?.f_any_dim(1, false)?;
                Ok(used.f_to_kind(Kind::Uint8)?.f_to(device)?)
            }
        }
    };
    if tables.is_empty() {
        return Ok(None);
    }
    let touched = tables.iter().map(of).collect::<Result<Vec<_>>>().map_err(failed)?;
    Tensor::f_cat(&touched, 0).map(Some).map_err(|error| failed(error.into()))
}

/// These rows of the gradient of a parameter, on the device that sums; zeros where it has none.
fn rows_of(parameter: &Tensor, rows: &Tensor, sums_on: Device) -> Result<Tensor> {
    let (device, size) = (parameter.device(), parameter.size());
    let mut shape = size.clone();
    shape[0] = rows.size()[0];
    let found = match gradient(parameter)? {
        None => return Ok(Tensor::f_zeros(&shape[..], (parameter.kind(), sums_on))?),
        Some(found) if found.is_sparse() => {
            let (own, values) = parts(&found)?;
            let mut places = Tensor::f_zeros([size[0]], (Kind::Int64, device))?;
            let here = Tensor::f_arange(shape[0], (Kind::Int64, device))?;
            let _ = places.f_index_copy_(0, &rows.f_to(device)?, &here)?;
            let mut gathered = Tensor::f_zeros(&shape[..], (values.kind(), device))?;
            gathered.f_index_copy_(0, &places.f_index_select(0, &own)?, &values)?
        }
        Some(found) => found.f_index_select(0, &rows.f_to(device)?)?,
    };
    Ok(found.f_to(sums_on)?.f_contiguous()?)
}

/// Puts sums into gradients.
fn give_back(parameters: &[Tensor], summed: &Summed) -> Result<()> {
    match &summed.of {
        Of::Whole(indices) => {
            let flat = summed.sums.f_reshape([-1])?;
            let mut start = 0;
            for &index in indices {
                let mut gradient = dense(&parameters[index])?;
                let size = gradient.size();
                let part = flat.f_narrow(0, start, elements(&size))?.f_reshape(&size[..])?;
                start += elements(&size);
                if gradient.data_ptr() != part.data_ptr() {
                    gradient.f_copy_(&part)?;
                }
            }
        }
        Of::Rows { index, rows, sparse } => {
            let parameter = &parameters[*index];
            let device = parameter.device();
            let (rows, sums) = (rows.f_to(device)?, summed.sums.f_to(device)?);
            if *sparse {
                let options = (sums.kind(), device);
                let indices = rows.f_unsqueeze(0)?;
                let gradient = Tensor::f_sparse_coo_tensor_indices_size(
                    &indices,
                    &sums,
                    parameter.size(),
                    options,
                    true,
                )?;
                set_gradient(parameter, Some(&gradient))?;
            } else {
                let _ = dense(parameter)?.f_index_copy_(0, &rows, &sums)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
