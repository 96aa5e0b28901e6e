//! The functions by which a plugin in plain C reads its options, logs, and asks whether to stop.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::options::Checked;
use super::sinks::text;
use crate::abi::c::host::KIWI_OPTION_ABSENT;
use crate::abi::c::{KiwiConfig, KiwiText};
use crate::log::Level;

/// What `read` finds at a path of the options, written to `value`.
unsafe fn option<'a, T>(
    config: *const KiwiConfig,
    path: KiwiText,
    value: *mut T,
    read: impl FnOnce(&'a Checked, &str) -> Option<T>,
) -> bool {
    // SAFETY: the address is that of the `Checked` options of the call under way, and the path is a text.
    let found = unsafe {
        match (config.cast::<Checked>().as_ref(), text("a path", path)) {
            (Some(options), Ok(path)) => {
                catch_unwind(AssertUnwindSafe(|| read(options, path))).ok().flatten()
            }
            _ => None,
        }
    };
    match found {
        Some(found) if !value.is_null() => {
            // SAFETY: the boundary says that the address is one to write such a value to.
            unsafe { value.write(found) };
            true
        }
        _ => false,
    }
}

pub(super) unsafe extern "C" fn option_kind(config: *const KiwiConfig, path: KiwiText) -> u32 {
    let mut kind = KIWI_OPTION_ABSENT;
    // SAFETY: as the boundary says of options and texts; the place is on this stack.
    unsafe { option(config, path, &raw mut kind, Checked::kind) };
    kind
}

pub(super) unsafe extern "C" fn option_integer(
    config: *const KiwiConfig,
    path: KiwiText,
    value: *mut i64,
) -> bool {
    // SAFETY: as the boundary says of options, texts and places.
    unsafe { option(config, path, value, Checked::integer) }
}

pub(super) unsafe extern "C" fn option_number(
    config: *const KiwiConfig,
    path: KiwiText,
    value: *mut f64,
) -> bool {
    // SAFETY: as the boundary says of options, texts and places.
    unsafe { option(config, path, value, Checked::number) }
}

pub(super) unsafe extern "C" fn option_boolean(
    config: *const KiwiConfig,
    path: KiwiText,
    value: *mut bool,
) -> bool {
    // SAFETY: as the boundary says of options, texts and places.
    unsafe { option(config, path, value, Checked::boolean) }
}

pub(super) unsafe extern "C" fn option_text(
    config: *const KiwiConfig,
    path: KiwiText,
    value: *mut KiwiText,
) -> bool {
    // SAFETY: as the boundary says of options, texts and places.
    unsafe { option(config, path, value, Checked::text) }
}

pub(super) unsafe extern "C" fn option_length(
    config: *const KiwiConfig,
    path: KiwiText,
    value: *mut usize,
) -> bool {
    // SAFETY: as the boundary says of options, texts and places.
    unsafe { option(config, path, value, Checked::length) }
}

pub(super) unsafe extern "C" fn option_json(config: *const KiwiConfig) -> KiwiText {
    // SAFETY: as in `option`.
    match unsafe { config.cast::<Checked>().as_ref() } {
        Some(options) => super::lend::text(options.json()),
        None => super::lend::text(""),
    }
}

pub(super) unsafe extern "C" fn log(level: u32, plugin: KiwiText, class_name: KiwiText, message: KiwiText) {
    // SAFETY: as the boundary says of texts.
    let parts = unsafe { (text("a name", plugin), text("a name", class_name), text("a message", message)) };
    let (Ok(plugin), Ok(class), Ok(message)) = parts else { return };
    let _ = catch_unwind(|| crate::abi::host::pass_on(Level::from_number(level), plugin, class, message));
}

pub(super) unsafe extern "C" fn cancelled() -> bool {
    crate::abi::host::is_cancelled()
}
