//! The precision of a pass.

use kiwi_core::config::Precision;
use kiwi_plugin_api::Result;
use kiwi_plugin_api::torch_ext::Autocast;
use tch::Kind;

/// For as long as the guard lives, operators choose their precision as `precision` says.
pub(crate) fn autocast(precision: Precision) -> Result<Option<Autocast>> {
    Ok(match precision {
        Precision::F32 => None,
        Precision::BF16 => Some(Autocast::cpu(Kind::BFloat16)?),
    })
}
