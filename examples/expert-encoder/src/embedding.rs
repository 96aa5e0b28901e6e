//! Words and positions as vectors.

use kiwi_plugin_api::prelude::*;

use crate::affine::{Place, dropped};
use crate::config::{Config, Positions};

/// The embedding of one field.
pub(crate) struct Embedding {
    /// `[V, H]`.
    pub(crate) table: Tensor,
    /// `[max_positions, H]`.
    positions: Tensor,
    size: i64,
    dropout: f64,
}

/// A table of vectors whose expected length is 1.
pub(crate) fn table(rows: i64, size: i64, device: Device) -> Result<Tensor> {
    Ok(init::normal(&[rows, size], device)?.f_mul_scalar((size as f64).powf(-0.5))?)
}

impl Embedding {
    pub(crate) fn new(config: &Config, vocabulary: i64, mut place: Place<'_>) -> Result<Self> {
        let (size, device) = (config.hidden_size, place.device);
        let words = place.trainable("embedding.weight", table(vocabulary, size, device)?)?;
        let positions = match config.positions {
            Positions::Sinusoidal => sinusoidal(config.max_positions, size, device)?,
            Positions::Learned => {
                // As long as an embedded word is to be expected.
                let drawn = init::normal(&[config.max_positions, size], device)?;
                place.trainable("positions.weight", drawn)?
            }
        };
        Ok(Self { table: words, positions, size, dropout: config.dropout })
    }

    /// Words `[..]` at positions `[..]` → `[.., H]`.
    pub(crate) fn embed(&self, ids: &Tensor, positions: &Tensor, pass: &Pass) -> Result<Tensor> {
        let words = look_up(&self.table, ids)?.f_mul_scalar((self.size as f64).sqrt())?;
        dropped(words.f_add(&look_up(&self.positions, positions)?)?, self.dropout, pass)
    }
}

/// The rows of a table at `indices`.
pub(crate) fn look_up(table: &Tensor, indices: &Tensor) -> Result<Tensor> {
    // There is no row of padding to leave out: only words are looked up.
    Ok(Tensor::f_embedding(table, indices, -1, false, false)?)
}

/// `[count, size]`: component k of position i is the sine (k even) or cosine (k odd) of `i / 10000^(2 floor(k / 2) / size)`.
fn sinusoidal(count: i64, size: i64, device: Device) -> Result<Tensor> {
    let options = (Kind::Double, Device::Cpu);
    let pair = Tensor::f_arange(size, options)?.f_div_scalar(2.0)?.f_floor()?;
    let wavelength = pair.f_mul_scalar(2.0 / size as f64 * 10000f64.ln())?.f_exp()?;
    let angle = Tensor::f_arange(count, options)?.f_unsqueeze(1)?.f_div(&wavelength)?;
    let odd = Tensor::f_arange(size, options)?.f_remainder(2.0)?.f_to_kind(Kind::Bool)?;
    let values = angle.f_cos()?.f_where_self(&odd, &angle.f_sin()?)?;
    Ok(values.f_to_kind(Kind::Float)?.f_to(device)?)
}
