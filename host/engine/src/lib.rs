//! The engine of kiwi-host: everything that touches libtorch. A shared library beside the program, which opens it once libtorch
//! is loaded and calls its one function, [`kiwi_engine_run`].
//!
//! [`train`] is the way of a training run, top to bottom, [`assembly`] what comes before its first step, which [`check`] does too;
//! [`evaluate`] and [`score`] use a saved system, [`plugin_check`] checks a plugin. Beneath them: [`system`] (components from opened plugins, put together),
//! [`data`] (corpora to batches), [`optimizers`] (groups of parameters, their learning rates), [`training`] (the loop, which
//! emits events and prints nothing), [`checkpoint`] (what is kept on disk), [`report`] (what consumes the events), [`torch`]
//! (tensors).

mod assembly;
mod check;
mod checkpoint;
mod data;
mod describe;
mod entry;
mod evaluate;
mod features;
mod machine;
mod optimizers;
mod options;
mod outlet;
mod patience;
mod plugin_check;
mod probe;
mod ranks;
mod reading;
mod report;
mod resume;
mod score;
mod signals;
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu")), path = "sudden_end/elsewhere.rs")]
mod sudden_end;
mod system;
mod torch;
mod train;
mod training;

pub use entry::kiwi_engine_run;
