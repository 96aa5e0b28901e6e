//! Loss and figures of a head, and what they must not depend on.

use std::collections::BTreeSet;

use tch::{Kind, Tensor, no_grad};

use super::super::batches::{SHAPES, UNEQUAL};
use super::super::compare::{agree, finite, first_difference};
use super::super::finding::{Checked, Complaint, Seen, Stop};
use super::super::subject::Subject;
use super::{Opened, open, open_with, small};
use crate::{Batch, HeadOutput, NamedTensors, Output};

/// Batches of all shapes give a loss and the outputs that its metrics read.
pub(in super::super) fn work(subject: &Subject<'_>) -> Checked {
    let mut opened = open_with(subject, subject.config()?, 1)?;
    let metrics = opened.instance.metrics()?;
    let mut given = BTreeSet::new();
    let mut tried = 0;
    for shape in &SHAPES {
        let (batch, made) = opened.input(subject, shape)?;
        if !opened.reads(&batch) {
            continue;
        }
        tried += 1;
        for training in [true, false] {
            let during = |stop: Stop| {
                let mode = if training { "training" } else { "evaluation" };
                stop.during(format!("on {} in {mode}", shape.name))
            };
            let output = if training {
                opened.seeded_forward(&made, &batch, true, 1)
            } else {
                no_grad(|| opened.seeded_forward(&made, &batch, false, 1))
            };
            let output = output.map_err(during)?;
            sound(subject, &batch, &output, training).map_err(during)?;
            given.extend(output.outputs.iter().map(|one| one.name.clone()));
        }
    }
    if let Some(missing) = metrics.iter().find(|one| !given.contains(&one.output)) {
        let given: Vec<String> = given.into_iter().collect();
        return Err(Complaint::new(format!(
            "it asks for the metric {} of the output `{}`, which it does not give",
            missing.class_name, missing.output
        ))
        .found(if given.is_empty() { "no output".to_owned() } else { given.join(", ") })
        .help("give each output that `metrics` names, of the same name")
        .into());
    }
    opened.instance.close()?;
    let given: Vec<String> = given.into_iter().collect();
    Ok(Seen::new(format!("batches of {tried} shapes give a loss and the outputs {}", given.join(", "))))
}

fn sound(subject: &Subject<'_>, batch: &Batch, output: &HeadOutput, training: bool) -> Checked<()> {
    let loss = &output.loss;
    if !matches!(loss.kind(), Kind::Float | Kind::Double) || loss.device() != subject.device() {
        return Err(Complaint::new("its loss is of another type or on another device")
            .found(format!("{:?} on {:?}", loss.kind(), loss.device()))
            .expected(format!("float32 on {:?}", subject.device()))
            .into());
    }
    finite("its loss", loss)?;
    if training && !loss.requires_grad() {
        return Err(Complaint::new(
            "its loss follows neither features nor parameters, so that nothing can be trained",
        )
        .expected("a loss that requires gradients, in training")
        .help("compute the loss from features, with gradients on, and detach only the figures for metrics")
        .into());
    }
    let mut names = BTreeSet::new();
    for one in &output.outputs {
        if one.name.is_empty() || !names.insert(&one.name) {
            return Err(Complaint::new("two of its outputs have one name, or one has none")
                .found(format!("`{}`", one.name))
                .into());
        }
        figures(batch, one)?;
    }
    for (name, scalar) in &output.scalars {
        finite(&format!("its scalar `{name}`"), scalar)?;
    }
    Ok(())
}

