//! Gradients of an encoder: right, and there.

use std::collections::BTreeMap;

use kiwi_torch_ext::gradients::gradient;
use tch::{Kind, Tensor, no_grad};

use super::super::batches::UNEQUAL;
use super::super::finding::{Checked, Complaint, Seen, Stop};
use super::super::gradients::{Compared, DOUBLE, Precision, SINGLE, backward, compare, to_double};
use super::super::subject::{Subject, seed};
use super::{Opened, of_words, open};
use crate::abi::host::allowing_float64;
use crate::{Batch, Features};

/// A scalar that every number of every feature at a word is part of, each with a weight of its own.
fn weighed(batch: &Batch, features: &Features, weights: &mut BTreeMap<String, Tensor>) -> Checked<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (name, feature) in features.iter() {
        let tensor = of_words(batch, name, feature)?;
        if !weights.contains_key(name) {
            seed(500 + weights.len() as u64)?;
            let random = no_grad(|| tensor.f_detach()?.f_to_kind(Kind::Double)?.f_randn_like())?;
            weights.insert(name.to_owned(), random);
        }
        let Some(weight) = weights.get(name) else { continue };
        let product = tensor.f_to_kind(Kind::Double)?.f_mul(weight)?.f_sum(Kind::Double)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&product)?,
            None => product,
        });
    }
    sum.ok_or_else(|| Complaint::new("it gives no feature").into())
}

/// Compares the gradients of a fresh encoder.
fn compared(subject: &Subject<'_>, opened: &mut Opened, precision: Precision) -> Checked<Option<Compared>> {
    let batch = opened.batch(subject, UNEQUAL, 1)?;
    let variables = opened.trainable()?.into_iter().map(|one| (one.name, one.tensor)).collect();
    let mut weights = BTreeMap::new();
    let mut value = || {
        let features = opened.fresh_forward(&batch, true, 3)?;
        weighed(&batch, &features, &mut weights)
    };
    compare(&variables, precision, subject.settings.patience, &mut value)
}

/// Backward gives the derivatives of the features by the parameters.
pub(in super::super) fn gradients(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    if opened.trainable()?.is_empty() {
        return Err(Stop::skip("it has no parameter that trains"));
    }
    let all = opened.instance.parameters()?;
    to_double(&all)?;
    let batch = opened.batch(subject, UNEQUAL, 1)?;
    let exact = allowing_float64(|| {
        let doubles = opened.fresh_forward(&batch, true, 3).is_ok_and(|features| {
            features
                .iter()
                .all(|(_, feature)| feature.materialize().is_ok_and(|tensor| tensor.kind() == Kind::Double))
        });
        if doubles { compared(subject, &mut opened, DOUBLE) } else { Ok(None) }
    })?;
    let compared = match exact {
        Some(exact) => Some(exact),
        None => compared(subject, &mut open(subject, 1)?, SINGLE)?,
    };
    compared
        .map(|compared| compared.seen("parameters"))
        .ok_or_else(|| Stop::skip("its values are too coarse"))
}

/// Which parameters get a gradient when all features are read.
pub(in super::super) fn trainable(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    let trained = opened.trainable()?;
    if trained.is_empty() {
        return Ok(Seen::new("it has no parameter that trains"));
    }
    let batch = opened.batch(subject, UNEQUAL, 1)?;
    let features = opened.fresh_forward(&batch, true, 3)?;
    let value = weighed(&batch, &features, &mut BTreeMap::new())?;
    if value.requires_grad() {
        backward(&value)?;
    }
    let mut without = Vec::new();
    for one in &trained {
        if gradient(&one.tensor)?.is_none() {
            without.push(format!("`{}`", one.name));
        }
    }
    if without.len() == trained.len() {
        return Err(Complaint::new("no parameter gets a gradient, though all its features are read")
            .found(without.join(", "))
            .expected("features that follow the parameters")
            .help("compute with the tensors that `Parameters::trainable` returned")
            .into());
    }
    let frozen = opened.instance.parameters()?;
    for one in frozen.iter().filter(|one| !one.trainable && one.alias_of.is_none()) {
        if gradient(&one.tensor)?.is_some() {
            return Err(Complaint::new(format!("`{}` does not train, and gets a gradient", one.name))
                .help("give it by `Parameters::frozen` or `Parameters::buffer`, which take it out of the history")
                .into());
        }
    }
    let seen = Seen::new(format!(
        "{} of {} parameters get a gradient",
        trained.len() - without.len(),
        trained.len()
    ));
    Ok(if without.is_empty() {
        seen
    } else {
        seen.note(format!("without a gradient though all features are read: {}", without.join(", ")))
    })
}
