//! Dropout that does not depend on how its rows are laid out.

use tch::{Kind, Tensor};

use crate::TorchError;
use crate::ffi;

/// Factors `[N, width]` on the CPU for a dropout of this probability in [0, 1): 0, or 1 / (1 - probability).
///
/// Each of `rows` `[N]` (int64) names a row; of the same state of libtorch's generator the row of a name has the same factors wherever
/// it stands, and on any number of threads. The generator gives one number, which the factors come from. `kind` is `Float` or
/// `Double`.
pub fn dropout_factors(
    rows: &Tensor,
    width: i64,
    probability: f64,
    kind: Kind,
) -> Result<Tensor, TorchError> {
    let number = match kind {
        Kind::Float => 6,
        Kind::Double => 7,
        other => return Err(TorchError(format!("dropout_factors of {other:?}, expected Float or Double"))),
    };
    let mut out = ffi::room::<1>();
    // SAFETY: a live tensor, which the shim checks; it fills `out` with an owned tensor when it succeeds.
    unsafe {
        ffi::check(ffi::kiwi_torch_dropout_factors(
            rows.as_ptr(),
            width,
            probability,
            number,
            out.as_mut_ptr(),
        ))?;
        let [factors] = out.map(|tensor| ffi::own(tensor));
        Ok(factors)
    }
}
