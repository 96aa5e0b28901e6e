//! What a plugin exports: one static, from which the host gets the table of its components.

use abi_stable::StableAbi;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::prefix_type::WithMetadata;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RStr, RVec};

use super::callbacks::{self, HostCallbacksRef};
use super::component::ComponentTableRef;

/// Name of the exported static.
pub const SYMBOL: &[u8] = b"kiwi_plugin_root\0";

/// The root module of a plugin. Fields are only ever appended.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(option))]
#[non_exhaustive]
pub struct PluginRoot {
    /// Gives the plugin its host's functions and its own name; the first call counts.
    pub connect: extern "C" fn(HostCallbacksRef, RStr<'_>),
    /// The tables of its components.
    #[sabi(last_prefix_field)]
    pub components: extern "C" fn() -> RVec<ComponentTableRef>,
}

impl PluginRoot {
    /// The root of a plugin with these components.
    #[must_use]
    pub fn new(components: extern "C" fn() -> RVec<ComponentTableRef>) -> Self {
        Self { connect, components }
    }

    /// The root as it crosses; it lives as long as the library, which is never unloaded.
    #[must_use]
    pub fn leak(self) -> PluginRootRef {
        let root: &'static WithMetadata<Self> = Box::leak(Box::new(WithMetadata::new(self)));
        PluginRootRef(root.static_as_prefix())
    }
}

extern "C" fn connect(callbacks: HostCallbacksRef, plugin: RStr<'_>) {
    callbacks::connect(callbacks, plugin.as_str());
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}

    const BASE_NAME: &'static str = "kiwi_plugin";
    const NAME: &'static str = "kiwi_plugin";
    // Constant on purpose: whether versions fit is decided from the metadata, before anything of the plugin runs.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// The exported static: abi_stable's header with the layout of [`PluginRoot`].
#[repr(transparent)]
pub struct ExportedRoot(LibHeader);

// SAFETY: the header is immutable but for its late-initialised reference, which synchronises itself.
unsafe impl Sync for ExportedRoot {}

impl ExportedRoot {
    /// The header over `constructor`, which must return what `__call_root_module_loader(root_module)` returns; the
    /// [`crate::plugin!`] macro is the only caller.
    #[must_use]
    pub const fn new(constructor: extern "C" fn() -> RootModuleResult) -> Self {
        // SAFETY: the constructor returns a `PrefixRef` of `PluginRoot`, as documented above.
        Self(unsafe { LibHeader::from_constructor::<PluginRootRef>(constructor, CheckTypeLayout::Yes) })
    }
}
