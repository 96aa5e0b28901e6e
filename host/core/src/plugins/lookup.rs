//! From a `class_name` to one component of one plugin. A name that is not registered, or registered twice, becomes a
//! complaint that says what there is, what was searched, and what to do.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use kiwi_plugin_metadata::reader::{PluginMetadata, SystemMetadata};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::Kind;
use super::lock::Disagreement;
use super::registry::{Changed, Plugin, Registry, same_name};
use crate::diagnostic::{Diagnostic, nearest};
use crate::environment;
use crate::error_code::Code;

/// One component of one plugin, and what a config says to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedComponent {
    /// What it is.
    pub kind: Kind,
    /// Its class, without the plugin.
    pub class: String,
    /// The plugin that registers it.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The plugin's file.
    pub file: PathBuf,
    /// SHA-256 of that file, in lower-case hexadecimal: what is opened must have it.
    pub sha256: String,
    /// What the config says to it, without `class_name`; empty if nothing.
    pub config: Map<String, Value>,
    /// Where in the config that stands, as `system.model.encoder`; empty if nowhere.
    pub config_path: String,
}

impl ResolvedComponent {
    /// The component with what a config says to it.
    #[must_use]
    pub fn configured(mut self, config: Map<String, Value>, path: impl Into<String>) -> Self {
        self.config = config;
        self.config_path = path.into();
        self
    }

    /// `plugin::Class`, which is unambiguous.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("{}::{}", self.plugin, self.class)
    }
}

/// A class and the plugin that registers it.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The plugin.
    pub plugin: &'a Plugin,
    /// The class, without the plugin.
    pub class: &'a str,
}

/// A class that more than one plugin registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `plugin::Class`.
    pub qualified: String,
    /// The plugin's file.
    pub path: PathBuf,
}

/// Why a name does not stand for one component.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupError {
    /// No plugin registers it.
    #[error("no {kind} named `{asked}` is registered")]
    NotRegistered {
        /// What was asked for.
        kind: Kind,
        /// The name that was asked for.
        asked: String,
        /// The name nearest in spelling, if one is near.
        nearest: Option<String>,
        /// Every name of that kind, each with its plugin.
        registered: Vec<String>,
        /// What may explain it: files that have it but cannot be used, other kinds that have it.
        reasons: Vec<String>,
        /// The plugins, directories and unusable files.
        searched: Vec<String>,
    },
    /// Several plugins register it.
    #[error("more than one plugin registers the {kind} `{asked}`")]
    Ambiguous {
        /// What was asked for.
        kind: Kind,
        /// The name that was asked for.
        asked: String,
        /// Who registers it.
        candidates: Vec<Candidate>,
    },
    /// The plugin that registers it cannot be read any more.
    #[error("the plugin file {}, which registers the {kind} `{asked}`, is no longer what it was: {change}", path.display())]
    Changed {
        /// What was asked for.
        kind: Kind,
        /// The name that was asked for.
        asked: String,
        /// The plugin's file.
        path: PathBuf,
        /// What became of it.
        change: Changed,
    },
    /// The plugin that registers it is not the one that was agreed on.
    #[error("the {kind} `{asked}` cannot be used: {disagreement}")]
    Locked {
        /// What was asked for.
        kind: Kind,
        /// The name that was asked for.
        asked: String,
        /// The plugin's file.
        path: PathBuf,
        /// How it differs.
        disagreement: Box<Disagreement>,
        /// Another file of that name which is the one that was agreed on.
        agreed: Option<PathBuf>,
    },
}

impl LookupError {
    const fn code(&self) -> Code {
        match self {
            Self::NotRegistered { .. } => Code::NotRegistered,
            Self::Ambiguous { .. } => Code::Ambiguous,
            Self::Changed { .. } => Code::PluginChanged,
            Self::Locked { .. } => Code::LockDiffers,
        }
    }

