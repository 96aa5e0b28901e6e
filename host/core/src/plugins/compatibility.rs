//! Why a file cannot be used as a plugin. Whether its metadata fit this host is decided by
//! [`kiwi_plugin_metadata::compatibility`].

use kiwi_plugin_metadata::API_VERSION;
use kiwi_plugin_metadata::compatibility::Mismatch;
use kiwi_plugin_metadata::reader::MetadataError;
use thiserror::Error;

use super::linkage::SecondLibtorch;

/// Why a file is not a plugin that this host can use. Each text says what was found, what is expected, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The operating system does not let us read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A directory, a pipe or the like.
    #[error("is {0}, not a file: remove it from the plugin directory")]
    NotAFile(&'static str),
    /// No bytes at all.
    #[error("is empty: it was probably not copied completely; build or copy it again")]
    Empty,
    /// Bytes that are no shared library of this platform.
    #[error("is {found}, not an ELF shared library: build the plugin with crate-type = [\"cdylib\"]")]
    NotElf {
        /// What it looks like.
        found: &'static str,
    },
    /// An ELF file whose parts do not lie where it says.
    #[error("is a truncated or damaged ELF file ({reason}): build or copy it again")]
    Damaged {
        /// What does not fit.
        reason: String,
    },
    /// For another processor.
    #[error("is built for {found}, this host runs on {expected}: rebuild it with `--target {target}`")]
    Architecture {
        /// Its processor.
        found: String,
        /// The host's processor.
        expected: &'static str,
        /// The host's target triple.
        target: &'static str,
    },
    /// Another kind of ELF file.
    #[error("is {found}, not a shared library: build the plugin with crate-type = [\"cdylib\"]")]
    NotShared {
        /// What it is.
        found: &'static str,
    },
    /// A shared library like any other.
    #[error(
        "is not a kiwi-host plugin: it has no section `{}`; \
         a plugin is registered with the macros of kiwi-plugin-api",
        kiwi_plugin_metadata::SECTION
    )]
    NoMetadata,
    /// Records that cannot be read.
    #[error("says something about itself that cannot be used: {error}; {mend}", error = .0, mend = mend(.0))]
    Metadata(#[from] MetadataError),
    /// Metadata that do not fit this host.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// It would bring a second libtorch.
    #[error(transparent)]
    SecondLibtorch(#[from] SecondLibtorch),
}

/// What the author of a plugin does about its metadata.
fn mend(error: &MetadataError) -> String {
    match error {
        MetadataError::NoPlugin => "end the crate with `plugin!();`".to_owned(),
        MetadataError::TwoPlugins { .. } => "let one crate alone be the plugin".to_owned(),
        MetadataError::DuplicateClass { .. } => "give one of the two another name".to_owned(),
        MetadataError::EmptyField { field, .. } => format!("give it a `{field}`"),
        MetadataError::Name { .. } => "name it in letters, digits, `_`, `-` and `.`".to_owned(),
        _ => format!("rebuild it with the kiwi-plugin-api of this host, version {API_VERSION}"),
    }
}
