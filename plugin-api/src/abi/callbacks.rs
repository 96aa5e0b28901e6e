//! What a plugin asks of its host: to log, whether to stop, and to count handles.

use std::cell::Cell;
use std::sync::OnceLock;

use abi_stable::StableAbi;
use abi_stable::std_types::RStr;

use crate::log::Level;

/// The host's functions, given to a plugin right after it was opened.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostCallbacksRef)))]
#[sabi(missing_field(option))]
#[non_exhaustive]
pub struct HostCallbacks {
    /// Takes a message: level, plugin, class (empty if unknown), text.
    pub log: extern "C" fn(u32, RStr<'_>, RStr<'_>, RStr<'_>),
    /// Whether the host wants to stop.
    pub cancelled: extern "C" fn() -> bool,
    /// Adds to the number of owned tensor handles alive.
    #[sabi(last_prefix_field)]
    pub count_handles: extern "C" fn(i64),
}

struct Connection {
    callbacks: HostCallbacksRef,
    plugin: String,
}

static CONNECTION: OnceLock<Connection> = OnceLock::new();

thread_local! {
    static CLASS: Cell<&'static str> = const { Cell::new("") };
}

/// Remembers the host's functions; the first call counts.
pub(crate) fn connect(callbacks: HostCallbacksRef, plugin: &str) {
    CONNECTION.get_or_init(|| Connection { callbacks, plugin: plugin.to_owned() });
    kiwi_torch_ext::install_panic_hook();
}

/// Runs `f` while messages of this thread carry the name of `class`.
pub(crate) fn within_class<T>(class: &'static str, f: impl FnOnce() -> T) -> T {
    struct Restore(&'static str);
    impl Drop for Restore {
        fn drop(&mut self) {
            CLASS.with(|cell| cell.set(self.0));
        }
    }
    let _restore = Restore(CLASS.with(|cell| cell.replace(class)));
    f()
}

pub(crate) fn log(level: Level, message: &str) {
    if let Some(connection) = CONNECTION.get() {
        let class = CLASS.with(Cell::get);
        (connection.callbacks.log())(
            level as u32,
            RStr::from_str(&connection.plugin),
            RStr::from_str(class),
            RStr::from_str(message),
        );
    }
}

pub(crate) fn cancelled() -> bool {
    CONNECTION.get().is_some_and(|connection| (connection.callbacks.cancelled())())
}

/// Counts in the host: through its callback in a plugin, directly in the host itself, which is connected to nobody.
pub(crate) fn count_handles(delta: i64) {
    match CONNECTION.get() {
        Some(connection) => (connection.callbacks.count_handles())(delta),
        None => super::host::count_handles(delta),
    }
}
