//! Libraries that a plugin carries beside it and has the loader look for there (`$ORIGIN` in its search path). The copy of a
//! plugin lies nowhere, so that `$ORIGIN` would lead nowhere either: for the moment of opening, the copy gets a folder in which
//! everything lies as it does around the plugin.
//!
//! The folder holds links to copies, made like the plugin's own, of the libraries that are needed and found; it is removed as
//! soon as the plugin is open, so that nothing is left over. The hash of a plugin is that of its own file: the libraries
//! beside it are not part of it.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;
use thiserror::Error;

use super::compatibility::Rejection;
use super::inspect;
use super::linkage::{self, Linkage};
use super::sealed::{self, SealedCopy};

/// How far up from its own folder a plugin may carry libraries.
const STEPS_UP: usize = 8;
/// Libraries that a plugin may carry.
const LIBRARIES: usize = 256;

/// Why a plugin cannot be opened with what lies beside it.
#[derive(Debug, Error)]
pub enum Error {
    /// The plugin cannot be copied.
    #[error(transparent)]
    Copy(sealed::Error),
    /// A library cannot be copied.
    #[error("the library {}, which it carries, cannot be used: {error}", .file.display())]
    Library {
        /// The library.
        file: PathBuf,
        /// Why.
        error: sealed::Error,
    },
    /// A library is linked in a way that a plugin must not be.
    #[error("the library {}, which it carries, {reason}", .file.display())]
    Linkage {
        /// The library.
        file: PathBuf,
        /// Why.
        reason: Rejection,
    },
    /// The copy says of itself what the file did not.
    #[error("it {0}")]
    Rejected(Rejection),
    /// The folder cannot be made.
    #[error("the libraries that it carries cannot be linked to in {}: {reason}; set TMPDIR to a directory that can be written", .folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// It carries too many.
    #[error("it carries more than {LIBRARIES} libraries")]
    TooMany,
}

/// A plugin ready to be opened: the copy, and around it the libraries that it carries.
#[derive(Debug)]
pub struct Ready {
    plugin: SealedCopy,
    libraries: Vec<SealedCopy>,
    /// The folder, and the plugin in it.
    folder: Option<(TempDir, PathBuf)>,
    linkage: Linkage,
}

impl Ready {
    /// Copies the plugin of this file, and what it carries.
    ///
    /// # Errors
    ///
    /// Something cannot be copied, or a library would bring a second libtorch.
    pub fn of(file: &Path) -> Result<Self, Error> {
        let plugin = SealedCopy::of(file).map_err(Error::Copy)?;
        let linkage = inspect::linkage(plugin.path()).map_err(Error::Rejected)?;
        let mut ready = Self { plugin, libraries: Vec::new(), folder: None, linkage };
        ready.gather(file)?;
        Ok(ready)
    }

    /// The path to open it by.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.as_ref().map_or(self.plugin.path(), |(_, path)| path)
    }

    /// SHA-256 of the plugin's bytes, in lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.plugin.sha256()
    }

    /// How the plugin is linked.
    #[must_use]
    pub fn linkage(&self) -> &Linkage {
        &self.linkage
    }

    /// After the opening: keeps what is mapped until the process ends, and removes the folder.
    pub fn keep(self) {
        self.plugin.keep();
        self.libraries.into_iter().for_each(SealedCopy::keep);
    }

    fn gather(&mut self, file: &Path) -> Result<(), Error> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let (Some(origin), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
        let mut waiting = VecDeque::from([Carrier {
            real: origin.to_owned(),
            shown: (0..STEPS_UP).map(|step| step.to_string()).collect(),
            linkage: self.linkage.clone(),
            inherited: Vec::new(),
        }]);
        while let Some(carrier) = waiting.pop_front() {
            let places = carrier.places();
            for needed in carrier.linkage.needed.iter().filter(|needed| !needed.contains('/')) {
                // Met by the host's, whatever lies there.
                if linkage::library_of_libtorch(needed).is_some() {
                    continue;
                }
                let found = places.iter().find(|(real, _)| real.join(needed).is_file());
                let Some((real, shown)) = found else { continue };
                let link = self.folder(name)?.join(shown).join(needed);
                if fs::symlink_metadata(&link).is_ok() {
                    continue;
                }
                let library = real.join(needed);
                let (copy, linkage) = copied(&library)?;
                make_link(copy.path(), &link)?;
                self.libraries.push(copy);
                if self.libraries.len() > LIBRARIES {
                    return Err(Error::TooMany);
                }
                let inherited = if carrier.linkage.search_is_inherited { places.clone() } else { Vec::new() };
                waiting.push_back(Carrier { real: real.clone(), shown: shown.clone(), linkage, inherited });
            }
        }
        Ok(())
    }

    /// The folder, made if it was not yet, with the plugin in it.
    fn folder(&mut self, name: &OsStr) -> Result<&Path, Error> {
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => {
                let place = std::env::temp_dir();
                let made = tempfile::Builder::new().prefix("kiwi-host-").tempdir_in(&place);
                let made = made.map_err(|reason| Error::Folder { folder: place, reason })?;
                let inner: PathBuf = (0..STEPS_UP).map(|step| step.to_string()).collect();
                let plugin = made.path().join(inner).join(name);
                make_link(self.plugin.path(), &plugin)?;
                (made, plugin)
            }
        };
        Ok(self.folder.insert(folder).0.path())
    }
}

