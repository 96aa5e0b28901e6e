//! Holding what is installed to a lock.

use kiwi_plugin_metadata::reader::PluginMetadata;

use super::{Lock, LockChoice, file};
use crate::diagnostic::{Diagnostic, Severity};
use crate::plugins::lookup::{LookupError, sha256};
use crate::plugins::registry::{Plugin, Registry, Shadowed};
use crate::plugins::{Kind, inspect};

impl Registry {
    /// Holds the plugins to a lock. A lock that is needed and cannot be had is an error among the diagnostics.
    pub fn hold_to(&mut self, choice: &LockChoice) {
        match file::read(&choice.file) {
            Ok(plugins) => {
                let (file, required) = (choice.file.clone(), choice.required);
                self.lock = Some(Lock { file, required, plugins });
            }
            Err(file::Error::Missing(_)) if !choice.required => {}
            Err(error) => {
                let severity = if choice.required { Severity::Error } else { Severity::Warning };
                self.diagnostics.push(Diagnostic { severity, ..error.diagnostic() });
            }
        }
    }

    /// Refuses a plugin that is not the one that was agreed on, where the command is held to a lock.
    pub(in crate::plugins) fn held(
        &self,
        plugin: &Plugin,
        kind: Kind,
        asked: &str,
    ) -> Result<(), LookupError> {
        let Some(lock) = self.lock.as_ref().filter(|lock| lock.required) else { return Ok(()) };
        let PluginMetadata { name, version, .. } = &plugin.metadata;
        let Err(disagreement) = lock.verify(name, version, sha256(plugin, kind, asked)?) else {
            return Ok(());
        };
        let is_agreed = |one: &&Shadowed| {
            let bytes = inspect::read_file(&one.path);
            let verified =
                |bytes: Vec<u8>| lock.verify(name, &one.metadata.version, &inspect::sha256(&bytes));
            one.metadata.name == *name && bytes.is_ok_and(|bytes| verified(bytes).is_ok())
        };
        let agreed = self.shadowed.iter().find(is_agreed).map(|one| one.path.clone());
        let (asked, path) = (asked.to_owned(), plugin.path.clone());
        Err(LookupError::Locked { kind, asked, path, disagreement, agreed })
    }
}
