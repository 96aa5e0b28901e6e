//! What an encoder gives to a head: tensors by name, some of them not computed yet.

use tch::{Tensor, no_grad};

use crate::{Error, Result};

/// An affine projection that nobody has computed yet: `input · weightᵀ (+ bias)`.
///
/// Logits over a vocabulary are the largest tensor of a model. Given as a projection, a head can compute them for the
/// positions it needs only, fused with its loss; whoever needs the tensor asks for [`Projection::materialize`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Projection {
    /// `[.., K]`.
    pub input: Tensor,
    /// `[V, K]`.
    pub weight: Tensor,
    /// `[V]`.
    pub bias: Option<Tensor>,
}

impl Projection {
    /// The projection of `input` `[.., K]` by `weight` `[V, K]` and, where there is one, `bias` `[V]`.
    #[must_use]
    pub fn new(input: Tensor, weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { input, weight, bias }
    }

    /// The projected tensor `[.., V]`.
    ///
    /// # Errors
    /// When the shapes do not fit or memory is short.
    pub fn materialize(&self) -> Result<Tensor> {
        Ok(self.input.f_linear(&self.weight, self.bias.as_ref())?)
    }
}

/// One feature.
#[derive(Debug)]
#[non_exhaustive]
pub enum Feature {
    /// A tensor.
    Tensor(Tensor),
    /// A projection that is computed when asked for.
    Projection(Projection),
}

impl Feature {
    /// The tensor, computed if need be.
    ///
    /// # Errors
    /// As [`Projection::materialize`].
    pub fn materialize(&self) -> Result<Tensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor.shallow_clone()),
            Self::Projection(projection) => projection.materialize(),
        }
    }
}

/// Features by name, in the order they were added. `target` is what quality estimation reads; `target_logits` and
/// `pe_logits` are what a head of a translation language model reads.
#[derive(Debug, Default)]
pub struct Features {
    entries: Vec<(String, Feature)>,
}

impl Features {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, feature: Feature) -> Self {
        self.entries.push((name.into(), feature));
        self
    }

    /// Adds one.
    pub fn push(&mut self, name: impl Into<String>, feature: Feature) {
        self.entries.push((name.into(), feature));
    }

    /// The feature of this name.
    ///
    /// # Errors
    /// When there is none, naming those there are.
    pub fn get(&self, name: &str) -> Result<&Feature> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, feature)| feature).ok_or_else(|| {
            let known: Vec<_> = self.entries.iter().map(|(name, _)| name.as_str()).collect();
            Error::new(format!("the encoder gives no feature `{name}`, only {}", known.join(", ")))
        })
    }

    /// The projection of this name.
    ///
    /// # Errors
    /// When there is none, or it is a plain tensor.
    pub fn projection(&self, name: &str) -> Result<&Projection> {
        match self.get(name)? {
            Feature::Projection(projection) => Ok(projection),
            Feature::Tensor(_) => Err(Error::new(format!("feature `{name}` is a tensor, not a projection"))),
        }
    }

    /// All features, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Feature)> {
        self.entries.iter().map(|(name, feature)| (name.as_str(), feature))
    }

    /// All features, in order.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Feature)> {
        self.entries.into_iter()
    }

    /// The features without their history: what validation and scoring hand on.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn detached(&self) -> Result<Self> {
        let entries = self
            .entries
            .iter()
            .map(|(name, feature)| {
                let feature = no_grad(|| -> Result<Feature> {
                    Ok(match feature {
                        Feature::Tensor(tensor) => Feature::Tensor(tensor.f_detach()?),
                        Feature::Projection(p) => Feature::Projection(Projection {
                            input: p.input.f_detach()?,
                            weight: p.weight.f_detach()?,
                            bias: p.bias.as_ref().map(Tensor::f_detach).transpose()?,
                        }),
                    })
                })?;
                Ok((name.clone(), feature))
            })
            .collect::<Result<_>>()?;
        Ok(Self { entries })
    }
}
