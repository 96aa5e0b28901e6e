//! Reads what a plugin in plain C hands out, trusting no size and no pointer that can be looked at.

use std::mem::{MaybeUninit, align_of, size_of};
#[cfg(feature = "host")]
use std::sync::OnceLock;

use kiwi_plugin_metadata::kind;

use super::given::HOST;
use super::lend;
use super::sinks::text;
use crate::abi::c::tables::KIWI_ABI_VERSION;
use crate::abi::c::{
    KiwiCall, KiwiComponent, KiwiConfig, KiwiEncoderTable, KiwiHeadTable, KiwiMetricTable,
    KiwiOptimizerTable, KiwiPlugin, KiwiText,
};

/// Checks options beyond their schema.
type Check = unsafe extern "C-unwind" fn(*mut KiwiCall, *const KiwiConfig) -> i32;

/// More components than any plugin has: a larger number is no number of components.
const MOST_COMPONENTS: usize = 4096;

/// A component, as the host keeps it.
pub(in crate::abi::host) struct Component {
    pub(in crate::abi::host) kind: &'static str,
    pub(in crate::abi::host) class: &'static str,
    pub(super) schema: &'static str,
    #[cfg_attr(not(feature = "host"), expect(dead_code, reason = "only a host checks options"))]
    pub(super) check: Option<Check>,
    /// What checks its options, made when they are first checked.
    #[cfg(feature = "host")]
    pub(super) options: OnceLock<Result<crate::config::Options, String>>,
    pub(super) table: Table,
}

/// The functions of a component.
pub(super) enum Table {
    Encoder(KiwiEncoderTable),
    Head(KiwiHeadTable),
    Optimizer(KiwiOptimizerTable),
    Metric(KiwiMetricTable),
}

/// A struct that begins with its size and may end sooner or later than this host's own: what is not there is zero.
///
/// # Safety
/// `T` must be a struct of [`crate::abi::c`] that begins with `size: usize` and is sound when it is all zero, and `pointer` what a
/// plugin gave as one.
unsafe fn sized<T: Copy>(what: &str, pointer: *const T) -> Result<T, String> {
    if pointer.is_null() {
        return Err(format!("{what} is a null pointer"));
    }
    if !pointer.addr().is_multiple_of(align_of::<T>()) {
        return Err(format!("{what} lies at an address that no such struct can have"));
    }
    // SAFETY: it begins with its size, as the caller says.
    let size = unsafe { pointer.cast::<usize>().read() };
    if size < size_of::<usize>() || size > 64 * size_of::<T>() {
        return Err(format!("{what} says that it has {size} bytes, expected {}", size_of::<T>()));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: so many bytes are there on both sides, and what is not copied is zero, which is sound as the caller says.
    unsafe {
        pointer.cast::<u8>().copy_to_nonoverlapping(copy.as_mut_ptr().cast(), size.min(size_of::<T>()));
        Ok(copy.assume_init())
    }
}

/// A text that lives as long as the library.
///
/// # Safety
/// It must lie in a library that is never unloaded.
unsafe fn kept(what: &str, given: KiwiText) -> Result<&'static str, String> {
    // SAFETY: as the caller says.
    let text: &'static str = unsafe { text(what, given) }?;
    if text.is_empty() { Err(format!("{what} is empty")) } else { Ok(text) }
}

