//! Rows without padding, and the padded form that attention wants.

use kiwi_plugin_api::prelude::*;

/// Where the rows of B sentences are: sentence by sentence, in each of D stacks as many.
pub(crate) struct Packing {
    stacks: i64,
    sentences: i64,
    /// Rows of the longest sentence.
    width: i64,
    /// Rows of all sentences, N.
    pub(crate) rows: i64,
    device: Device,
    /// `[D N]`: where the rows are in `D B width` padded ones; `None` where no sentence is shorter than the longest.
    places: Option<Tensor>,
    /// `[D B, 1, 1, width]`: which padded rows there are; `None` likewise.
    present: Option<Tensor>,
}

impl Packing {
    /// Of sentences of as many rows in each of `stacks`.
    pub(crate) fn new(lengths: &[i64], stacks: i64, device: Device) -> Result<Self> {
        let sentences = lengths.len() as i64;
        let width = lengths.iter().copied().max().unwrap_or_default();
        let even = lengths.iter().all(|length| *length == width);
        let (places, present) = if even {
            (None, None)
        } else {
            let rows = (0..stacks * sentences).zip(lengths.iter().cycle());
            let places: Vec<i64> = rows
                .clone()
                .flat_map(|(sentence, length)| (0..*length).map(move |i| sentence * width + i))
                .collect();
            let present: Vec<bool> =
                rows.flat_map(|(_, length)| (0..width).map(move |i| i < *length)).collect();
            let present = Tensor::from_slice(&present).f_view([stacks * sentences, 1, 1, width])?;
            (Some(to_device(&Tensor::from_slice(&places), device)?), Some(to_device(&present, device)?))
        };
        Ok(Self { stacks, sentences, width, rows: lengths.iter().sum(), device, places, present })
    }

    /// Which padded rows there are, for attention to them; `None` for all.
    pub(crate) fn present(&self) -> Option<&Tensor> {
        self.present.as_ref()
    }

    /// `rows` `[D, N, C]` → `[D B, width, C]`, zero where there is no row.
    pub(crate) fn padded(&self, rows: &Tensor) -> Result<Tensor> {
        let size = rows.size().last().copied().unwrap_or_default();
        let (padded, width) = (self.stacks * self.sentences, self.width);
        let rows = match &self.places {
            None => rows.shallow_clone(),
            Some(places) => Tensor::f_zeros([padded * width, size], (rows.kind(), self.device))?
                .f_index_copy(0, places, &rows.f_reshape([-1, size])?)?,
        };
        Ok(rows.f_reshape([padded, width, size])?)
    }

    /// `padded` `[D B, width, C]` → the rows `[D, N, C]`.
    pub(crate) fn packed(&self, padded: &Tensor) -> Result<Tensor> {
        let size = padded.size().last().copied().unwrap_or_default();
        let all = padded.f_reshape([-1, size])?;
        let rows = match &self.places {
            None => all,
            Some(places) => all.f_index_select(0, places)?,
        };
        Ok(rows.f_view([self.stacks, self.rows, size])?)
    }
}
