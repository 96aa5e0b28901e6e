//! Features that no encoder gave: random numbers of the shapes that one would have.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::super::batches::vocabulary_sizes;
use super::super::finding::{Checked, Stop};
use super::super::subject::seed;
use crate::{Batch, Feature, Features, Field, HeadNeeds, Output, Projection};

/// The encoder's hidden size.
pub(super) const HIDDEN_SIZE: i64 = 10;
/// Last dimension of a feature that is not logits.
const SIZE: i64 = 12;
/// Last dimension of what logits are projected from.
const PROJECTED: i64 = 7;
const LOGITS: &str = "_logits";

/// The sizes of the features that a head reads; of one that does not say, those of a usual encoder.
pub(super) fn feature_sizes(needs: &HeadNeeds) -> BTreeMap<String, i64> {
    let usual = || ["target", "target_logits", "pe_logits"].map(str::to_owned).to_vec();
    let names = needs.features.clone().unwrap_or_else(usual);
    let vocabularies = vocabulary_sizes();
    let size = |name: &str| match name.strip_suffix(LOGITS) {
        Some(field) => vocabularies.get(field).or(vocabularies.get("target")).copied().unwrap_or(SIZE),
        None => SIZE,
    };
    names.into_iter().map(|name| (name.clone(), size(&name))).collect()
}

/// Features for one batch: leaf tensors that require gradients.
pub(super) struct Made {
    parts: Vec<(String, Part)>,
}

enum Part {
    Tensor(Tensor),
    Projection { input: Tensor, weight: Tensor },
}

impl Made {
    pub(super) fn new(needs: &HeadNeeds, batch: &Batch, device: Device) -> Checked<Self> {
        seed(77)?;
        let random = |shape: &[i64]| -> Checked<Tensor> {
            let values = Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?.f_to(device)?;
            Ok(values.f_detach()?.f_set_requires_grad(true)?)
        };
        let mut parts = Vec::new();
        for (name, size) in feature_sizes(needs) {
            let Some(field) = field_of(batch, &name) else { continue };
            let shape = field.ids()?.size();
            let (rows, width) = (shape[0], shape[1]);
            let part = if name.ends_with(LOGITS) {
                Part::Projection {
                    input: random(&[rows, width, PROJECTED])?,
                    weight: random(&[size, PROJECTED])?,
                }
            } else {
                Part::Tensor(random(&[rows, width, size])?)
            };
            parts.push((name, part));
        }
        Ok(Self { parts })
    }

    /// The features, as an encoder gives them.
    pub(super) fn features(&self) -> Checked<Features> {
        let mut features = Features::new();
        for (name, part) in &self.parts {
            let feature = match part {
                Part::Tensor(tensor) => Feature::Tensor(tensor.shallow_clone()),
                Part::Projection { input, weight } => Feature::Projection(Projection {
                    input: input.shallow_clone(),
                    weight: weight.shallow_clone(),
                    bias: None,
                }),
            };
            features.push(name.as_str(), feature);
        }
        Ok(features)
    }

    /// The tensors that they are made of, by name.
    pub(super) fn leaves(&self) -> Vec<(String, Tensor)> {
        let mut leaves = Vec::new();
        for (name, part) in &self.parts {
            match part {
                Part::Tensor(tensor) => leaves.push((name.clone(), tensor.shallow_clone())),
                Part::Projection { input, weight } => {
                    leaves.push((format!("{name}.input"), input.shallow_clone()));
                    leaves.push((format!("{name}.weight"), weight.shallow_clone()));
                }
            }
        }
        leaves
    }

    /// The same features in float64, as new leaves.
    pub(super) fn doubled(&self) -> Checked<Self> {
        let double = |tensor: &Tensor| -> Checked<Tensor> {
            Ok(tensor.f_detach()?.f_to_kind(Kind::Double)?.f_set_requires_grad(true)?)
        };
        let part = |part: &Part| -> Checked<Part> {
            Ok(match part {
                Part::Tensor(tensor) => Part::Tensor(double(tensor)?),
                Part::Projection { input, weight } => {
                    Part::Projection { input: double(input)?, weight: double(weight)? }
                }
            })
        };
        let parts = self.parts.iter().map(|(name, one)| Ok((name.clone(), part(one)?)));
        Ok(Self { parts: parts.collect::<Checked<_>>()? })
    }

    /// The same features with other numbers where there is only padding.
    pub(super) fn with_other_padding(&self, batch: &Batch) -> Checked<Self> {
        let changed = |name: &str, tensor: &Tensor| -> Checked<Tensor> {
            let Some(field) = field_of(batch, name) else { return Ok(tensor.shallow_clone()) };
            let width = field.ids()?.size()[1];
            let positions = Tensor::f_arange(width, (Kind::Int64, Device::Cpu))?.f_unsqueeze(0)?;
            let padding = positions.f_ge_tensor(&field.lengths()?.f_unsqueeze(1)?)?;
            let padding = padding.f_to(tensor.device())?.f_unsqueeze(-1)?;
            Ok(tensor.f_detach()?.f_masked_fill(&padding, 1000.0)?.f_set_requires_grad(true)?)
        };
        let parts = self.parts.iter().map(|(name, part)| {
            let part = match part {
                Part::Tensor(tensor) => Part::Tensor(changed(name, tensor)?),
                Part::Projection { input, weight } => {
                    Part::Projection { input: changed(name, input)?, weight: weight.shallow_clone() }
                }
            };
            Ok::<_, Stop>((name.clone(), part))
        });
        Ok(Self { parts: parts.collect::<Checked<_>>()? })
    }
}

/// The field whose positions a feature of this name is about.
fn field_of<'a>(batch: &'a Batch, name: &str) -> Option<&'a Field> {
    let field = name.strip_suffix(LOGITS).unwrap_or(name);
    match field {
        "pe" => batch.find("pe"),
        "source" => batch.find("source"),
        _ => batch.find("target"),
    }
}

/// An output of a head over one sentence of `count` words, with the figures that metrics read.
pub(in super::super) fn output_for(count: i64, salt: u64, device: Device) -> Checked<Output> {
    seed(900 + salt)?;
    let nll = Tensor::f_rand([count], (Kind::Float, Device::Cpu))?.f_mul_scalar(4.0)?.f_to(device)?;
    let probability = nll.f_neg()?.f_exp()?;
    let tensors = vec![
        (Output::POSITIONS.to_owned(), Tensor::f_arange_start(1, count + 1, (Kind::Int64, device))?),
        (Output::CORRECT.to_owned(), nll.f_lt(0.7)?),
        (Output::NLL.to_owned(), nll),
        (Output::PROBABILITY.to_owned(), probability),
    ];
    Ok(Output::new("target", tensors))
}