/// Connects a plugin to its host and takes its components.
///
/// # Errors
/// When what it hands out is not what the boundary describes, saying what.
///
/// # Safety
/// `plugin` must be what `kiwi_plugin_c_root` of a library gave that is never unloaded.
pub(in crate::abi::host) unsafe fn components(
    plugin: *const KiwiPlugin,
    name: &str,
) -> Result<Vec<&'static Component>, String> {
    // SAFETY: as the caller says, of everything that is read here.
    unsafe {
        let plugin = sized("what `kiwi_plugin_c_root` returns", plugin)?;
        if plugin.abi_version != KIWI_ABI_VERSION {
            return Err(format!(
                "it has version {} of the boundary in C, expected {KIWI_ABI_VERSION}: rebuild it with this host's kiwi_plugin.h",
                plugin.abi_version
            ));
        }
        let connect = plugin.connect.ok_or("it has no function `connect`")?;
        if plugin.component_count > MOST_COMPONENTS
            || (plugin.components.is_null() && plugin.component_count > 0)
        {
            return Err(format!("it says that it has {} components", plugin.component_count));
        }
        kiwi_torch_ext::guard(|| connect(&raw const HOST, lend::text(name)))
            .map_err(|thrown| format!("it fails when it is connected: {thrown}"))?;
        (0..plugin.component_count)
            .map(|index| Ok(&*Box::leak(Box::new(component(plugin.components.add(index).read())?))))
            .collect()
    }
}

/// # Safety
/// As [`components`].
unsafe fn component(pointer: *const KiwiComponent) -> Result<Component, String> {
    // SAFETY: as the caller says, of everything that is read here.
    unsafe {
        let given = sized("a component", pointer)?;
        let (kind, class) = (
            kept("the kind of a component", given.kind)?,
            kept("the class of a component", given.class_name)?,
        );
        let what = format!("the {kind} `{class}`");
        let schema = kept(&format!("the JSON Schema of {what}"), given.schema)?;
        let table = format!("the table of {what}");
        let table = match kind {
            kind::ENCODER => {
                let table = sized(&table, given.encoder)?;
                require(
                    &what,
                    &[
                        ("create", table.create.is_some()),
                        ("destroy", table.destroy.is_some()),
                        ("describe", table.describe.is_some()),
                        ("parameters", table.parameters.is_some()),
                        ("forward", table.forward.is_some()),
                    ],
                )?;
                Table::Encoder(table)
            }
            kind::HEAD => {
                let table = sized(&table, given.head)?;
                require(
                    &what,
                    &[
                        ("create", table.create.is_some()),
                        ("destroy", table.destroy.is_some()),
                        ("parameters", table.parameters.is_some()),
                        ("metrics", table.metrics.is_some()),
                        ("forward", table.forward.is_some()),
                    ],
                )?;
                Table::Head(table)
            }
            kind::OPTIMIZER => {
                let table = sized(&table, given.optimizer)?;
                require(
                    &what,
                    &[
                        ("create", table.create.is_some()),
                        ("destroy", table.destroy.is_some()),
                        ("step", table.step.is_some()),
                        ("state", table.state.is_some()),
                        ("load_state", table.load_state.is_some()),
                        ("schedule", !table.has_schedule || table.schedule.is_some()),
                        ("schedule_factor", !table.has_schedule || table.schedule_factor.is_some()),
                        ("destroy_schedule", !table.has_schedule || table.destroy_schedule.is_some()),
                    ],
                )?;
                Table::Optimizer(table)
            }
            kind::METRIC => {
                let table = sized(&table, given.metric)?;
                require(
                    &what,
                    &[
                        ("create", table.create.is_some()),
                        ("destroy", table.destroy.is_some()),
                        ("contribution", table.contribution.is_some()),
                        ("value", table.value.is_some()),
                    ],
                )?;
                Table::Metric(table)
            }
            _ => {
                return Err(format!("{what} is of no kind: expected encoder, head, optimizer or metric"));
            }
        };
        Ok(Component {
            kind,
            class,
            schema,
            check: given.check,
            #[cfg(feature = "host")]
            options: OnceLock::new(),
            table,
        })
    }
}

/// Refuses a table that lacks what it must have.
fn require(what: &str, functions: &[(&str, bool)]) -> Result<(), String> {
    match functions.iter().find(|(_, there)| !there) {
        Some((name, _)) => Err(format!("the table of {what} has no function `{name}`")),
        None => Ok(()),
    }
}
