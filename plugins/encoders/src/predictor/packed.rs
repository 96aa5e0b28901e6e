//! The way of a batch without padding, by fused operations: only words are computed, and of the target only those that somebody
//! reads. Dropout draws what it draws on the padded way.

use kiwi_plugin_api::prelude::*;

use super::lstm::{State, side_by_side};
use super::places::{Places, Words};
use super::{EncodedTarget, PredictorEncoder};

/// The encoded source: A `[N, 2h]`, and for each layer the states after the last step of both directions.
pub(super) struct PackedSource {
    places: Places,
    keys: Tensor,
    states: Vec<[State; 2]>,
    /// The words, which attention may choose from.
    words: Words,
}

impl PredictorEncoder {
    pub(super) fn pack_source(&self, field: &Field, training: bool) -> Result<PackedSource> {
        let ids = field.ids()?;
        let places = Places::new(field.lengths()?, width(ids))?;
        let words = places.words(&true_at(field.strict_mask()?)?)?;
        let x = self.source.packed(ids, &places, training)?;
        let (keys, states) =
            self.source_lstm.both_ways(&x, &places.batch_sizes, places.sentences(), training)?;
        Ok(PackedSource { places, keys, states, words })
    }

    /// f is given where a loss counts it, or, if quality features are wanted, at all words; F and R at all places. They are zero
    /// elsewhere.
    pub(super) fn pack_target(
        &self,
        field: &Field,
        source: &PackedSource,
        training: bool,
    ) -> Result<EncodedTarget> {
        let ids = field.ids()?;
        let places = Places::new(field.lengths()?, width(ids))?;
        let x = self.target.packed(ids, &places, training)?;
        let row = places.rows_in(&source.places);
        let reordered = |state: &State| -> Result<State> {
            Ok(State { h: state.h.f_index_select(0, &row)?, c: state.c.f_index_select(0, &row)? })
        };
        let states = source
            .states
            .iter()
            .map(|[forward, backward]| Ok([reordered(forward)?, reordered(backward)?]))
            .collect::<Result<Vec<_>>>()?;
        let [forward, backward] =
            side_by_side([&self.forward_lstm, &self.backward_lstm], &x, &places, &states, training)?;

        let flat = if self.wanted.quality {
            true_at(field.strict_mask()?)?
        } else {
            Vec::try_from(field.counted()?)?
        };
        let words = places.words(&flat)?;
        let (before, after) = (Tensor::from_slice(&words.before), Tensor::from_slice(&words.after));
        let around = |left: &Tensor, right: &Tensor| -> Result<Tensor> {
            Ok(Tensor::f_cat(&[left.f_index_select(0, &before)?, right.f_index_select(0, &after)?], 1)?)
        };
        let query = around(&forward, &backward)?;
        let context = self.attention.within_sentences(&query, &source.keys, &words, &source.words)?;
        let predicted = self.predict(&query, &around(&x, &x)?, &context)?;
        let spread = |states: &Tensor| {
            if self.wanted.quality { places.spread(states, &places.flat) } else { Ok(states.shallow_clone()) }
        };
        Ok(EncodedTarget {
            predicted: places.spread(&predicted, &Tensor::from_slice(&flat))?,
            forward: spread(&forward)?,
            backward: spread(&backward)?,
        })
    }
}

fn width(ids: &Tensor) -> i64 {
    ids.size().get(1).copied().unwrap_or(0)
}

/// The flat positions at which a mask is true.
fn true_at(mask: &Tensor) -> Result<Vec<i64>> {
    Ok(Vec::try_from(mask.f_reshape([-1])?.f_nonzero()?.f_reshape([-1])?)?)
}