/// A library whose needs are looked for.
struct Carrier {
    /// The folder it lies in.
    real: PathBuf,
    /// That folder below the one that is made.
    shown: PathBuf,
    linkage: Linkage,
    /// Where those that need it look, as far as that holds for it too.
    inherited: Vec<(PathBuf, PathBuf)>,
}

impl Carrier {
    /// Where it has libraries looked for that are carried: the folders as they are, and as they are shown.
    fn places(&self) -> Vec<(PathBuf, PathBuf)> {
        let own = self.linkage.search.iter().filter_map(|entry| {
            let rest = linkage::beside(entry)?;
            Some((self.real.join(rest), lexical(&self.shown.join(rest))?))
        });
        own.chain(self.inherited.iter().cloned()).collect()
    }
}

/// A path below a folder without `..`; `None` if it leads out of the folder.
fn lexical(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

fn copied(library: &Path) -> Result<(SealedCopy, Linkage), Error> {
    let unusable = |reason| Error::Linkage { file: library.to_owned(), reason };
    let copy = SealedCopy::of(library).map_err(|error| Error::Library { file: library.to_owned(), error })?;
    let linkage = inspect::linkage(copy.path()).map_err(unusable)?;
    match linkage.second_libtorches().into_iter().next() {
        Some(reason) => Err(unusable(reason.into())),
        None => Ok((copy, linkage)),
    }
}

fn make_link(to: &Path, link: &Path) -> Result<(), Error> {
    let folder = link.parent().unwrap_or(link);
    let made = fs::create_dir_all(folder).and_then(|()| symlink(to, link));
    made.map_err(|reason| Error::Folder { folder: folder.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A library that needs these others, which exist, and looks for them there.
    fn library(path: &Path, needs: &[&Path], search: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let source = path.with_extension("c");
        fs::write(&source, "int nothing_at_all;\n").unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-nostdlib", "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", "-o"]);
        cc.arg(path).arg(&source);
        for needed in needs {
            // By name, as one without a name of its own is needed too.
            cc.arg("-L").arg(needed.parent().unwrap());
            cc.arg(format!("-l:{}", needed.file_name().unwrap().to_str().unwrap()));
        }
        cc.arg(format!("-Wl,-rpath,{search}"));
        assert!(cc.status().unwrap().success());
    }

    #[test]
    fn what_a_plugin_carries_lies_around_its_copy_as_it_does_around_the_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (deep, near, far) = (at("lib/deep/libdeep.so"), at("plugins/libnear.so"), at("lib/libfar.so"));
        library(&deep, &[], "/nowhere");
        library(&far, &[&deep], "$ORIGIN/deep");
        library(&near, &[], "/nowhere");
        library(&at("plugins/libplugin.so"), &[&near, &far], "$ORIGIN:/nowhere:${ORIGIN}/../lib");

        let ready = Ready::of(&at("plugins/libplugin.so")).unwrap();
        let shown = ready.path().to_owned();
        assert_eq!(shown.file_name().unwrap(), "libplugin.so");
        let (origin, bytes) = (shown.parent().unwrap(), |path: &Path| fs::read(path).unwrap());
        for (name, real) in [
            ("libplugin.so", &at("plugins/libplugin.so")),
            ("libnear.so", &near),
            ("../lib/libfar.so", &far),
            ("../lib/deep/libdeep.so", &deep),
        ] {
            assert_eq!(bytes(&origin.join(name)), bytes(real), "{name}");
        }
        // They are copies as well.
        let before = bytes(&far);
        fs::write(&far, "cut").unwrap();
        assert_eq!(bytes(&origin.join("../lib/libfar.so")), before);
        ready.keep();
        assert!(!shown.exists(), "the folder is removed");
    }

    #[test]
    fn a_plugin_that_carries_nothing_needs_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libplugin.so");
        library(&path, &[], "$ORIGIN:$ORIGIN/../lib");
        let ready = Ready::of(&path).unwrap();
        assert!(ready.path().starts_with("/proc"), "{}", ready.path().display());
        assert_eq!(ready.sha256(), inspect::sha256(&fs::read(&path).unwrap()));
        assert_eq!(ready.linkage().search.len(), 2);
    }

    #[test]
    fn a_libtorch_that_is_carried_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (torch, helper) = (at("libs/libtorch_cpu-12ab34cd.so"), at("libs/libhelper.so"));
        library(&torch, &[], "/nowhere");
        library(&helper, &[&torch], "$ORIGIN");
        library(&at("libplugin.so"), &[&helper], "$ORIGIN/libs");
        let error = Ready::of(&at("libplugin.so")).unwrap_err().to_string();
        assert!(
            error.contains("libs/libhelper.so, which it carries, needs `libtorch_cpu-12ab34cd.so`"),
            "{error}"
        );
        // One of the right name is not taken: the host's is.
        let plain = at("libs/libc10.so");
        library(&plain, &[], "/nowhere");
        library(&at("libplugin.so"), &[&plain], "$ORIGIN/libs");
        assert!(Ready::of(&at("libplugin.so")).unwrap().path().starts_with("/proc"));
    }

    #[test]
    fn paths_stay_in_the_folder() {
        assert_eq!(lexical(Path::new("0/1/../../lib/./x")), Some(PathBuf::from("lib/x")));
        assert_eq!(lexical(Path::new("0/../..")), None);
        assert_eq!(lexical(Path::new("/lib")), None);
    }
}
