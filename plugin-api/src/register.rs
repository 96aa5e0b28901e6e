//! The macros that register components and make a crate a plugin.

use abi_stable::std_types::RVec;

use crate::abi::component::{ComponentTableRef, encoder, head, metric, optimizer};
use crate::abi::root::{PluginRoot, PluginRootRef};
use crate::{Encoder, Head, Metric, Optimizer};

/// A component of this plugin: collected by `inventory` inside the plugin's own library, where no other sees it.
pub struct Registration {
    table: fn() -> ComponentTableRef,
}

impl Registration {
    /// An encoder.
    #[must_use]
    pub const fn encoder<T: Encoder>() -> Self {
        Self { table: encoder::table::<T> }
    }

    /// A head.
    #[must_use]
    pub const fn head<T: Head>() -> Self {
        Self { table: head::table::<T> }
    }

    /// An optimizer.
    #[must_use]
    pub const fn optimizer<T: Optimizer>() -> Self {
        Self { table: optimizer::table::<T> }
    }

    /// A metric.
    #[must_use]
    pub const fn metric<T: Metric>() -> Self {
        Self { table: metric::table::<T> }
    }
}

inventory::collect!(Registration);

/// What the host finds when it opens the plugin.
#[must_use]
pub fn root_module() -> PluginRootRef {
    PluginRoot::new(components).leak()
}

extern "C" fn components() -> RVec<ComponentTableRef> {
    inventory::iter::<Registration>.into_iter().map(|registration| (registration.table)()).collect()
}

/// Registers one component of the plugin, or a system that stands for an encoder and a head.
///
/// ```text
/// register!(encoder MyEncoder);
/// register!(head MyHead);
/// register!(optimizer MyOptimizer);
/// register!(metric MyMetric);
/// register!(system "MySystem" = encoder "MyEncoder" + head "TLMOutputs", "One sentence about it");
/// ```
#[macro_export]
macro_rules! register {
    (encoder $component:ty) => {
        $crate::__register_component!(ENCODER, encoder, $component);
    };
    (head $component:ty) => {
        $crate::__register_component!(HEAD, head, $component);
    };
    (optimizer $component:ty) => {
        $crate::__register_component!(OPTIMIZER, optimizer, $component);
    };
    (metric $component:ty) => {
        $crate::__register_component!(METRIC, metric, $component);
    };
    (system $name:literal = encoder $encoder:literal + head $head:literal, $summary:literal) => {
        $crate::__metadata_record!(&[
            ($crate::__private::metadata::field::RECORD, $crate::__private::metadata::record::SYSTEM,),
            ($crate::__private::metadata::field::CLASS, $name),
            ($crate::__private::metadata::field::SUMMARY, $summary),
            ($crate::__private::metadata::field::ENCODER, $encoder),
            ($crate::__private::metadata::field::HEAD, $head),
        ]);
    };
}

/// One component: its metadata record and its entry in the plugin's inventory.
#[doc(hidden)]
#[macro_export]
macro_rules! __register_component {
    ($kind:ident, $constructor:ident, $component:ty) => {
        $crate::__metadata_record!(&[
            ($crate::__private::metadata::field::RECORD, $crate::__private::metadata::record::COMPONENT,),
            ($crate::__private::metadata::field::KIND, $crate::__private::metadata::kind::$kind,),
            ($crate::__private::metadata::field::CLASS, <$component as $crate::Component>::CLASS_NAME,),
            ($crate::__private::metadata::field::SUMMARY, <$component as $crate::Component>::SUMMARY,),
        ]);
        $crate::__private::inventory::submit! {
            $crate::__private::Registration::$constructor::<$component>()
        }
    };
}

/// A record in the plugin's metadata section.
#[doc(hidden)]
#[macro_export]
macro_rules! __metadata_record {
    ($fields:expr) => {
        const _: () = {
            const FIELDS: &[(&str, &str)] = $fields;
            const LENGTH: usize = $crate::__private::metadata::writer::encoded_length(FIELDS);
            #[used]
            #[cfg_attr(
                not(any(target_os = "macos", target_os = "windows")),
                unsafe(link_section = ".kiwi_plugin")
            )]
            #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__kiwi_plugin"))]
            #[cfg_attr(target_os = "windows", unsafe(link_section = ".kiwi"))]
            static RECORD: [u8; LENGTH] = $crate::__private::metadata::writer::encode(FIELDS);
        };
    };
}

/// Makes the crate a plugin: once in its `lib.rs`, beside the `register!` lines.
///
/// Writes the metadata that a host reads before it opens the file, and exports the root module.
#[macro_export]
macro_rules! plugin {
    () => {
        $crate::__metadata_record!(&[
            ($crate::__private::metadata::field::RECORD, $crate::__private::metadata::record::PLUGIN,),
            ($crate::__private::metadata::field::NAME, env!("CARGO_PKG_NAME")),
            ($crate::__private::metadata::field::VERSION, env!("CARGO_PKG_VERSION")),
            ($crate::__private::metadata::field::DESCRIPTION, env!("CARGO_PKG_DESCRIPTION")),
            ($crate::__private::metadata::field::LICENSE, env!("CARGO_PKG_LICENSE")),
            ($crate::__private::metadata::field::AUTHORS, env!("CARGO_PKG_AUTHORS")),
            ($crate::__private::metadata::field::API_VERSION, $crate::API_VERSION),
            ($crate::__private::metadata::field::MINIMUM_HOST_API, $crate::MINIMUM_HOST_API),
            ($crate::__private::metadata::field::TORCH, $crate::__private::metadata::TORCH_VERSION),
            ($crate::__private::metadata::field::TARGET, $crate::__private::TARGET),
            ($crate::__private::metadata::field::RUSTC, $crate::__private::RUSTC),
            (
                $crate::__private::metadata::field::PANIC,
                if cfg!(panic = "unwind") { "unwind" } else { "abort" },
            ),
        ]);

        const _: () = {
            extern "C" fn loader() -> $crate::__private::abi_stable::library::RootModuleResult {
                $crate::__private::abi_stable::library::__call_root_module_loader(
                    $crate::__private::root_module,
                )
            }

            #[unsafe(export_name = "kiwi_plugin_root")]
            static ROOT: $crate::abi::root::ExportedRoot = $crate::abi::root::ExportedRoot::new(loader);
        };
    };
}