/// The well-known figures of an output are of the types and the one length that metrics rely on.
fn figures(batch: &Batch, output: &Output) -> Checked<()> {
    let types = [
        (Output::POSITIONS, &[Kind::Int64][..]),
        (Output::NLL, &[Kind::Float, Kind::Double]),
        (Output::PROBABILITY, &[Kind::Float, Kind::Double]),
        (Output::CORRECT, &[Kind::Bool]),
    ];
    let mut length = None;
    for (name, kinds) in types {
        let Ok(tensor) = output.tensor(name) else { continue };
        let (size, kind) = (tensor.size(), tensor.kind());
        let fits = size.len() == 1 && kinds.contains(&kind) && *length.get_or_insert(size[0]) == size[0];
        if !fits {
            return Err(Complaint::new(format!(
                "the figure `{name}` of its output `{}` is of another shape or type",
                output.name
            ))
            .found(format!("{kind:?} of shape {size:?}"))
            .expected(format!("{:?} of shape [{}]", kinds[0], length.unwrap_or(0)))
            .help("figures are one number a counted position, the same positions in each")
            .into());
        }
        if kind != Kind::Bool {
            finite(&format!("the figure `{name}` of its output `{}`", output.name), tensor)?;
        }
        if tensor.requires_grad() {
            return Err(Complaint::new(format!(
                "the figure `{name}` of its output `{}` keeps its history",
                output.name
            ))
            .help("detach figures: metrics never differentiate, and the history takes memory")
            .into());
        }
    }
    let (Ok(positions), Some(field)) = (output.tensor(Output::POSITIONS), batch.find(&output.name)) else {
        return Ok(());
    };
    let most = field.ids()?.numel() as i64;
    let beyond = positions.numel() > 0
        && (positions.f_max()?.f_int64_value(&[])? >= most || positions.f_min()?.f_int64_value(&[])? < 0);
    if beyond {
        return Err(Complaint::new(format!(
            "a position of its output `{}` is outside the batch",
            output.name
        ))
        .expected(format!("flat positions b * T + t from 0 to {}", most - 1))
        .into());
    }
    Ok(())
}

/// All that comes of one pass, by name.
pub(super) fn everything(output: &HeadOutput) -> Checked<NamedTensors> {
    let mut all = vec![("the loss".to_owned(), output.loss.f_detach()?)];
    for one in &output.outputs {
        all.extend(
            one.tensors()
                .iter()
                .map(|(name, tensor)| (format!("{}.{name}", one.name), tensor.shallow_clone())),
        );
    }
    for (name, scalar) in &output.scalars {
        all.push((format!("the scalar {name}"), scalar.f_detach()?));
    }
    Ok(all)
}

/// The same seed gives the same bits, with dropout too.
pub(in super::super) fn determinism(subject: &Subject<'_>) -> Checked {
    let small = small(subject)?;
    let (config, dropouts) = subject.config_with_dropout(small)?;
    for config in [small, &config] {
        let mut opened = open_with(subject, config, 1)?;
        let (batch, made) = opened.input(subject, UNEQUAL)?;
        let pass = |opened: &mut Opened| everything(&opened.seeded_forward(&made, &batch, true, 7)?);
        let (first, again) = (pass(&mut opened)?, pass(&mut opened)?);
        if let Some(differs) = first_difference(&first, &again)? {
            return Err(Complaint::new("the same seed gives other numbers in training")
                .found(differs)
                .expected("the same bits for the same batch after the same seed")
                .help("draw from libtorch's default generator only, and keep nothing from batch to batch")
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
    let (config, _) = subject.config_with_dropout(small(subject)?)?;
    let mut opened = open_with(subject, &config, 1)?;
    let (batch, made) = opened.input(subject, UNEQUAL)?;
    let mut pass = |seeded| no_grad(|| everything(&opened.seeded_forward(&made, &batch, false, seeded)?));
    let (first, second) = (pass(7)?, pass(8)?);
    if let Some(differs) = first_difference(&first, &second)? {
        return Err(Complaint::new("two evaluations of a batch give other numbers")
            .found(differs)
            .expected("the same bits, whatever the seed")
            .help("leave out dropout and the like unless `Pass::training` says so")
            .into());
    }
    Ok(Seen::new("two evaluations give the same bits, whatever the seed"))
}

/// What an encoder gives at padding changes neither loss nor figures.
pub(in super::super) fn padding(subject: &Subject<'_>) -> Checked {
    let mut opened = open(subject, 1)?;
    let (batch, made) = opened.input(subject, UNEQUAL)?;
    let other = made.with_other_padding(&batch)?;
    let first = no_grad(|| everything(&opened.seeded_forward(&made, &batch, false, 1)?))?;
    let second = no_grad(|| everything(&opened.seeded_forward(&other, &batch, false, 1)?))?;
    for ((name, expected), (_, found)) in first.iter().zip(&second) {
        let comparable = expected.size() == found.size();
        let agrees = |a: &Tensor, b: &Tensor| agree(a, b, 1e-5);
        let (same, off) = if comparable { agrees(expected, found)? } else { (false, f64::INFINITY) };
        if !same {
            return Err(Complaint::new(format!("{name} depends on what features hold at padding"))
                .found(format!("off by {off:.3e}"))
                .expected("the same number, whatever stands behind the end of a sentence")
                .help("choose positions by `Field::counted`, `strict_mask` or `lengths` before anything is computed over them")
                .into());
        }
    }
    Ok(Seen::new("what features hold at padding changes nothing"))
}
