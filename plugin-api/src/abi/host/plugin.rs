//! Opening a plugin's file.

use std::path::{Path, PathBuf};

use abi_stable::library::AbiHeaderRef;
use abi_stable::std_types::{RStr, RString};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use serde::de::DeserializeOwned;

use super::call::{CallError, Origin, Phase, guarded};
use crate::abi::component::ComponentTableRef;
use crate::abi::guard::AbiResult;
use crate::abi::root::{PluginRootRef, SYMBOL};
use crate::{ConfigReport, EncoderNeeds, HeadNeeds};

/// Why a file could not be opened as a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The dynamic loader refused it.
    #[error("the dynamic loader cannot open {}: {reason}", .file.display())]
    Load {
        /// The file.
        file: PathBuf,
        /// The loader's message.
        reason: String,
    },
    /// It exports no root.
    #[error("{} is a shared library but no kiwi-host plugin: it exports no `kiwi_plugin_root`", .file.display())]
    NoRoot {
        /// The file.
        file: PathBuf,
    },
    /// Its tables have another layout.
    #[error("{} has another binary interface than this host: {reason}", .file.display())]
    Layout {
        /// The file.
        file: PathBuf,
        /// What differs.
        reason: String,
    },
}

/// An opened plugin. It stays loaded until the process ends.
#[derive(Clone)]
pub struct Plugin {
    name: String,
    components: Vec<ComponentTableRef>,
}

impl Plugin {
    /// Opens the file as the plugin `name`: its constructors run, its layout is checked, and it is given the host's callbacks.
    ///
    /// # Errors
    /// When the loader refuses it, or it is no plugin, or one of another binary interface.
    pub fn open(file: &Path, name: &str) -> Result<Self, OpenError> {
        // SAFETY: running a library's constructors is what opening a plugin means; whether this file may be opened was
        // decided by the caller from its metadata.
        let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| OpenError::Load { file: file.to_owned(), reason: loader_message(&error) })?;
        // SAFETY: the symbol is an `ExportedRoot`, which begins with abi_stable's header; `upgrade` checks the header's
        // magic and abi_stable's version before anything else of it is read.
        let header = unsafe { library.get::<AbiHeaderRef>(SYMBOL) }
            .map(|symbol| *symbol)
            .map_err(|_| OpenError::NoRoot { file: file.to_owned() })?;
        // The library is never unloaded: what it handed out lives as long as the process.
        std::mem::forget(library);
        let layout = |reason: String| OpenError::Layout { file: file.to_owned(), reason };
        let root = header
            .upgrade()
            .and_then(|header| header.init_root_module::<PluginRootRef>())
            .map_err(|error| layout(error.to_string()))?;
        (root.connect())(super::callbacks(), RStr::from_str(name));
        Ok(Self { name: name.to_owned(), components: (root.components())().into_iter().collect() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kind and class of each of its components.
    pub fn components(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.components.iter().map(|table| (table.kind().as_str(), table.class_name().as_str()))
    }

    /// The component of this kind and class.
    #[must_use]
    pub fn component(&self, kind: &str, class: &str) -> Option<ComponentHandle> {
        self.components
            .iter()
            .find(|table| table.kind().as_str() == kind && table.class_name().as_str() == class)
            .map(|table| ComponentHandle {
                origin: Origin { plugin: self.name.clone(), class: class.to_owned() },
                table: *table,
            })
    }
}

/// A component of an opened plugin.
#[derive(Clone)]
pub struct ComponentHandle {
    pub(super) origin: Origin,
    pub(super) table: ComponentTableRef,
}

impl ComponentHandle {
    /// Which component of which plugin.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// JSON Schema of its config.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn schema(&self) -> Result<serde_json::Value, CallError> {
        let text = guarded(&self.origin, Phase::Schema, || (self.table.schema())())?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.origin, Phase::Schema, format!("not JSON: {error}")))
    }

    /// Checks a config and fills its defaults.
    ///
    /// # Errors
    /// When the plugin fails; what is wrong with the config is in the report.
    pub fn check(&self, config: &serde_json::Value) -> Result<ConfigReport, CallError> {
        let json = config.to_string();
        let text = guarded(&self.origin, Phase::Check, || (self.table.check())(RStr::from_str(&json)))?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.origin, Phase::Check, format!("not a report: {error}")))
    }

    /// What an encoder of this config needs.
    ///
    /// # Errors
    /// When this is no encoder, or the plugin fails.
    pub fn encoder_needs(&self, config: &serde_json::Value) -> Result<EncoderNeeds, CallError> {
        let table = self.table.encoder().into_option().ok_or_else(|| self.missing_table("encoder"))?;
        self.needs(table.needs(), config)
    }

    /// What a head of this config needs.
    ///
    /// # Errors
    /// When this is no head, or the plugin fails.
    pub fn head_needs(&self, config: &serde_json::Value) -> Result<HeadNeeds, CallError> {
        let table = self.table.head().into_option().ok_or_else(|| self.missing_table("head"))?;
        self.needs(table.needs(), config)
    }

    fn needs<T: DeserializeOwned>(
        &self,
        needs: extern "C" fn(RStr<'_>) -> AbiResult<RString>,
        config: &serde_json::Value,
    ) -> Result<T, CallError> {
        let json = config.to_string();
        let text = guarded(&self.origin, Phase::Needs, || needs(RStr::from_str(&json)))?;
        serde_json::from_str(text.as_str()).map_err(|error| {
            CallError::new(&self.origin, Phase::Needs, format!("not what it needs: {error}"))
        })
    }

    /// The error that it is a component of another kind.
    pub(super) fn missing_table(&self, kind: &str) -> CallError {
        CallError::new(
            &self.origin,
            Phase::Create,
            format!("it is registered as {} but asked for as {kind}", self.table.kind()),
        )
    }
}

fn loader_message(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
