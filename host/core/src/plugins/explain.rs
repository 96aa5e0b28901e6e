//! The search for a class as it happened: where was looked, what became of each file there, which plugins register the class, and
//! which of them is used. Data for `plugins list --why`; nothing here prints.

use std::path::{Path, PathBuf};

use kiwi_plugin_metadata::reader::PluginMetadata;
use serde::Serialize;

use super::Kind;
use super::lookup::{LookupError, classes, split};
use super::registry::{Registry, same_name};
use crate::diagnostic::nearest;

const KINDS: [Kind; 5] = [Kind::System, Kind::Encoder, Kind::Head, Kind::Optimizer, Kind::Metric];

/// How a name was looked up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The name as it was asked for.
    pub asked: String,
    /// The plugin that it names, if it names one.
    pub plugin: Option<String>,
    /// The class that it names.
    pub class: String,
    /// Whether it stands for one component, of each kind that registers it.
    pub resolves: bool,
    /// What came of it, a kind each; one at least.
    pub outcomes: Vec<Outcome>,
    /// Where was looked, in order.
    pub directories: Vec<Directory>,
}

/// What came of a name where a component of this kind is meant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The kind; `None` where nothing of any kind goes by that name.
    pub kind: Option<Kind>,
    /// The component that the name stands for.
    pub used: Option<Registered>,
    /// All components of the class in plugins that can be used, whatever plugin was asked for.
    pub registered: Vec<Registered>,
    /// The name nearest in spelling, where nothing goes by this one.
    pub nearest: Option<String>,
    /// What may explain that nothing goes by it, the best explanation first.
    pub reasons: Vec<String>,
}

/// A component of the class in a plugin that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// `plugin::Class`, which is unambiguous.
    pub qualified: String,
    /// The plugin's version.
    pub version: String,
    /// The plugin's file.
    pub file: PathBuf,
}

/// A directory of the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Directory {
    /// The directory.
    pub path: PathBuf,
    /// Why it is searched.
    pub origin: String,
    /// Why it could not be searched.
    pub problem: Option<String>,
    /// The files in it that may be plugins, in order.
    pub files: Vec<File>,
}

/// A file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// The file.
    pub path: PathBuf,
    /// The plugin's name, where that could be read.
    pub plugin: Option<String>,
    /// The plugin's version, likewise.
    pub version: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Why it cannot be used, or what hides it.
    pub reasons: Vec<String>,
    /// As what it registers the class.
    pub registers: Vec<Kind>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is a plugin that can be used.
    Usable,
    /// A plugin of the same name was found before.
    Hidden,
    /// It cannot be used.
    Unusable,
    /// It is a library in the program's own folder and no plugin.
    PassedOver,
}

impl Registry {
    /// How the name `asked`, `Class` or `plugin::Class`, was looked up where a component of this kind is meant, or one of any kind.
    #[must_use]
    pub fn explain(&self, kind: Option<Kind>, asked: &str) -> Explanation {
        let (plugin, class) = split(asked);
        let outcomes = self.outcomes(kind, asked);
        Explanation {
            asked: asked.to_owned(),
            plugin: plugin.map(str::to_owned),
            class: class.to_owned(),
            resolves: outcomes.iter().all(|outcome| outcome.used.is_some()),
            outcomes,
            directories: self.explained_directories(class),
        }
    }

    fn outcomes(&self, kind: Option<Kind>, asked: &str) -> Vec<Outcome> {
        let (plugin, class) = split(asked);
        let kinds: Vec<Kind> = match kind {
            Some(kind) => vec![kind],
            None => {
                let of_meant = |kind: &Kind| {
                    let meant = self
                        .plugins
                        .iter()
                        .filter(|one| plugin.is_none_or(|name| same_name(&one.metadata.name, name)));
                    meant.flat_map(|one| one.classes(*kind)).any(|one| one == class)
                };
                KINDS.into_iter().filter(of_meant).collect()
            }
        };
        if kinds.is_empty() {
            return vec![self.of_no_kind(asked)];
        }
        kinds.into_iter().map(|kind| self.outcome(kind, asked)).collect()
    }

