//! The plugins of a search path: those that can be used, and why the others cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kiwi_plugin_metadata::reader::PluginMetadata;

use super::Kind;
use super::compatibility::Rejection;
use super::inspect::{self, Inspection, inspect};
use super::lock::Lock;
use super::search::{Listing, Origin, SearchDirectory, SearchPath};
use crate::diagnostic::{Diagnostic, Severity};

/// A plugin that can be used.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The file.
    pub path: PathBuf,
    /// What the file says about itself.
    pub metadata: PluginMetadata,
    sha256: OnceLock<String>,
}

impl Plugin {
    fn new(path: PathBuf, metadata: PluginMetadata) -> Self {
        Self { path, metadata, sha256: OnceLock::new() }
    }

    /// SHA-256 of the file, read at the first call only: listing plugins needs none.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more, or is not the one whose metadata was read.
    pub fn sha256(&self) -> Result<&str, Changed> {
        if let Some(sha256) = self.sha256.get() {
            return Ok(sha256);
        }
        let bytes = inspect::read_file(&self.path).map_err(Changed::Rejected)?;
        // The very bytes that are hashed must say what was read before.
        let read = inspect::inspect_bytes(&bytes);
        if let Some(rejection) = read.rejections.into_iter().next() {
            return Err(Changed::Rejected(rejection));
        }
        if read.metadata.as_ref() != Some(&self.metadata) {
            return Err(Changed::Differs);
        }
        Ok(self.sha256.get_or_init(|| inspect::sha256(&bytes)))
    }

    /// The classes of a kind that it registers.
    pub fn classes(&self, kind: Kind) -> impl Iterator<Item = &str> {
        super::lookup::classes(&self.metadata, kind)
    }
}

/// What became of a plugin file after it was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Changed {
    /// It cannot be used any more.
    #[error("it {0}")]
    Rejected(Rejection),
    /// It says something else about itself.
    #[error("it was replaced by another while this command ran: run the command again")]
    Differs,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The file.
    pub path: PathBuf,
    /// Why; at least one reason.
    pub reasons: Vec<Rejection>,
    /// What it says about itself, where that could be read.
    pub metadata: Option<PluginMetadata>,
}

impl Rejected {
    /// Its reasons in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        self.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; and it ")
    }
}

/// A plugin that is not used because one of the same name was found before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The file.
    pub path: PathBuf,
    /// What it says about itself.
    pub metadata: PluginMetadata,
    /// The file that is used.
    pub by: PathBuf,
    /// Whether both files are the same byte for byte.
    pub identical: bool,
}

/// A directory and what the search of it gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// The directory.
    pub directory: SearchDirectory,
    /// Whether it exists and could be listed.
    pub searched: bool,
    /// Why it could not.
    pub problem: Option<String>,
}

/// The plugins of a search path.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Each directory of the search path, in order.
    pub directories: Vec<Searched>,
    /// The plugins that can be used, in the order of the search; no two have the same name.
    pub plugins: Vec<Plugin>,
    /// Plugins hidden by one of the same name.
    pub shadowed: Vec<Shadowed>,
    /// Files that cannot be used.
    pub rejected: Vec<Rejected>,
    /// Libraries in the program's own folder that are no plugins, as one expects there.
    pub ignored: Vec<Rejected>,
    /// Complaints about directories, and about the lock.
    pub diagnostics: Vec<Diagnostic>,
    /// What the plugins are held to.
    pub lock: Option<Lock>,
}

impl Registry {
    /// Looks through the directories. Never fails: whatever is wrong with a file is data of the result.
    #[must_use]
    pub fn discover(search: &SearchPath) -> Self {
        let mut registry = Self::default();
        for directory in &search.directories {
            let listing = directory.list();
            registry.diagnostics.extend(directory.complaint(&listing));
            let (files, problem) = match listing {
                Listing::Files(files) => (Some(files), None),
                Listing::Missing => (None, Some("does not exist".to_owned())),
                Listing::NotADirectory => (None, Some("is not a directory".to_owned())),
                Listing::Unreadable(error) => (None, Some(format!("cannot be read: {error}"))),
            };
            let searched = files.is_some();
            registry.directories.push(Searched { directory: directory.clone(), searched, problem });
            for path in files.unwrap_or_default() {
                let inspection = inspect(&path);
                registry.add(path, inspection, directory.origin);
            }
        }
        registry
    }

    fn add(&mut self, path: PathBuf, inspection: Inspection, origin: Origin) {
        let Inspection { metadata, rejections: reasons } = inspection;
        let metadata = match metadata {
            Some(metadata) if reasons.is_empty() => metadata,
            metadata => {
                let says_plugin = metadata.is_some()
                    || reasons.iter().any(|reason| matches!(reason, Rejection::Metadata(_)));
                let rejected = Rejected { path, reasons, metadata };
                if origin == Origin::ProgramFolder && !says_plugin {
                    self.ignored.push(rejected);
                } else {
                    self.rejected.push(rejected);
                }
                return;
            }
        };
        match self.plugins.iter().find(|plugin| plugin.metadata.name == metadata.name) {
            None => self.plugins.push(Plugin::new(path, metadata)),
            Some(first) => {
                let identical = first.metadata == metadata && same_bytes(&first.path, &path);
                self.shadowed.push(Shadowed { by: first.path.clone(), path, metadata, identical });
            }
        }
    }

