//! The plugins that are installed: where they are looked for ([`search`]), what a file says about itself
//! ([`inspect`]), whether this host can run it ([`compatibility`], [`linkage`]), which plugin provides a class
//! ([`registry`], [`lookup`], [`explain`]), whether it is the one that was agreed on ([`lock`]), who may change its file
//! ([`permissions`]), and a copy of it that nobody can ([`sealed`], [`companions`]); what only its code can say is asked
//! once ([`probe`]).
//!
//! Nothing here runs any code of a plugin, and no file can stop a run that does not use it. Opening a plugin is the
//! engine's.

pub mod companions;
pub mod compatibility;
pub mod explain;
pub mod inspect;
pub mod linkage;
pub mod lock;
pub mod lookup;
pub mod permissions;
pub mod probe;
pub mod registry;
pub mod sealed;
pub mod search;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::fmt;

use kiwi_plugin_metadata::{kind, record};
use serde::{Deserialize, Serialize};

pub use compatibility::Rejection;
pub use inspect::{Inspection, inspect};
pub use lock::{Lock, LockChoice, LockedPlugin};
pub use lookup::{LookupError, ResolvedComponent};
pub use registry::{Plugin, Registry, Rejected, Shadowed};
pub use search::SearchPath;

/// What a class stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A name for an encoder and a head.
    System,
    /// Turns batches into features.
    Encoder,
    /// Turns features into a loss and what metrics need.
    Head,
    /// Updates parameters.
    Optimizer,
    /// Turns what a head reports into a figure.
    Metric,
}

impl Kind {
    /// Its name, as in the metadata of plugins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => record::SYSTEM,
            Self::Encoder => kind::ENCODER,
            Self::Head => kind::HEAD,
            Self::Optimizer => kind::OPTIMIZER,
            Self::Metric => kind::METRIC,
        }
    }
}

impl Kind {
    /// Its name after `a` or `an`.
    #[must_use]
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::System => "a system",
            Self::Encoder => "an encoder",
            Self::Head => "a head",
            Self::Optimizer => "an optimizer",
            Self::Metric => "a metric",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