    fn outcome(&self, kind: Kind, asked: &str) -> Outcome {
        let registered = self.registered(kind, split(asked).1);
        let none = Outcome { kind: Some(kind), used: None, registered, nearest: None, reasons: Vec::new() };
        match self.find(kind, asked) {
            Ok(found) => {
                let is_it = |one: &&Registered| one.file == found.plugin.path;
                Outcome { used: none.registered.iter().find(is_it).cloned(), ..none }
            }
            Err(LookupError::NotRegistered { nearest, reasons, .. }) => Outcome { nearest, reasons, ..none },
            Err(LookupError::Ambiguous { .. } | LookupError::Changed { .. } | LookupError::Locked { .. }) => {
                none
            }
        }
    }

    /// The outcome for a name that nothing goes by.
    fn of_no_kind(&self, asked: &str) -> Outcome {
        let (plugin, class) = split(asked);
        let mut reasons = Vec::new();
        let mut names = Vec::new();
        for kind in KINDS {
            if let Err(LookupError::NotRegistered { reasons: of_kind, .. }) = self.find(kind, asked) {
                reasons.extend(
                    of_kind.into_iter().filter(|reason| !reasons.contains(reason)).collect::<Vec<_>>(),
                );
            }
            for one in &self.plugins {
                let name = &one.metadata.name;
                names.extend(one.classes(kind).map(|class| match plugin {
                    Some(_) => format!("{name}::{class}"),
                    None => class.to_owned(),
                }));
            }
        }
        let elsewhere =
            KINDS.into_iter().flat_map(|kind| self.registered(kind, class)).map(|one| one.qualified).next();
        let near = elsewhere.or_else(|| nearest(asked, names.iter().map(String::as_str)).map(str::to_owned));
        Outcome { kind: None, used: None, registered: Vec::new(), nearest: near, reasons }
    }

    fn registered(&self, kind: Kind, class: &str) -> Vec<Registered> {
        let with_class = self.plugins.iter().filter(|plugin| plugin.classes(kind).any(|one| one == class));
        with_class
            .map(|plugin| Registered {
                qualified: format!("{}::{class}", plugin.metadata.name),
                version: plugin.metadata.version.clone(),
                file: plugin.path.clone(),
            })
            .collect()
    }

    fn explained_directories(&self, class: &str) -> Vec<Directory> {
        let files = self.explained_files(class);
        self.directories
            .iter()
            .map(|searched| {
                let path = searched.directory.path.clone();
                let mut files: Vec<_> =
                    files.iter().filter(|file| file.path.parent() == Some(&path)).cloned().collect();
                files.sort_by(|a, b| a.path.cmp(&b.path));
                Directory {
                    origin: searched.directory.origin.to_string(),
                    problem: searched.problem.clone(),
                    files,
                    path,
                }
            })
            .collect()
    }

