//! One call of a component, with a check of what it gives.

use tch::{Kind, Tensor, no_grad};

use crate::{Batch, Encoder, Error, Feature, Features, Head, HeadOutput, Metric, Output, Pass, Result};

/// The features of a batch: in training mode with history, else without.
///
/// # Errors
/// When the encoder returns an error, or gives a feature that is not as it said: of another last dimension, of another number of
/// rows than the batch, or not announced at all.
pub fn encode<E: Encoder>(encoder: &mut E, batch: &Batch, training: bool) -> Result<Features> {
    let features = in_mode(training, |pass| encoder.forward(batch, pass))?;
    let sizes = encoder.feature_sizes();
    let rows = batch.fields.first().map(|field| Ok::<_, Error>(field.ids()?.size()[0])).transpose()?;
    for (name, feature) in features.iter() {
        let shape = shape_of(feature)?;
        let Some(size) = sizes.get(name) else {
            let known: Vec<_> = sizes.keys().map(String::as_str).collect();
            return Err(Error::new(format!(
                "the encoder gives a feature `{name}` of which its feature_sizes say nothing, only of {}",
                known.join(", ")
            )));
        };
        if shape.last() != Some(size) {
            return Err(Error::new(format!(
                "feature `{name}` has shape {shape:?}: expected a last dimension of {size}, as feature_sizes say"
            )));
        }
        if shape.len() > 1 && rows.is_some_and(|rows| shape[0] != rows) {
            return Err(Error::new(format!(
                "feature `{name}` has shape {shape:?}: expected a row for each of the {} sentences",
                rows.unwrap_or_default()
            )));
        }
    }
    Ok(features)
}

fn shape_of(feature: &Feature) -> Result<Vec<i64>> {
    match feature {
        Feature::Tensor(tensor) => Ok(tensor.size()),
        Feature::Projection(projection) => {
            let (mut shape, weight) = (projection.input.size(), projection.weight.size());
            match (shape.last_mut(), weight.as_slice()) {
                (Some(last), [rows, columns]) if last == columns => *last = *rows,
                _ => {
                    return Err(Error::new(format!(
                        "a projection has an input of shape {:?} and a weight of shape {weight:?}: expected [.., K] and [V, K]",
                        projection.input.size()
                    )));
                }
            }
            Ok(shape)
        }
    }
}

/// What a head makes of the features of a batch: in training mode with history, else without.
///
/// # Errors
/// When the head returns an error, its loss or another scalar is no finite one, or it wants a metric of an output that it does not give.
pub fn predict<H: Head>(
    head: &mut H,
    features: &Features,
    batch: &Batch,
    training: bool,
) -> Result<HeadOutput> {
    let output = in_mode(training, |pass| head.forward(features, batch, pass))?;
    scalar("loss", &output.loss)?;
    if let Some(count) = &output.averaged_over {
        scalar("number of items that the loss is the mean over", count)?;
    }
    for (name, value) in &output.scalars {
        scalar(name, value)?;
    }
    for wanted in head.metrics() {
        if !output.outputs.iter().any(|output| output.name == wanted.output) {
            let given: Vec<_> = output.outputs.iter().map(|output| output.name.as_str()).collect();
            return Err(Error::new(format!(
                "the head wants {} of an output `{}`, and gives only {}",
                wanted.class_name,
                wanted.output,
                if given.is_empty() { "none".to_owned() } else { given.join(", ") }
            )));
        }
    }
    Ok(output)
}

fn scalar(name: &str, tensor: &Tensor) -> Result<()> {
    let shape = tensor.size();
    if !shape.is_empty() {
        return Err(Error::new(format!("the {name} has shape {shape:?}: expected a scalar")));
    }
    let value = f64::try_from(&tensor.f_to_kind(Kind::Double)?)?;
    if !value.is_finite() {
        return Err(Error::new(format!("the {name} is {value}: expected a finite number")));
    }
    Ok(())
}

fn in_mode<T>(training: bool, f: impl FnOnce(&mut Pass) -> Result<T>) -> Result<T> {
    let mut pass = Pass::new(training, false);
    if training { f(&mut pass) } else { no_grad(|| f(&mut pass)) }
}

/// An output of a head over tokens with these figures, as a metric reads it.
///
/// # Errors
/// When the three differ in length.
pub fn output(name: &str, nll: &[f32], probability: &[f32], correct: &[bool]) -> Result<Output> {
    let lengths = [nll.len(), probability.len(), correct.len()];
    if lengths.iter().any(|length| *length != lengths[0]) {
        return Err(Error::new(format!(
            "an output has one figure a token: found {} for nll, {} for probability, {} for correct",
            lengths[0], lengths[1], lengths[2]
        )));
    }
    let positions: Vec<i64> = (0..nll.len() as i64).collect();
    Ok(Output::new(
        name,
        vec![
            (Output::POSITIONS.to_owned(), Tensor::from_slice(&positions)),
            (Output::NLL.to_owned(), Tensor::from_slice(nll)),
            (Output::PROBABILITY.to_owned(), Tensor::from_slice(probability)),
            (Output::CORRECT.to_owned(), Tensor::from_slice(correct)),
        ],
    ))
}

/// The value of a metric over the outputs of several batches: contributions are summed as the host sums them.
///
/// # Errors
/// When the metric returns an error, or a contribution is not of one length, one dimension and float64.
pub fn measure<M: Metric>(metric: &M, outputs: &[Output]) -> Result<Option<f64>> {
    let mut total: Option<Vec<f64>> = None;
    for output in outputs {
        let contribution = no_grad(|| metric.contribution(output))?;
        let (kind, shape) = (contribution.kind(), contribution.size());
        if kind != Kind::Double || shape.len() != 1 {
            return Err(Error::new(format!(
                "a contribution has shape {shape:?} and kind {kind:?}: expected one dimension and Double"
            )));
        }
        let values = Vec::<f64>::try_from(&contribution)?;
        let total = total.get_or_insert_with(|| vec![0.0; values.len()]);
        if total.len() != values.len() {
            return Err(Error::new(format!(
                "a contribution has {} sums and one before it had {}",
                values.len(),
                total.len()
            )));
        }
        for (total, value) in total.iter_mut().zip(values) {
            *total += value;
        }
    }
    let total = total.ok_or_else(|| Error::new("a metric is measured over at least one output"))?;
    Ok(metric.value(&total))
}
