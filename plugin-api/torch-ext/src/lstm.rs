//! One layer of two LSTMs that read the same sentences in opposite directions.

use tch::Tensor;

use crate::TorchError;
use crate::ffi;

/// The input and the weights of one of the two, with PyTorch's shapes and order of the gates.
#[derive(Debug, Clone, Copy)]
pub struct LstmWay<'a> {
    /// `[N, E]`: a row for each place.
    pub x: &'a Tensor,
    /// `[4h, E]`, the gates i, f, g, o.
    pub weight_ih: &'a Tensor,
    /// `[4h, h]`.
    pub weight_hh: &'a Tensor,
    /// `[4h]`.
    pub bias_ih: &'a Tensor,
    /// `[4h]`.
    pub bias_hh: &'a Tensor,
    /// `[B, h]`: h before the first step.
    pub h: &'a Tensor,
    /// `[B, h]`: c before the first step.
    pub c: &'a Tensor,
}

/// What one of the two gives.
#[derive(Debug)]
pub struct LstmOutput {
    /// `[N, h]`: h at each place.
    pub y: Tensor,
    /// `[B, h]`: h after each row's last step.
    pub h: Tensor,
    /// `[B, h]`: c after each row's last step.
    pub c: Tensor,
}

/// Runs `forwards` from each row's first place to its last, and `backwards` from its last to its first, side by side on
/// libtorch's threads.
///
/// The B rows are ordered by length, the longest first; `batch_sizes` `[T]` (int64, on the CPU) says how many of them reach each
/// position. A place is a position of a row, and the N places are ordered by position and then by row, as in PyTorch's packed
/// sequences: there is no padding. Outputs stand at the places of their inputs in both directions, so that nothing is reversed.
///
/// Of float32 or float64 on the CPU; under autocast the products of float32 are computed in its type, gates and states are not. The
/// products of the inputs are one product for all places, those of
/// the states use a matrix laid out once, and the gates are computed in one go. Backward runs through it once: there is no second
/// derivative.
pub fn lstm_both_ways(
    forwards: &LstmWay<'_>,
    backwards: &LstmWay<'_>,
    batch_sizes: &Tensor,
) -> Result<[LstmOutput; 2], TorchError> {
    let of = |way: &LstmWay<'_>| {
        [way.x, way.weight_ih, way.weight_hh, way.bias_ih, way.bias_hh, way.h, way.c].map(Tensor::as_ptr)
    };
    let tensors = [of(forwards), of(backwards)].concat();
    let mut out = ffi::room::<6>();
    // SAFETY: fourteen live tensors and one more, which the shim checks; it fills `out` with owned tensors when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_lstm_both_ways(tensors.as_ptr(), batch_sizes.as_ptr(), out.as_mut_ptr()))?;
        let [y, h, c, reverse_y, reverse_h, reverse_c] = out.map(|tensor| ffi::own(tensor));
        Ok([LstmOutput { y, h, c }, LstmOutput { y: reverse_y, h: reverse_h, c: reverse_c }])
    }
}