    fn explained_files(&self, class: &str) -> Vec<File> {
        let file = |path: &Path, metadata: Option<&PluginMetadata>, status, reasons| File {
            path: path.to_owned(),
            plugin: metadata.map(|metadata| metadata.name.clone()),
            version: metadata.map(|metadata| metadata.version.clone()),
            status,
            reasons,
            registers: KINDS
                .into_iter()
                .filter(|kind| {
                    metadata.is_some_and(|metadata| classes(metadata, *kind).any(|one| one == class))
                })
                .collect(),
        };
        let usable =
            self.plugins.iter().map(|one| file(&one.path, Some(&one.metadata), Status::Usable, Vec::new()));
        let hidden = self.shadowed.iter().map(|one| {
            let what = if one.identical { "the same file" } else { "another plugin of this name" };
            let reason = format!("{what}, {}, was found first", one.by.display());
            file(&one.path, Some(&one.metadata), Status::Hidden, vec![reason])
        });
        let rejected = [(&self.rejected, Status::Unusable), (&self.ignored, Status::PassedOver)];
        let rejected = rejected.into_iter().flat_map(|(all, status)| {
            all.iter().map(move |one| {
                let reasons = one.reasons.iter().map(|reason| format!("it {reason}")).collect();
                file(&one.path, one.metadata.as_ref(), status, reasons)
            })
        });
        usable.chain(hidden).chain(rejected).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::plugins::search::{SearchPath, Sources};
    use crate::plugins::testing::{component, library, with_component};

    /// Two directories and one that is missing: a plugin, its copy, one that is too old, one with the same class, and a text.
    fn searched() -> (TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        let directories = ["a", "b", "missing"].map(|name| folder.path().join(name));
        directories[..2].iter().for_each(|path| fs::create_dir(path).unwrap());
        let mut one = with_component("kiwi-one", "encoder", "Bag");
        one.components.push(component("head", "Out"));
        let used = library(&directories[0], "libone.so", &one);
        let old = PluginMetadata { torch: "1.0.0".into(), ..with_component("old", "metric", "Old") };
        library(&directories[0], "libold.so", &old);
        fs::copy(&used, directories[1].join("libcopy.so")).unwrap();
        library(&directories[1], "libtwo.so", &with_component("two", "head", "Out"));
        fs::write(directories[1].join("libtext.so"), "text").unwrap();
        let search = SearchPath::new(Sources { options: &directories, ..Sources::default() });
        let registry = Registry::discover(&search);
        (folder, registry)
    }

    fn qualified(all: &[Registered]) -> Vec<&str> {
        all.iter().map(|one| one.qualified.as_str()).collect()
    }

    #[test]
    fn each_file_is_told_in_the_order_of_the_search() {
        let (_folder, registry) = searched();
        let explanation = registry.explain(None, "Bag");
        assert!(explanation.resolves);
        let told: Vec<Vec<_>> = explanation
            .directories
            .iter()
            .map(|directory| {
                let name = |file: &File| file.path.file_name().unwrap().to_str().unwrap().to_owned();
                directory
                    .files
                    .iter()
                    .map(|file| (name(file), file.status, !file.registers.is_empty()))
                    .collect()
            })
            .collect();
        let of = |name: &str, status, registers| (name.to_owned(), status, registers);
        assert_eq!(
            told,
            [
                vec![of("libold.so", Status::Unusable, false), of("libone.so", Status::Usable, true)],
                vec![
                    of("libcopy.so", Status::Hidden, true),
                    of("libtext.so", Status::Unusable, false),
                    of("libtwo.so", Status::Usable, false)
                ],
                vec![],
            ]
        );
        let problems: Vec<_> = explanation.directories.iter().map(|one| one.problem.as_deref()).collect();
        assert_eq!(problems, [None, None, Some("does not exist")]);
        assert_eq!(explanation.outcomes[0].used.as_ref().unwrap().qualified, "kiwi-one::Bag");
    }

    #[test]
    fn a_class_of_two_plugins_resolves_only_with_the_plugin() {
        let (_folder, registry) = searched();
        let ambiguous = registry.explain(None, "Out");
        assert!(!ambiguous.resolves);
        assert_eq!(ambiguous.outcomes[0].kind, Some(Kind::Head));
        assert_eq!(ambiguous.outcomes[0].used, None);
        assert_eq!(qualified(&ambiguous.outcomes[0].registered), ["kiwi-one::Out", "two::Out"]);
        for asked in ["kiwi-one::Out", "kiwi_one::Out"] {
            let explanation = registry.explain(Some(Kind::Head), asked);
            assert!(explanation.resolves, "{asked}");
            assert_eq!(explanation.outcomes[0].used.as_ref().unwrap().qualified, "kiwi-one::Out");
        }
    }

    #[test]
    fn a_name_that_nothing_goes_by_has_the_nearest_and_the_reasons() {
        let (_folder, registry) = searched();
        let of = |kind, asked| {
            let explanation = registry.explain(kind, asked);
            assert!(!explanation.resolves, "{asked}");
            explanation.outcomes.into_iter().next().unwrap()
        };
        assert_eq!(of(None, "Bgag").nearest.as_deref(), Some("Bag"));
        assert_eq!(of(None, "kiwi-noe::Bag").nearest.as_deref(), Some("kiwi-one::Bag"));
        assert_eq!(of(None, "two::Bag").nearest.as_deref(), Some("kiwi-one::Bag"));
        assert_eq!(of(None, "zzz").nearest, None);
        let old = of(None, "Old");
        assert!(old.reasons[0].contains("which cannot be used: it is built against torch 1.0.0"), "{old:?}");
        let other_kind = of(Some(Kind::Encoder), "Out");
        assert!(other_kind.reasons[0].contains("is registered as a head"), "{other_kind:?}");
    }
}
