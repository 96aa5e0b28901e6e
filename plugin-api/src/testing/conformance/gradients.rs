//! Gradients against finite differences: along one random direction for each tensor, the derivative that backward gives and the one
//! that two values give must agree.

use std::time::{Duration, Instant};

use kiwi_torch_ext::gradients::{self, clear_gradients, gradient};
use tch::{Kind, Tensor, no_grad};

use super::compare::copy;
use super::finding::{Checked, Complaint, Seen};
use super::subject::seed;
use crate::error::without_stack;
use crate::{NamedTensors, Parameter};

/// Gradients of a loss, or of a sum, of what a component computed. Its own operations may throw whatever they like.
pub(super) fn backward(loss: &Tensor) -> Checked<()> {
    gradients::backward(loss).map_err(|error| {
        let said = error.to_string();
        Complaint::new(format!("backward of what it computed fails: {}", without_stack(&said)))
            .help("correct the operation; one of your own should say what is wrong by a `std::exception`")
            .into()
    })
}

/// How exactly derivatives can be compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Precision {
    name: &'static str,
    /// Length of the step in each direction.
    step: f64,
    /// Length of longer steps, by which a wrong gradient is told from rounding.
    coarser: Option<f64>,
    /// Share of the derivative that it may be off.
    relative: f64,
    /// Share of the value that the derivative may be off besides: what rounding of the value makes of it.
    of_value: f64,
}

pub(super) const DOUBLE: Precision =
    Precision { name: "float64", step: 1e-5, coarser: Some(1e-3), relative: 1e-4, of_value: 1e-8 };
pub(super) const SINGLE: Precision =
    Precision { name: "float32", step: 1e-2, coarser: None, relative: 0.1, of_value: 1e-3 };

/// What was compared.
pub(super) struct Compared {
    precision: &'static str,
    /// Tensors whose derivative was compared.
    compared: usize,
    /// Tensors that have a gradient.
    with_gradient: usize,
    /// Tensors without one.
    pub(super) without: Vec<String>,
}

impl Compared {
    /// What the check has seen.
    pub(super) fn seen(&self, what: &str) -> Seen {
        let Self { precision, compared, with_gradient, .. } = self;
        let of = if compared == with_gradient { String::new() } else { format!(" of {with_gradient}") };
        let seen = Seen::new(format!(
            "gradients of {compared}{of} {what} agree with finite differences in {precision}"
        ));
        if *precision == SINGLE.name {
            return seen.note("it does not compute in float64 throughout, so that they were compared in float32, with a wide tolerance");
        }
        seen
    }
}

/// Compares the derivatives of `value` by each of `variables`, as many as there is time for. `value` is a scalar, the same for the
/// same values of the variables. `None` if it is rounded too coarsely for this precision, as by a part of it in float32.
pub(super) fn compare(
    variables: &NamedTensors,
    precision: Precision,
    patience: Duration,
    value: &mut dyn FnMut() -> Checked<Tensor>,
) -> Checked<Option<Compared>> {
    let tensors: Vec<Tensor> = variables.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
    clear_gradients(&tensors)?;
    let at_first = value()?;
    let mut compared =
        Compared { precision: precision.name, compared: 0, with_gradient: 0, without: Vec::new() };
    if !at_first.requires_grad() {
        compared.without = variables.iter().map(|(name, _)| name.clone()).collect();
        return Ok(Some(compared));
    }
    backward(&at_first)?;
    let size = at_first.f_double_value(&[])?.abs();
    let mut gradients = Vec::new();
    for (name, tensor) in variables {
        match gradient(tensor)? {
            Some(gradient) if gradient.is_sparse() => {
                gradients.push((name, tensor, gradient.f_to_dense(None, false)?))
            }
            Some(gradient) => gradients.push((name, tensor, copy(&gradient)?)),
            None => compared.without.push(name.clone()),
        }
    }
    clear_gradients(&tensors)?;
    compared.with_gradient = gradients.len();
    let begun = Instant::now();
    for (number, (name, tensor, gradient)) in gradients.into_iter().enumerate() {
        if begun.elapsed() > patience {
            break;
        }
        seed(1000 + number as u64)?;
        let direction = no_grad(|| -> Checked<Tensor> {
            let random = tensor.f_randn_like()?;
            Ok(random.f_div(&random.f_norm()?)?)
        })?;
        let expected = no_grad(|| -> Checked<f64> {
            let product = gradient.f_to_kind(Kind::Double)?.f_mul(&direction.f_to_kind(Kind::Double)?)?;
            Ok(product.f_sum(Kind::Double)?.f_double_value(&[])?)
        })?;
        let saved = copy(tensor)?;
        let mut along = |step: f64| -> Checked<f64> {
            let moved = no_grad(|| saved.f_add(&direction.f_mul_scalar(step)?))?;
            set(tensor, &moved)?;
            let found = value()?.f_double_value(&[]);
            set(tensor, &saved)?;
            Ok(found?)
        };
        let mut by_steps = |step: f64| -> Checked<f64> { Ok((along(step)? - along(-step)?) / (2.0 * step)) };
        let found = by_steps(precision.step)?;
        let size_of_both = found.abs().max(expected.abs());
        // A NaN is never within.
        let within =
            |off: f64, share: f64| off.abs() <= share * size_of_both + precision.of_value * (1.0 + size);
        if !within(found - expected, precision.relative) {
            // Steps of another length give the same derivative, or the value is rounded.
            if precision
                .coarser
                .is_some_and(|step| by_steps(step).is_ok_and(|again| !within(found - again, 1e-3)))
            {
                return Ok(None);
            }
            return Err(Complaint::new(format!("the gradient of `{name}` is not the derivative"))
                .found(format!("{expected:.6e} along a random direction, by backward"))
                .expected(format!("{found:.6e}, by finite differences in {}", precision.name))
                .help("look for an operation outside autograd: a detached tensor, a wrong backward of an operation of your own, values changed in place")
                .into());
        }
        compared.compared += 1;
    }
    Ok(Some(compared))
}

