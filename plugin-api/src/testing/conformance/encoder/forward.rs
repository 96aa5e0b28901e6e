//! The features of an encoder: their names, shapes and types; and what two passes have in common.

use std::collections::BTreeSet;

use kiwi_torch_ext::gradients::gradient;
use tch::{Kind, Tensor, no_grad};

use super::super::batches::{SHAPES, UNEQUAL};
use super::super::compare::{copy, finite, first_difference};
use super::super::finding::{Checked, Complaint, Seen, Stop};
use super::super::gradients::backward;
use super::super::subject::Subject;
use super::{Opened, field_of, of_words, open, open_with, small};
use crate::{Batch, Feature, Features, NamedTensors};

/// Batches of all shapes give the features that it describes, in training and in evaluation.
pub(in super::super) fn work(subject: &Subject<'_>) -> Checked {
    let mut opened = open_with(subject, subject.config()?, 1, None)?;
    let trains = !opened.trainable()?.is_empty();
    let mut given = BTreeSet::new();
    for shape in &SHAPES {
        let batch = opened.batch(subject, shape, 1)?;
        for training in [true, false] {
            let during = |stop: Stop| stop.during(format!("on {} in {}", shape.name, mode(training)));
            let features = if training {
                opened.fresh_forward(&batch, true, 1)
            } else {
                no_grad(|| opened.fresh_forward(&batch, false, 1))
            };
            let features = features.map_err(during)?;
            sound(subject, &opened, &batch, &features).map_err(during)?;
            if training && trains && !follows(&features)? {
                return Err(during(
                    Complaint::new("no feature follows its parameters, so that nothing can be trained")
                        .expected("features that require gradients, in training")
                        .help("compute with the tensors that `Parameters::trainable` returned, with gradients on")
                        .into(),
                ));
            }
            given.extend(features.iter().map(|(name, _)| name.to_owned()));
        }
    }
    opened.instance.close()?;
    let names: Vec<String> = given.into_iter().collect();
    Ok(Seen::new(format!("batches of {} shapes give {}", SHAPES.len(), names.join(", "))))
}

pub(super) fn mode(training: bool) -> &'static str {
    if training { "training" } else { "evaluation" }
}

