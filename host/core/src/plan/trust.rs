//! The plugins that a command uses, and what is doubtful about them and stops nothing: others can change them, or they are not
//! those that someone agreed on.

use std::collections::BTreeSet;

use super::{Plan, ResolvedComponent};
use crate::diagnostic::Diagnostic;
use crate::plugins::{Kind, Plugin, Registry, permissions};

impl Plan {
    /// The plugins that a run may use, in the order of the search: those that the config names, the one whose system stands for
    /// its parts, and all that register metrics, since which of them a head asks for only the running head says.
    #[must_use]
    pub fn plugins(&self) -> Vec<&Plugin> {
        let named = [&self.encoder, &self.head].into_iter().chain(&self.optimizers).chain(&self.metrics);
        let mut names: BTreeSet<&str> = named.map(|component| component.plugin.as_str()).collect();
        let class = self.config.system.class_name.as_deref().filter(|_| self.config.system.load.is_none());
        if let Some(Ok((found, _))) = class.map(|class| self.registry.find_system(class)) {
            names.insert(&found.plugin.metadata.name);
        }
        let used = |plugin: &&Plugin| {
            names.contains(plugin.metadata.name.as_str()) || plugin.classes(Kind::Metric).next().is_some()
        };
        self.registry.plugins.iter().filter(used).collect()
    }
}

/// Warnings about the plugins of these components, each once. A command that is held to a lock uses what was agreed on, and who
/// can write to a file does not matter then.
#[must_use]
pub fn doubts(registry: &Registry, used: &[&ResolvedComponent]) -> Vec<Diagnostic> {
    if registry.lock.as_ref().is_some_and(|lock| lock.required) {
        return Vec::new();
    }
    let (mut seen, mut exposed, mut warnings) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for component in used {
        if !seen.insert(&component.file) {
            continue;
        }
        if let Some(lock) = &registry.lock
            && let Err(disagreement) = lock.verify(&component.plugin, &component.version, &component.sha256)
        {
            warnings.push(disagreement.warning(&component.file));
        }
        // Plugins of one directory have it in common.
        let ways = permissions::exposed(&component.file).into_iter();
        warnings.extend(ways.filter(|one| exposed.insert(one.path.clone())).map(|one| one.diagnostic()));
    }
    warnings
}
