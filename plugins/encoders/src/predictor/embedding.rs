//! The embedding of one field: lookup, scale, positions, layer norm, dropout.

use kiwi_plugin_api::prelude::*;
use kiwi_plugin_api::torch_ext::dropout_factors;

use super::config::FieldEmbedding;
use super::places::Places;

/// The embedding of one field.
pub(crate) struct Embedding {
    field: &'static str,
    config: FieldEmbedding,
    table: Tensor,
    /// `[1, max_position_embeddings, dim]`.
    positions: Option<Tensor>,
    /// gamma and beta, `[dim]` each.
    layer_norm: Option<(Tensor, Tensor)>,
    padding: i64,
}

impl Embedding {
    /// A fresh table of `size` rows, Xavier-uniform, and what else the config asks for.
    pub(crate) fn new(
        field: &'static str,
        config: &FieldEmbedding,
        size: i64,
        padding: i64,
        parameters: &mut Parameters,
        device: Device,
    ) -> Result<Self> {
        let name = |part: &str| format!("embeddings.{field}.{part}");
        let values = init::xavier_uniform([size, config.dim], device)?;
        let table = if config.freeze {
            parameters.frozen(name("embedding.weight"), values)?
        } else {
            parameters.trainable(name("embedding.weight"), values)?
        };
        let positions = if config.use_position_embeddings {
            let table = sinusoidal_positions(config.max_position_embeddings, config.dim, device)?;
            Some(parameters.buffer(name("positional_encoding.pe"), table)?)
        } else {
            None
        };
        let layer_norm = if config.input_layer_norm {
            Some((
                parameters.trainable(name("layer_norm.gamma"), init::ones(&[config.dim], device)?)?,
                parameters.trainable(name("layer_norm.beta"), init::zeros(&[config.dim], device)?)?,
            ))
        } else {
            None
        };
        Ok(Self { field, config: config.clone(), table, positions, layer_norm, padding })
    }

    /// `ids` `[B, T]` → `[B, T, dim]`.
    ///
    /// # Errors
    /// When a row is longer than the positions reach.
    pub(crate) fn padded(&self, ids: &Tensor, training: bool) -> Result<Tensor> {
        let width = ids.size().last().copied().unwrap_or(0);
        let x = self.embed(ids, width, |table| Ok(table.f_narrow(0, 0, width)?))?;
        if !self.drops(training) {
            return Ok(x);
        }
        if x.device() != Device::Cpu {
            return Ok(x.f_dropout(self.config.dropout, true)?);
        }
        let rows = Tensor::f_arange(ids.numel() as i64, (Kind::Int64, Device::Cpu))?;
        Ok(x.f_mul(&self.factors(&rows, x.kind())?.f_view_as(&x)?)?)
    }

    /// `ids` `[B, T]` at their places only → `[N, dim]`; dropout draws what it draws for all of them.
    ///
    /// # Errors
    /// When a row is longer than the positions reach.
    pub(crate) fn packed(&self, ids: &Tensor, places: &Places, training: bool) -> Result<Tensor> {
        let width = ids.size().last().copied().unwrap_or(0);
        let ids = ids.f_reshape([-1])?.f_index_select(0, &places.flat)?;
        let positions = |table: &Tensor| Ok(table.f_index_select(0, &places.flat.f_remainder(width)?)?);
        let x = self.embed(&ids, width, positions)?;
        if self.drops(training) {
            return Ok(x.f_mul(&self.factors(&places.flat, x.kind())?)?);
        }
        Ok(x)
    }

    /// `ids` in rows of `width`, embedded; `positions` takes of the table `[max_position_embeddings, dim]` what is to be added.
    fn embed(
        &self,
        ids: &Tensor,
        width: i64,
        positions: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let sparse = self.config.sparse_embeddings;
        let mut x = Tensor::f_embedding(&self.table, ids, self.padding, false, sparse)?;
        if self.config.scale_embeddings {
            x = x.f_mul_scalar((self.config.dim as f64).sqrt())?;
        }
        if let Some(table) = &self.positions {
            let limit = self.config.max_position_embeddings;
            if width > limit {
                return Err(Error::new(format!(
                    "a {} sentence has {width} positions with <bos> and <eos>, more than max_position_embeddings={limit}",
                    self.field
                )));
            }
            x = x.f_add(&positions(&table.f_squeeze_dim(0)?)?)?;
        }
        if let Some((gamma, beta)) = &self.layer_norm {
            x = x.f_layer_norm([self.config.dim], Some(gamma), Some(beta), 1e-6, true)?;
        }
        Ok(x)
    }

    fn drops(&self, training: bool) -> bool {
        training && self.config.dropout > 0.0
    }

    /// Factors of dropout `[N, dim]` for the rows at these flat positions.
    fn factors(&self, flat: &Tensor, kind: Kind) -> Result<Tensor> {
        Ok(dropout_factors(flat, self.config.dim, self.config.dropout, Kind::Float)?.f_to_kind(kind)?)
    }
}

/// `[1, count, dim]`: component k of position i is the sine (k even) or cosine (k odd) of
/// `i / 10000^(2 * floor(k / 2) / dim)`.
fn sinusoidal_positions(count: i64, dim: i64, device: Device) -> Result<Tensor> {
    let kind = (Kind::Double, Device::Cpu);
    let pair = Tensor::f_arange(dim, kind)?.f_div_scalar(2.0)?.f_floor()?;
    let wavelength = pair.f_mul_scalar(2.0 / dim as f64 * 10000f64.ln())?.f_exp()?;
    let angle = Tensor::f_arange(count, kind)?.f_unsqueeze(1)?.f_div(&wavelength)?;
    let odd = Tensor::f_arange(dim, kind)?.f_remainder(2.0)?.f_to_kind(Kind::Bool)?;
    let values = angle.f_cos()?.f_where_self(&odd, &angle.f_sin()?)?;
    Ok(values.f_to_kind(Kind::Float)?.f_unsqueeze(0)?.f_to(device)?)
}