fn follows(features: &Features) -> Checked<bool> {
    for (_, feature) in features.iter() {
        if feature.materialize()?.requires_grad() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every feature is one that was described, of the size that was said, and those that were described are there.
fn sound(subject: &Subject<'_>, opened: &Opened, batch: &Batch, features: &Features) -> Checked<()> {
    let mut names = BTreeSet::new();
    for (name, feature) in features.iter() {
        if !names.insert(name) {
            return Err(Complaint::new(format!("it gives the feature `{name}` twice")).into());
        }
        let Some(size) = opened.sizes().get(name) else {
            let known: Vec<&str> = opened.sizes().keys().map(String::as_str).collect();
            return Err(Complaint::new(format!("it gives the feature `{name}`, which it does not describe"))
                .expected(format!("one of {}", known.join(", ")))
                .help("name it in `feature_sizes`, with its last dimension")
                .into());
        };
        shaped(batch, name, feature, *size)?;
        let tensor = feature.materialize()?;
        if tensor.device() != subject.device() {
            return Err(Complaint::new(format!("its feature `{name}` is on another device than the batch"))
                .found(format!("{:?}", tensor.device()))
                .expected(format!("{:?}", subject.device()))
                .into());
        }
        finite(&format!("its feature `{name}`"), &of_words(batch, name, feature)?)?;
    }
    // Features of a field that the batch lacks may be missing.
    let absent = |name: &&String| name.starts_with("pe") && batch.find("pe").is_none();
    match opened.sizes().keys().find(|name| !names.contains(name.as_str()) && !absent(name)) {
        Some(missing) => {
            Err(Complaint::new(format!("it describes the feature `{missing}` and does not give it"))
                .found(if names.is_empty() {
                    "no feature".to_owned()
                } else {
                    names.into_iter().collect::<Vec<_>>().join(", ")
                })
                .expected("every feature that it describes, since all are asked for")
                .help("give it, or take it out of `feature_sizes`")
                .into())
        }
        None => Ok(()),
    }
}

fn shaped(batch: &Batch, name: &str, feature: &Feature, size: i64) -> Checked<()> {
    let tensor = feature.materialize()?;
    let found = tensor.size();
    let rows = batch.fields.first().and_then(|field| field.ids().ok()).map_or(0, |ids| ids.size()[0]);
    let fits = match found.as_slice() {
        [b, width, last] => *b == rows && *last == size && field_of(batch, name, *width).is_some(),
        // One vector a sentence: a feature without positions, which none of the well-known ones is.
        [b, last] => *b == rows && *last == size && !known(name),
        _ => false,
    };
    if !fits {
        let widths: Vec<String> = batch
            .fields
            .iter()
            .filter_map(|field| Some(format!("{} of {}", field.ids().ok()?.size().get(1)?, field.name)))
            .collect();
        return Err(Complaint::new(format!("its feature `{name}` has another shape than it says"))
            .found(format!("{found:?}"))
            .expected(format!("[{rows}, T, {size}], T being one of {}", widths.join(", ")))
            .into());
    }
    if !matches!(tensor.kind(), Kind::Float | Kind::Double) {
        return Err(Complaint::new(format!("its feature `{name}` is of {:?}", tensor.kind()))
            .expected("float32")
            .into());
    }
    Ok(())
}

/// Whether heads rely on the shape of a feature of this name.
fn known(name: &str) -> bool {
    name == "target" || name.ends_with("_logits")
}

/// Each feature is given when it alone is asked for.
pub(in super::super) fn wanted(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    let names: Vec<String> = opened.sizes().keys().cloned().collect();
    let batch = opened.batch(subject, UNEQUAL, 1)?;
    let all = opened.fresh_forward(&batch, false, 1)?;
    for name in &names {
        let mut one = open_with(subject, small(subject)?, 1, Some(BTreeSet::from([name.clone()])))?;
        let features = one.fresh_forward(&batch, false, 1)?;
        let Ok(alone) = features.get(name) else {
            return Err(Complaint::new(format!(
                "it does not give the feature `{name}` when no other is wanted"
            ))
            .help("what `EncoderContext::wants` says of one feature says nothing of the others")
            .into());
        };
        let (alone, among) = (of_words(&batch, name, alone)?, of_words(&batch, name, all.get(name)?)?);
        let (agree, off) = super::super::compare::agree(&among, &alone, 1e-4)?;
        if !agree {
            return Err(Complaint::new(format!("its feature `{name}` is another when no other is wanted"))
                .found(format!("off by {off:.3e}"))
                .expected("the same numbers, from the same seed")
                .into());
        }
    }
    Ok(Seen::new("each feature is given and is the same when it alone is wanted"))
}

/// Tensors of features, and gradients where there are some, by name.
pub(super) fn everything(
    opened: &mut Opened,
    batch: &Batch,
    training: bool,
    seeded: u64,
) -> Checked<NamedTensors> {
    let features = opened.fresh_forward(batch, training, seeded)?;
    let mut all: NamedTensors = Vec::new();
    let mut sum: Option<Tensor> = None;
    for (name, feature) in features.iter() {
        let tensor = of_words(batch, name, feature)?;
        let of_feature = tensor.f_sum(Kind::Float)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&of_feature)?,
            None => of_feature,
        });
        all.push((name.to_owned(), tensor.f_detach()?));
    }
    if let Some(sum) = sum.filter(|sum| training && sum.requires_grad()) {
        backward(&sum)?;
        let trained = opened.trainable()?;
        for one in &trained {
            if let Some(gradient) = gradient(&one.tensor)? {
                all.push((format!("the gradient of {}", one.name), copy(&gradient)?));
            }
        }
        let tensors: Vec<Tensor> = trained.into_iter().map(|one| one.tensor).collect();
        kiwi_torch_ext::gradients::clear_gradients(&tensors)?;
    }
    Ok(all)
}

/// The same seed gives the same bits, with dropout too.
pub(in super::super) fn determinism(subject: &Subject<'_>) -> Checked {
    let small = small(subject)?;
    let (config, dropouts) = subject.config_with_dropout(small)?;
    for config in [small, &config] {
        let mut opened = open_with(subject, config, 1, None)?;
        let batch = opened.batch(subject, UNEQUAL, 1)?;
        let first = everything(&mut opened, &batch, true, 7)?;
        let again = everything(&mut opened, &batch, true, 7)?;
        if let Some(differs) = first_difference(&first, &again)? {
            return Err(Complaint::new("the same seed gives other numbers in training")
                .found(differs)
                .expected("the same bits for the same batch after the same seed")
                .help(
                    "draw from libtorch's default generator only, before any thread of your own begins, and keep nothing from \
                     batch to batch unless `EncoderNeeds::carries_state` says so",
                )
                .into());
        }
    }
    Ok(Seen::new(match dropouts {
        0 => "the same seed gives the same bits in training".to_owned(),
        _ => format!(
            "the same seed gives the same bits in training, with dropout (set at {dropouts} places) too"
        ),
    }))
}

/// Evaluation draws nothing at random.
pub(in super::super) fn modes(subject: &Subject<'_>) -> Checked {
    let (config, dropouts) = subject.config_with_dropout(small(subject)?)?;
    let mut opened = open_with(subject, &config, 1, None)?;
    let batch = opened.batch(subject, UNEQUAL, 1)?;
    let mut evaluate = |seeded| no_grad(|| everything(&mut opened, &batch, false, seeded));
    let first = evaluate(7)?;
    let second = evaluate(8)?;
    if let Some(differs) = first_difference(&first, &second)? {
        return Err(Complaint::new("two evaluations of a batch give other numbers")
            .found(differs)
            .expected("the same bits, whatever the seed")
            .help("leave out dropout and the like unless `Pass::training` says so")
            .into());
    }
    Ok(Seen::new(match dropouts {
        0 => "two evaluations give the same bits".to_owned(),
        _ => "two evaluations give the same bits, whatever the seed and with dropout set".to_owned(),
    }))
}
