//! The precision of a pass.

use kiwi_core::config::Precision;
use kiwi_plugin_api::torch_ext::Autocast;
use kiwi_plugin_api::{Error, Result};
use tch::{Device, Kind};

/// For as long as the guard lives, operators on `device` choose their precision as `precision` says.
pub(crate) fn autocast(precision: Precision, device: Device) -> Result<Option<Autocast>> {
    if precision == Precision::F16 && !device.is_cuda() {
        return Err(Error::new("precision 16 is for GPUs: use bf16 on the CPU"));
    }
    let on = |kind| if device.is_cuda() { Autocast::cuda(kind) } else { Autocast::cpu(kind) };
    Ok(match precision {
        Precision::F32 => None,
        Precision::BF16 => Some(on(Kind::BFloat16)?),
        Precision::F16 => Some(on(Kind::Half)?),
    })
}
