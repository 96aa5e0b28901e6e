//! Opening a plugin's file.

use std::path::{Path, PathBuf};

use abi_stable::library::AbiHeaderRef;
use abi_stable::std_types::{RStr, RString};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use serde::de::DeserializeOwned;

use super::c;
use super::call::{CallError, Origin, Phase, guarded};
use super::calling::{Calling, Slot};
use crate::abi::c::KiwiPlugin;
use crate::abi::component::ComponentTableRef;
use crate::abi::guard::AbiResult;
use crate::abi::layout::misfits;
use crate::abi::root::{PluginRootRef, SYMBOL};
use crate::{ConfigProblem, ConfigReport, EncoderNeeds, HeadNeeds};

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
    #[error(
        "{} is a shared library but no kiwi-host plugin: it exports neither `kiwi_plugin_root` nor `kiwi_plugin_c_root`",
        .file.display()
    )]
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

/// The key of a config that stands beside the options of a component.
const CLASS_NAME: &str = "class_name";

/// The exported function of a plugin in plain C.
type RootInC = unsafe extern "C-unwind" fn() -> *const KiwiPlugin;

/// An opened plugin. It stays loaded until the process ends.
#[derive(Clone)]
pub struct Plugin {
    name: String,
    components: Vec<Sort>,
}

/// A component, by what its plugin is written in.
#[derive(Clone, Copy)]
pub(super) enum Sort {
    Rust(ComponentTableRef),
    C(&'static c::Component),
}

impl Sort {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rust(table) => table.kind().as_str(),
            Self::C(component) => component.kind,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Rust(table) => table.class_name().as_str(),
            Self::C(component) => component.class,
        }
    }
}

impl Plugin {
    /// Opens the file as the plugin `name`: its constructors run, its layout is checked, and it is given the host's callbacks.
    ///
    /// # Errors
    /// When the loader refuses it, or it is no plugin, or one of another binary interface.
    pub fn open(file: &Path, name: &str) -> Result<Self, OpenError> {
        Self::open_copy(file, file, name)
    }

