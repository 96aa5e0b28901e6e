//! The host's side of the boundary: opening a plugin, and calling its components safely.
//!
//! A plugin is opened once and never unloaded. Deciding whether a file may be opened at all (its metadata, its hash) is not done
//! here. Every call returns an [`CallError`] that names plugin, class and phase, and leaves libtorch's state (grad mode,
//! autocast, current device) as it found it; a plugin that reseeds the generator is in error.
//!
//! A plugin exports its components in Rust ([`super::root`]) or in plain C ([`super::c`]). Whoever uses this module does not know the
//! difference: `plugin` finds out which, `instances` are the same for both, and what is particular to C is in `c`.

mod c;
mod call;
mod calling;
mod instances;
mod ownership;
mod plugin;
mod schedule;
mod validate;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;

pub use call::{CallError, Observation, Observer, Observing, Origin, Phase, observe};
pub use calling::{CallUnderWay, call_under_way};
pub use instances::{EncoderInstance, HeadInstance, MetricInstance, OptimizerInstance};
pub use plugin::{ComponentHandle, OpenError, Plugin};
pub use schedule::ScheduleInstance;
pub use validate::allowing_float64;

use super::callbacks::{HostCallbacks, HostCallbacksRef};
use crate::log::Level;

static LIVE_HANDLES: AtomicI64 = AtomicI64::new(0);
static CANCELLED: AtomicBool = AtomicBool::new(false);
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Takes the messages of plugins: level, plugin, class (empty if unknown), text. May be called from any thread.
pub type Logger = fn(Level, &str, &str, &str);

/// Sends the messages of plugins to `logger`; the first call counts. Without one they are dropped.
pub fn set_logger(logger: Logger) {
    LOGGER.get_or_init(|| logger);
}

/// Tells plugins that ask whether the host wants to stop.
pub fn set_cancelled(cancelled: bool) {
    CANCELLED.store(cancelled, Ordering::Relaxed);
}

/// Owned tensor handles that have crossed the boundary and were not yet taken over or freed: zero between calls.
#[must_use]
pub fn live_handles() -> i64 {
    LIVE_HANDLES.load(Ordering::Relaxed)
}

pub(crate) fn count_handles(delta: i64) {
    LIVE_HANDLES.fetch_add(delta, Ordering::Relaxed);
}

pub(crate) fn callbacks() -> HostCallbacksRef {
    static CALLBACKS: OnceLock<HostCallbacksRef> = OnceLock::new();
    *CALLBACKS.get_or_init(|| {
        let callbacks: &'static WithMetadata<HostCallbacks> =
            Box::leak(Box::new(WithMetadata::new(HostCallbacks {
                log: receive_log,
                cancelled: receive_cancelled,
                count_handles: receive_count,
            })));
        HostCallbacksRef(callbacks.static_as_prefix())
    })
}

extern "C" fn receive_log(level: u32, plugin: RStr<'_>, class: RStr<'_>, message: RStr<'_>) {
    pass_on(Level::from_number(level), plugin.as_str(), class.as_str(), message.as_str());
}

/// Gives a message to whoever takes them.
fn pass_on(level: Level, plugin: &str, class: &str, message: &str) {
    if let Some(logger) = LOGGER.get() {
        logger(level, plugin, class, message);
    }
}

extern "C" fn receive_cancelled() -> bool {
    is_cancelled()
}

fn is_cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

extern "C" fn receive_count(delta: i64) {
    count_handles(delta);
}