    /// The complaint, without the place where the name stands.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let error = Diagnostic::error(self.code(), self.to_string());
        match self {
            Self::NotRegistered { kind, asked, nearest, registered, reasons, searched } => {
                let mut error = error.found(format!("\"{asked}\"")).nearest(nearest.clone());
                error = error.expected(if registered.is_empty() {
                    format!("the class of a registered {kind}, and there are none")
                } else {
                    format!("one of the registered {kind}s: {}", registered.join(", "))
                });
                error.notes = reasons.iter().chain(searched).cloned().collect();
                error.help(format!(
                    "correct the name, or name the directory of a plugin that registers it with --plugin-dir or {}",
                    environment::KIWI_PLUGIN_PATH.name
                ))
            }
            Self::Ambiguous { asked, candidates, .. } => {
                let names: Vec<_> = candidates.iter().map(|one| format!("`{}`", one.qualified)).collect();
                let mut error = error.found(format!("\"{asked}\""));
                error = error.expected(format!("one of {}", names.join(" and ")));
                error.notes = candidates
                    .iter()
                    .map(|one| format!("`{}` is registered by {}", one.qualified, one.path.display()))
                    .collect();
                error.help("write the plugin's name before the class")
            }
            Self::Changed { .. } => error,
            Self::Locked { path, disagreement, agreed, .. } => {
                let error = Diagnostic { message: error.message, ..disagreement.error(path) };
                match agreed {
                    Some(agreed) => error.note(format!(
                        "{} is the one that is locked; it is hidden by {}, which comes first in the order of the search",
                        agreed.display(),
                        path.display()
                    )),
                    None => error,
                }
            }
        }
    }

    /// As [`Self::diagnostic`], without the plugins and directories that were searched: for the second and further
    /// complaints of one list.
    #[must_use]
    pub fn brief_diagnostic(&self) -> Diagnostic {
        let mut diagnostic = self.diagnostic();
        if let Self::NotRegistered { reasons, .. } = self {
            diagnostic.notes.clone_from(reasons);
        }
        diagnostic
    }
}

impl Registry {
    /// The plugin that registers a class, which is given as `Class` or `plugin::Class`.
    ///
    /// # Errors
    ///
    /// No plugin registers it, or several do.
    pub fn find(&self, kind: Kind, asked: &str) -> Result<Found<'_>, LookupError> {
        let (plugin_name, asked_class) = split(asked);
        // One whose name is spelt exactly so is meant before another whose name is the same crate's.
        let exact = plugin_name.is_some_and(|name| self.plugins.iter().any(|one| one.metadata.name == name));
        let is_meant = |plugin: &&Plugin| match plugin_name {
            None => true,
            Some(name) if exact => plugin.metadata.name == name,
            Some(name) => same_name(&plugin.metadata.name, name),
        };
        let found: Vec<_> = self
            .plugins
            .iter()
            .filter(is_meant)
            .filter_map(|plugin| {
                let class = plugin.classes(kind).find(|class| *class == asked_class)?;
                Some(Found { plugin, class })
            })
            .collect();
        match found[..] {
            [one] => Ok(one),
            [] => Err(self.not_registered(kind, asked)),
            _ => Err(LookupError::Ambiguous {
                kind,
                asked: asked.to_owned(),
                candidates: found
                    .iter()
                    .map(|one| Candidate {
                        qualified: format!("{}::{}", one.plugin.metadata.name, one.class),
                        path: one.plugin.path.clone(),
                    })
                    .collect(),
            }),
        }
    }

    /// The component of a class, which is given as `Class` or `plugin::Class`, with the hash of its plugin's file.
    ///
    /// # Errors
    ///
    /// No plugin registers it, or several do, or the one that does has changed since it was found or is not the one that is locked.
    pub fn resolve(&self, kind: Kind, asked: &str) -> Result<ResolvedComponent, LookupError> {
        let Found { plugin, class } = self.find(kind, asked)?;
        let sha256 = sha256(plugin, kind, asked)?;
        self.held(plugin, kind, asked)?;
        Ok(ResolvedComponent {
            kind,
            class: class.to_owned(),
            plugin: plugin.metadata.name.clone(),
            version: plugin.metadata.version.clone(),
            file: plugin.path.clone(),
            sha256: sha256.to_owned(),
            config: Map::new(),
            config_path: String::new(),
        })
    }

    /// The system of a class, and its plugin.
    ///
    /// # Errors
    ///
    /// No plugin registers it, or several do.
    pub fn find_system(&self, asked: &str) -> Result<(Found<'_>, &SystemMetadata), LookupError> {
        let found = self.find(Kind::System, asked)?;
        self.held(found.plugin, Kind::System, asked)?;
        let system = found.plugin.metadata.systems.iter().find(|system| system.class == found.class);
        system.map(|system| (found, system)).ok_or_else(|| self.not_registered(Kind::System, asked))
    }

    fn not_registered(&self, kind: Kind, asked: &str) -> LookupError {
        let (plugin_name, class) = split(asked);
        let classes = |plugin: &'_ Plugin| plugin.classes(kind).map(str::to_owned).collect::<Vec<_>>();
        let registered = self.plugins.iter().flat_map(|plugin| {
            let (name, version) = (&plugin.metadata.name, &plugin.metadata.version);
            classes(plugin).into_iter().map(move |class| format!("{class} ({name} {version})"))
        });
        // Whoever writes `plugin::Class` is offered the same.
        let choices: Vec<String> = self
            .plugins
            .iter()
            .flat_map(|plugin| {
                classes(plugin).into_iter().map(|class| match plugin_name {
                    Some(_) => format!("{}::{class}", plugin.metadata.name),
                    None => class,
                })
            })
            .collect();
        LookupError::NotRegistered {
            kind,
            asked: asked.to_owned(),
            nearest: nearest(asked, choices.iter().map(String::as_str)).map(str::to_owned),
            registered: registered.collect(),
            reasons: self.reasons(kind, plugin_name, class),
            searched: self.searched(),
        }
    }

    /// What may explain that a class is not registered, the best explanation first.
    fn reasons(&self, kind: Kind, plugin_name: Option<&str>, class: &str) -> Vec<String> {
        let mut reasons = Vec::new();
        for rejected in &self.rejected {
            let Some(metadata) = &rejected.metadata else { continue };
            if registers(metadata, kind, plugin_name, class) {
                reasons.push(format!(
                    "`{class}` is registered by {}, which cannot be used: it {}",
                    rejected.path.display(),
                    rejected.reason()
                ));
            }
        }
        for shadowed in self.shadowed.iter().filter(|shadowed| !shadowed.identical) {
            if registers(&shadowed.metadata, kind, plugin_name, class) {
                reasons.push(format!(
                    "`{class}` is registered by {}, which is hidden by {}: both are the plugin `{}`, and the \
                     first in the order of the search is used",
                    shadowed.path.display(),
                    shadowed.by.display(),
                    shadowed.metadata.name
                ));
            }
        }
        for other in [Kind::System, Kind::Encoder, Kind::Head, Kind::Optimizer, Kind::Metric] {
            let plugin = self.plugins.iter().find(|plugin| plugin.classes(other).any(|one| one == class));
            if let Some(plugin) = plugin.filter(|_| other != kind) {
                let name = &plugin.metadata.name;
                reasons.push(format!(
                    "`{class}` of the plugin `{name}` is registered as {}",
                    other.with_article()
                ));
            }
        }
        if let Some(name) = plugin_name.filter(|name| self.plugin(name).is_none()) {
            reasons.push(format!("no usable plugin is named `{name}`"));
        }
        reasons
    }

    /// The plugins, the directories and the files that cannot be used, one a line.
    fn searched(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let names: Vec<_> = self
            .plugins
            .iter()
            .map(|plugin| format!("{} {}", plugin.metadata.name, plugin.metadata.version))
            .collect();
        lines.push(if names.is_empty() {
            "no plugins were found".to_owned()
        } else {
            format!("plugins found: {}", names.join(", "))
        });
        for searched in &self.directories {
            let (path, origin) = (searched.directory.path.display(), searched.directory.origin);
            let missing = if searched.searched { "" } else { ": not there" };
            lines.push(format!("searched {path} ({origin}){missing}"));
        }
        for rejected in &self.rejected {
            lines.push(format!("not usable: {}: it {}", rejected.path.display(), rejected.reason()));
        }
        lines
    }
}

