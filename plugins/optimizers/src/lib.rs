//! The built-in optimizers: `sgd` and `adam`, on libtorch's fused operators, with their full state.
//!
//! Learning rates come from the host with each step. Frozen parameters are never given to an optimizer.

mod adam;
mod groups;
mod sgd;

use kiwi_plugin_api::prelude::*;

use adam::Adam;
use sgd::Sgd;

register!(optimizer Adam);
register!(optimizer Sgd);
plugin!();