    /// As [`Self::open`], of a copy that has the bytes of `file`: errors name `file`. No other plugin may have been opened by
    /// the path of the copy, since the loader takes two libraries of one path for the same.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_copy(copy: &Path, file: &Path, name: &str) -> Result<Self, OpenError> {
        let _under_way = Calling::begin(Slot::of(name, ""), Phase::Open);
        let refused = |error: &libloading::Error| {
            let reason = loader_message(error);
            let reason = reason.replace(&copy.display().to_string(), &file.display().to_string());
            OpenError::Load { file: file.to_owned(), reason }
        };
        // SAFETY: running a library's constructors is what opening a plugin means; whether this file may be opened was
        // decided by the caller from its metadata.
        let library =
            unsafe { Library::open(Some(copy), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| refused(&error))?;
        let layout = |reason: String| OpenError::Layout { file: file.to_owned(), reason };
        // SAFETY: the symbol is an `ExportedRoot`, which begins with abi_stable's header; `upgrade` checks the header's
        // magic and abi_stable's version before anything else of it is read.
        let header = unsafe { library.get::<AbiHeaderRef>(SYMBOL) }.map(|symbol| *symbol);
        // SAFETY: a function of this name is one of this type, as the header for plugins in C says.
        let in_c = unsafe { library.get::<RootInC>(crate::abi::c::SYMBOL) }.map(|symbol| *symbol);
        // The library is never unloaded: what it handed out lives as long as the process.
        std::mem::forget(library);
        let mut components: Vec<Sort> = match (header, in_c) {
            (Ok(header), _) => {
                let header = header.upgrade().map_err(|error| layout(error.to_string()))?;
                let theirs = header.layout().ok_or_else(|| layout("it does not say which".to_owned()))?;
                let misfits = misfits(theirs);
                if !misfits.is_empty() {
                    return Err(layout(misfits.join("; ")));
                }
                // SAFETY: all types that both sides have are the same, but for fields at the ends of tables, of which each side
                // asks before it reads one.
                let root = unsafe { header.init_root_module_with_unchecked_layout::<PluginRootRef>() };
                let root = root.map_err(|error| layout(error.to_string()))?;
                (root.connect())(super::callbacks(), RStr::from_str(name));
                (root.components())().into_iter().map(Sort::Rust).collect()
            }
            (Err(_), Ok(root)) => {
                // SAFETY: it takes nothing, and what it throws ends in the guard.
                let plugin = kiwi_torch_ext::guard(|| unsafe { root() })
                    .map_err(|thrown| layout(format!("`kiwi_plugin_c_root` fails: {thrown}")))?;
                // SAFETY: the library gave it and is never unloaded.
                let components = unsafe { c::components(plugin, name) }.map_err(layout)?;
                components.into_iter().map(Sort::C).collect()
            }
            (Err(_), Err(_)) => return Err(OpenError::NoRoot { file: file.to_owned() }),
        };
        // A linker may order them otherwise with each build.
        components.sort_by_key(|sort| (sort.kind(), sort.class()));
        Ok(Self { name: name.to_owned(), components })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kind and class of each of its components, in the order of these names.
    pub fn components(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.components.iter().map(|sort| (sort.kind(), sort.class()))
    }

    /// The component of this kind and class.
    #[must_use]
    pub fn component(&self, kind: &str, class: &str) -> Option<ComponentHandle> {
        self.components
            .iter()
            .find(|sort| sort.kind() == kind && sort.class() == class)
            .map(|sort| ComponentHandle { origin: Origin::new(&self.name, class), sort: *sort })
    }
}

/// A component of an opened plugin.
#[derive(Clone)]
pub struct ComponentHandle {
    pub(super) origin: Origin,
    pub(super) sort: Sort,
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
        let table = match &self.sort {
            Sort::Rust(table) => table,
            Sort::C(component) => return component.schema(&self.origin),
        };
        let text = guarded(&self.origin, Phase::Schema, || (table.schema())())?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.origin, Phase::Schema, format!("not JSON: {error}")))
    }

    /// Checks a config and fills its defaults.
    ///
    /// # Errors
    /// When the plugin fails; what is wrong with the config is in the report.
    pub fn check(&self, config: &serde_json::Value) -> Result<ConfigReport, CallError> {
        let mut report = self.ask_to_check(config)?;
        let filled = report.config.as_ref();
        if filled.and_then(|config| config.get(CLASS_NAME)).is_some() {
            let mut problem = ConfigProblem::new(
                "",
                format!(
                    "the component has an option `{CLASS_NAME}`, which is the key that names the component itself"
                ),
            );
            problem.help = Some("its author must give the option another name".to_owned());
            report.errors.push(problem);
        }
        Ok(report)
    }

    fn ask_to_check(&self, config: &serde_json::Value) -> Result<ConfigReport, CallError> {
        let table = match &self.sort {
            Sort::Rust(table) => table,
            Sort::C(component) => return component.check(&self.origin, config),
        };
        let json = config.to_string();
        let text = guarded(&self.origin, Phase::Check, || (table.check())(RStr::from_str(&json)))?;
        serde_json::from_str(text.as_str())
            .map_err(|error| CallError::new(&self.origin, Phase::Check, format!("not a report: {error}")))
    }

    /// What an encoder of this config needs.
    ///
    /// # Errors
    /// When this is no encoder, or the plugin fails.
    pub fn encoder_needs(&self, config: &serde_json::Value) -> Result<EncoderNeeds, CallError> {
        let table = match &self.sort {
            Sort::Rust(table) => table,
            Sort::C(component) => return component.encoder_needs(&self.origin, config),
        };
        let functions = table
            .encoder()
            .into_option()
            .ok_or_else(|| CallError::another_kind(&self.origin, table.kind().as_str(), "encoder"))?;
        self.needs(functions.needs(), config)
    }

    /// What a head of this config needs.
    ///
    /// # Errors
    /// When this is no head, or the plugin fails.
    pub fn head_needs(&self, config: &serde_json::Value) -> Result<HeadNeeds, CallError> {
        let table = match &self.sort {
            Sort::Rust(table) => table,
            Sort::C(component) => return component.head_needs(&self.origin, config),
        };
        let functions = table
            .head()
            .into_option()
            .ok_or_else(|| CallError::another_kind(&self.origin, table.kind().as_str(), "head"))?;
        self.needs(functions.needs(), config)
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
}

fn loader_message(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