/// The hash of the plugin that registers what was asked for.
pub(super) fn sha256<'a>(plugin: &'a Plugin, kind: Kind, asked: &str) -> Result<&'a str, LookupError> {
    plugin.sha256().map_err(|change| LookupError::Changed {
        kind,
        asked: asked.to_owned(),
        path: plugin.path.clone(),
        change,
    })
}

/// Whether a plugin of such metadata is the one that was asked for and has the class.
fn registers(plugin: &PluginMetadata, kind: Kind, name: Option<&str>, class: &str) -> bool {
    name.is_none_or(|name| same_name(&plugin.name, name)) && classes(plugin, kind).any(|one| one == class)
}

/// The classes of a kind that a plugin of such metadata registers.
pub(super) fn classes(plugin: &PluginMetadata, kind: Kind) -> impl Iterator<Item = &str> {
    let systems = plugin.systems.iter().filter(move |_| kind == Kind::System);
    let components = plugin.components.iter().filter(move |component| component.kind == kind.name());
    let systems = systems.map(|system| system.class.as_str());
    systems.chain(components.map(|component| component.class.as_str()))
}

/// `plugin::Class` in its parts.
pub(super) fn split(asked: &str) -> (Option<&str>, &str) {
    match asked.rsplit_once("::") {
        Some((plugin, class)) => (Some(plugin), class),
        None => (None, asked),
    }
}
