//! What of an encoder is saved, and what it carries from batch to batch.

use kiwi_torch_ext::gradients::clear_gradients;
use tch::{Kind, Tensor, no_grad};

use super::super::batches::UNEQUAL;
use super::super::compare::{copy, first_difference};
use super::super::finding::{Checked, Complaint, Seen, Stop};
use super::super::gradients::backward;
use super::super::subject::{Subject, seed};
use super::forward::everything;
use super::{Opened, open};
use crate::{Batch, NamedTensors, Parameter};

/// Parameters, buffers and what it keeps besides are all there is to it: with them another instance computes the same.
pub(in super::super) fn saved(subject: &Subject<'_>) -> Checked {
    let mut first = open(subject, 1)?;
    let batch = first.batch(subject, UNEQUAL, 1)?;
    for salt in 0..3 {
        let trained = first.batch(subject, UNEQUAL, salt)?;
        everything(&mut first, &trained, true, 5)?;
    }
    let (tensors, extra) = (first.instance.parameters()?, first.instance.extra()?);
    let mut second = open(subject, 2)?;
    copy_values(&tensors, &second.instance.parameters()?)?;
    if let Some(extra) = &extra {
        second.instance.load_extra(extra)?;
        let again = second.instance.extra()?;
        if again.as_ref() != Some(extra) {
            return Err(Complaint::new("what it keeps besides parameters is another after it was loaded")
                .found(again.map_or_else(|| "nothing".to_owned(), |again| again.to_string()))
                .expected(extra.to_string())
                .into());
        }
    }
    let (expected, found) = no_grad(|| {
        Ok::<_, Stop>((everything(&mut first, &batch, false, 6)?, everything(&mut second, &batch, false, 6)?))
    })?;
    if let Some(differs) = first_difference(&expected, &found)? {
        return Err(Complaint::new("an instance with the saved state of another computes other numbers")
            .found(differs)
            .expected("the same bits: parameters, buffers and `extra` are all that a saved system holds")
            .help("name everything that changes in training in `parameters` or `extra`")
            .into());
    }
    Ok(Seen::new(match extra {
        Some(_) => format!("{} tensors and its own JSON make another instance the same", tensors.len()),
        None => format!("{} tensors make another instance the same", tensors.len()),
    }))
}

/// Copies the values of tensors to those of the same names.
pub(in super::super) fn copy_values(from: &[Parameter], to: &[Parameter]) -> Checked<()> {
    for one in from.iter().filter(|one| one.alias_of.is_none()) {
        let Some(other) = to.iter().find(|other| other.name == one.name) else {
            return Err(Complaint::new(format!(
                "an instance of the same options has no tensor `{}`",
                one.name
            ))
            .expected("the same names for the same options")
            .into());
        };
        if other.tensor.size() != one.tensor.size() {
            return Err(Complaint::new(format!(
                "`{}` has another shape in an instance of the same options",
                one.name
            ))
            .found(format!("{:?}", other.tensor.size()))
            .expected(format!("{:?}", one.tensor.size()))
            .into());
        }
        no_grad(|| other.tensor.shallow_clone().f_copy_(&one.tensor))?;
    }
    Ok(())
}

/// What it carries from batch to batch is forgotten and cut off when it is told so, and evaluation has its own.
pub(in super::super) fn carried(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    if !opened.needs.carries_state {
        return Err(Stop::skip("it says that it carries nothing from batch to batch"));
    }
    let expected = two_batches(subject, &mut opened, false)?;
    let again = two_batches(subject, &mut opened, false)?;
    if let Some(differs) = first_difference(&expected, &again)? {
        return Err(Complaint::new("it does not forget what it carries when it is told so")
            .found(differs)
            .expected("the same bits after `reset_state`")
            .into());
    }
    let validated = two_batches(subject, &mut opened, true)?;
    if let Some(differs) = first_difference(&expected, &validated)? {
        return Err(Complaint::new(
            "an evaluation between two training batches changes what training carries",
        )
        .found(differs)
        .expected("a state of its own for evaluation")
        .help("keep two states, and choose by `Pass::training`")
        .into());
    }
    let resumable = resumed(subject, &mut opened)?;
    opened.instance.close()?;
    let seen =
        Seen::new("it forgets and cuts off what it carries when told, and evaluation has a state of its own");
    Ok(seen.note(match resumable {
        Some(count) => {
            format!("what it carries can be saved, {count} tensors, and another instance goes on with it")
        }
        None => "what it carries cannot be saved: runs are resumed from the ends of epochs only".to_owned(),
    }))
}

/// Another instance goes on with what is saved of the carried state; how many tensors that is, if it can be saved.
fn resumed(subject: &Subject<'_>, opened: &mut Opened) -> Checked<Option<usize>> {
    let (first, second) = (opened.batch(subject, UNEQUAL, 1)?, opened.batch(subject, UNEQUAL, 2)?);
    everything(opened, &first, true, 5)?;
    opened.instance.detach_state()?;
    let Some(state) = opened.instance.carried_state()? else { return Ok(None) };
    let state: NamedTensors =
        state.iter().map(|(name, tensor)| Ok((name.clone(), copy(tensor)?))).collect::<Checked<_>>()?;
    let expected = carried_on(opened, &second)?;
    let mut other = open(subject, 2)?;
    copy_values(&opened.instance.parameters()?, &other.instance.parameters()?)?;
    other.instance.load_carried_state(&state)?;
    if let Some(differs) = first_difference(&expected, &carried_on(&mut other, &second)?)? {
        return Err(Complaint::new(
            "an instance that was given the saved carried state goes on with other numbers",
        )
        .found(differs)
        .expected("the same bits: `carried_state` is all that a resume point keeps of it")
        .into());
    }
    Ok(Some(state.len()))
}

/// The second of two training batches, carried on from the first; with an evaluation between them or without.
fn two_batches(subject: &Subject<'_>, opened: &mut Opened, validated: bool) -> Checked<NamedTensors> {
    let (first, second) = (opened.batch(subject, UNEQUAL, 1)?, opened.batch(subject, UNEQUAL, 2)?);
    everything(opened, &first, true, 5)?;
    opened.instance.detach_state()?;
    if validated {
        opened.instance.reset_state(false)?;
        no_grad(|| opened.instance.forward(&second, false))?;
    }
    carried_on(opened, &second)
}

/// What comes of a training batch with what is carried.
fn carried_on(opened: &mut Opened, second: &Batch) -> Checked<NamedTensors> {
    seed(6)?;
    let features = opened.instance.forward(second, true)?;
    let mut all = Vec::new();
    let mut sum: Option<Tensor> = None;
    for (name, feature) in features.iter() {
        let tensor = super::of_words(second, name, feature)?;
        let of_feature = tensor.f_sum(Kind::Float)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&of_feature)?,
            None => of_feature,
        });
        all.push((name.to_owned(), tensor.f_detach()?));
    }
    // Backward into what was cut off would fail: its history is freed.
    if let Some(sum) = sum.filter(Tensor::requires_grad) {
        backward(&sum).map_err(|stop| stop.during("backward of a second batch, after `detach_state`"))?;
        let trained: Vec<Tensor> = opened.trainable()?.into_iter().map(|one| one.tensor).collect();
        clear_gradients(&trained)?;
    }
    Ok(all)
}