fn set(tensor: &Tensor, values: &Tensor) -> Checked<()> {
    no_grad(|| tensor.shallow_clone().f_copy_(values))?;
    Ok(())
}

/// Makes all numbers of a component float64, in place.
pub(super) fn to_double(parameters: &[Parameter]) -> Checked<()> {
    for parameter in parameters.iter().filter(|parameter| parameter.alias_of.is_none()) {
        if parameter.tensor.kind() == Kind::Float {
            let double = no_grad(|| parameter.tensor.f_detach()?.f_to_kind(Kind::Double))?;
            parameter.tensor.shallow_clone().f_set_data(&double)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::super::finding::Stop;
    use super::*;

    fn variable() -> NamedTensors {
        let values = Tensor::from_slice(&[0.5, -1.0, 2.0]).to_kind(Kind::Double);
        vec![("x".to_owned(), values.set_requires_grad(true))]
    }

    #[test]
    fn a_right_gradient_passes_and_a_wrong_one_is_found() {
        let variables = variable();
        let x = variables[0].1.shallow_clone();
        let patience = Duration::from_secs(5);
        let mut right = || Ok((&x * &x * &x).sum(Kind::Double));
        assert_eq!(compare(&variables, DOUBLE, patience, &mut right).ok().unwrap().unwrap().compared, 1);
        // Half of the value is not followed by backward.
        let mut wrong = || Ok((&x * x.detach() * 2.0).sum(Kind::Double));
        let Err(Stop::Fail(_)) = compare(&variables, DOUBLE, patience, &mut wrong) else {
            panic!("a wrong gradient passes")
        };
        // A value that is rounded to float32 on the way says nothing of so small steps.
        let mut rounded = || Ok((&x * &x * &x).to_kind(Kind::Float).sum(Kind::Double) * 1000.0);
        assert!(compare(&variables, DOUBLE, patience, &mut rounded).ok().unwrap().is_none());
        let mut without = || Ok(x.detach().sum(Kind::Double));
        assert_eq!(compare(&variables, DOUBLE, patience, &mut without).ok().unwrap().unwrap().without, ["x"]);
    }

    #[test]
    fn parameters_become_double_in_place() {
        let mut parameters = crate::Parameters::new();
        let mine = parameters.trainable("w", Tensor::ones([2], (Kind::Float, Device::Cpu))).unwrap();
        let all: Vec<Parameter> = parameters
            .iter()
            .map(|one| Parameter {
                name: one.name.clone(),
                tensor: one.tensor.shallow_clone(),
                trainable: one.trainable,
                buffer: one.buffer,
                alias_of: None,
            })
            .collect();
        to_double(&all).ok().unwrap();
        assert_eq!((mine.kind(), mine.requires_grad()), (Kind::Double, true));
    }
}
