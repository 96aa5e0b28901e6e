//! The built-in optimizers, each with PyTorch's formulas, options and defaults, on libtorch's operators over lists of tensors, and
//! with its full state.
//!
//! Learning rates come from the host with each step; `adamw` and `noam` have a schedule of their own, by which the host multiplies
//! them. Parameters that need no gradient are never given to an optimizer. `sgd`, `adagrad` and `sparse_adam` take sparse
//! gradients, the latter no others.
//!
//! Of PyTorch's options those are left out that say how a step is computed (`foreach`, `fused`, `capturable`,
//! `differentiable`), and `maximize`: what is trained here is a loss.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod averaged_sgd;
mod checks;
mod lists;
mod memory;
mod rmsprop;
mod schedules;
mod sgd;
mod sparse_adam;

use kiwi_plugin_api::prelude::*;

use adadelta::Adadelta;
use adagrad::Adagrad;
use adam::{Adam, AdamW, Noam};
use adamax::Adamax;
use averaged_sgd::AveragedSgd;
use rmsprop::RmsProp;
use sgd::Sgd;
use sparse_adam::SparseAdam;

register!(optimizer Adadelta);
register!(optimizer Adagrad);
register!(optimizer Adam);
register!(optimizer AdamW);
register!(optimizer Adamax);
register!(optimizer AveragedSgd);
register!(optimizer Noam);
register!(optimizer RmsProp);
register!(optimizer Sgd);
register!(optimizer SparseAdam);
plugin!();