    /// The plugin of a name; `-` and `_` are the same, as for crates.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&Plugin> {
        let exact = self.plugins.iter().find(|plugin| plugin.metadata.name == name);
        exact.or_else(|| self.plugins.iter().find(|plugin| same_name(&plugin.metadata.name, name)))
    }

    /// The complaints about directories and the lock that stop a command.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Whether two names mean the same crate.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes().zip(b.bytes()).all(|(a, b)| a == b || (b"-_".contains(&a) && b"-_".contains(&b)))
}

fn same_bytes(first: &Path, second: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    let hash = |path: &Path| inspect::read_file(path).map(|bytes| inspect::sha256(&bytes)).ok();
    length(first) == length(second) && hash(first).is_some_and(|first| Some(first) == hash(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::search::Sources;
    use crate::plugins::testing::{library, metadata, with_component};

    fn discover(directories: &[&Path]) -> Registry {
        let options: Vec<_> = directories.iter().map(|path| path.to_path_buf()).collect();
        Registry::discover(&SearchPath::new(Sources { options: &options, ..Sources::default() }))
    }

    #[test]
    fn good_plugins_are_registered_and_broken_files_are_only_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = library(folder.path(), "libgood.so", &with_component("good", "encoder", "Bag"));
        fs::write(folder.path().join("libbroken.so"), "not a library").unwrap();
        let registry = discover(&[folder.path()]);
        assert_eq!(registry.plugins.len(), 1);
        assert_eq!(registry.plugins[0].path, path);
        assert_eq!(registry.plugins[0].classes(Kind::Encoder).collect::<Vec<_>>(), ["Bag"]);
        assert_eq!(registry.plugins[0].classes(Kind::Head).count(), 0);
        assert_eq!(registry.rejected.len(), 1);
        assert!(registry.rejected[0].reason().starts_with("is a text file"));
        assert_eq!(registry.errors().count(), 0);
    }

    #[test]
    fn the_first_of_a_name_wins_and_the_others_are_told_apart() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let plugin = with_component("twin", "encoder", "Bag");
        let used = library(first.path(), "libtwin.so", &plugin);
        fs::copy(&used, second.path().join("libcopy.so")).unwrap();
        library(second.path(), "libother.so", &with_component("twin", "encoder", "Sack"));

        let registry = discover(&[first.path(), second.path()]);
        assert_eq!(registry.plugins.len(), 1);
        let shadowed: Vec<_> = registry.shadowed.iter().map(|s| (&s.by, s.identical)).collect();
        assert_eq!(shadowed, [(&used, true), (&used, false)]);

        let reversed = discover(&[second.path(), first.path()]);
        assert_eq!(reversed.plugins[0].path, second.path().join("libcopy.so"));
    }

    #[test]
    fn an_unusable_plugin_does_not_hide_a_usable_one() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        library(first.path(), "libx.so", &PluginMetadata { torch: "1.0.0".into(), ..metadata("x") });
        let usable = library(second.path(), "libx.so", &metadata("x"));
        let registry = discover(&[first.path(), second.path()]);
        assert_eq!(registry.plugins[0].path, usable);
        assert_eq!(registry.rejected.len(), 1);
    }

    #[test]
    fn ordinary_libraries_beside_the_program_are_no_complaint() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kiwi-host");
        fs::write(folder.path().join("libplain.so"), "INPUT(libplain.so.1)").unwrap();
        let torch = PluginMetadata { torch: "1.0.0".into(), ..metadata("old") };
        library(folder.path(), "libold.so", &torch);
        let search = SearchPath::new(Sources { program: Some(&program), ..Sources::default() });
        let registry = Registry::discover(&search);
        assert_eq!(registry.ignored.len(), 1);
        assert_eq!(registry.rejected.len(), 1);
        assert_eq!(registry.rejected[0].metadata, Some(torch));
    }

    #[test]
    fn the_hash_is_that_of_the_file_whose_metadata_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = library(folder.path(), "liba.so", &metadata("a"));
        let registry = discover(&[folder.path()]);
        let expected = inspect::sha256(&fs::read(&path).unwrap());
        assert_eq!(registry.plugins[0].sha256().unwrap(), expected);

        let registry = discover(&[folder.path()]);
        library(folder.path(), "liba.so", &metadata("b"));
        assert_eq!(registry.plugins[0].sha256(), Err(Changed::Differs));
        fs::write(&path, "").unwrap();
        assert_eq!(registry.plugins[0].sha256(), Err(Changed::Rejected(Rejection::Empty)));
    }

    #[test]
    fn plugin_names_are_crate_names() {
        assert!(same_name("kiwi-encoders", "kiwi_encoders"));
        assert!(!same_name("kiwi-encoders", "kiwi.encoders"));
        assert!(!same_name("kiwi", "kiwi-"));
    }
}
