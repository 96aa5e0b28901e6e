//! Gradients of a head, by its features and its parameters, and what of it is saved.

use kiwi_torch_ext::gradients::{clear_gradients, gradient};
use tch::{Kind, Tensor, no_grad};

use super::super::batches::UNEQUAL;
use super::super::compare::first_difference;
use super::super::encoder::copy_values;
use super::super::finding::{Checked, Complaint, Seen, Stop};
use super::super::gradients::{Compared, DOUBLE, Precision, SINGLE, backward, compare, to_double};
use super::super::subject::Subject;
use super::features::Made;
use super::forward::everything;
use super::{Opened, open};
use crate::Batch;
use crate::abi::host::allowing_float64;

fn compared(
    subject: &Subject<'_>,
    opened: &mut Opened,
    (batch, made): (&Batch, &Made),
    precision: Precision,
) -> Checked<Option<Compared>> {
    let mut variables: Vec<(String, Tensor)> =
        opened.trainable()?.into_iter().map(|one| (one.name, one.tensor)).collect();
    let features = made.leaves().into_iter().map(|(name, tensor)| (format!("the feature {name}"), tensor));
    variables.extend(features);
    let mut value = || Ok(opened.seeded_forward(made, batch, true, 3)?.loss.f_sum(Kind::Double)?);
    compare(&variables, precision, subject.settings.patience, &mut value)
}

/// Backward gives the derivatives of the loss by features and parameters.
pub(in super::super) fn gradients(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    let (batch, made) = opened.input(subject, UNEQUAL)?;
    let double = made.doubled()?;
    to_double(&opened.instance.parameters()?)?;
    let exact = allowing_float64(|| {
        let output = opened.seeded_forward(&double, &batch, true, 3);
        let doubles = output.is_ok_and(|output| output.loss.kind() == Kind::Double);
        if doubles { compared(subject, &mut opened, (&batch, &double), DOUBLE) } else { Ok(None) }
    })?;
    let compared = match exact {
        Some(exact) => Some(exact),
        None => compared(subject, &mut open(subject, 1)?, (&batch, &made), SINGLE)?,
    };
    let compared = compared.ok_or_else(|| Stop::skip("its values are too coarse"))?;
    if compared.without.is_empty() {
        return Ok(compared.seen("features and parameters"));
    }
    Ok(compared
        .seen("features and parameters")
        .note(format!("without a gradient: {}", compared.without.join(", "))))
}

/// Which parameters get a gradient.
pub(in super::super) fn trainable(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    let trained = opened.trainable()?;
    if trained.is_empty() {
        return Ok(Seen::new("it has no parameter that trains"));
    }
    let (batch, made) = opened.input(subject, UNEQUAL)?;
    backward(&opened.seeded_forward(&made, &batch, true, 3)?.loss)?;
    let mut without = Vec::new();
    for one in &trained {
        if gradient(&one.tensor)?.is_none() {
            without.push(format!("`{}`", one.name));
        }
    }
    if without.len() == trained.len() {
        return Err(Complaint::new("no parameter gets a gradient")
            .found(without.join(", "))
            .expected("a loss that follows the parameters")
            .help("compute with the tensors that `Parameters::trainable` returned")
            .into());
    }
    let seen = Seen::new(format!(
        "{} of {} parameters get a gradient",
        trained.len() - without.len(),
        trained.len()
    ));
    Ok(if without.is_empty() {
        seen
    } else {
        seen.note(format!("without a gradient: {}", without.join(", ")))
    })
}

/// Parameters, buffers and what it keeps besides are all there is to it.
pub(in super::super) fn saved(subject: &Subject<'_>) -> Checked {
    let mut first = open(subject, 1)?;
    let (batch, made) = first.input(subject, UNEQUAL)?;
    for seeded in 0..3 {
        let output = first.seeded_forward(&made, &batch, true, seeded)?;
        backward(&output.loss)?;
    }
    let trained: Vec<Tensor> = first.trainable()?.into_iter().map(|one| one.tensor).collect();
    clear_gradients(&trained)?;
    let (tensors, extra) = (first.instance.parameters()?, first.instance.extra()?);
    let mut second = open(subject, 2)?;
    copy_values(&tensors, &second.instance.parameters()?)?;
    if let Some(extra) = &extra {
        second.instance.load_extra(extra)?;
    }
    let (expected, found) = no_grad(|| {
        let expected = everything(&first.seeded_forward(&made, &batch, false, 6)?)?;
        Ok::<_, Stop>((expected, everything(&second.seeded_forward(&made, &batch, false, 6)?)?))
    })?;
    if let Some(differs) = first_difference(&expected, &found)? {
        return Err(Complaint::new("an instance with the saved state of another computes other numbers")
            .found(differs)
            .expected("the same bits: parameters, buffers and `extra` are all that a saved system holds")
            .help("name everything that changes in training in `parameters` or `extra`")
            .into());
    }
    Ok(Seen::new(format!("{} tensors make another instance the same", tensors.len())))
}
