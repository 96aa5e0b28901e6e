//! The optimizers of a run: which parameters each trains, at which learning rates, and their saved states.
//!
//! Not here: how a step is computed (the plugins'), when one is taken, and clipping (the loop's).

mod assignment;
mod check;
mod gradient_scaler;
mod plateau;
mod rates;
mod saved;
mod set;
mod states;

pub(crate) use check::{CheckedOptimizer, check};
pub(crate) use set::{Lowered, Optimizers};
pub(crate) use states::{OPTIMIZER, SavedProgress, States};
