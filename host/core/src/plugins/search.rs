//! Where plugins are looked for, in which order, and which files of a directory may be plugins.

use std::collections::HashSet;
use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::diagnostic::Diagnostic;
use crate::environment;
use crate::error_code::Code;

/// File name of the engine, which lies beside plugins and is none.
#[must_use]
pub fn engine_file_name() -> String {
    format!("{DLL_PREFIX}kiwi_engine{DLL_SUFFIX}")
}

/// File name of the library by which processes sum over GPUs, which lies beside plugins and is none.
#[must_use]
pub fn nccl_file_name() -> String {
    format!("{DLL_PREFIX}kiwi_nccl{DLL_SUFFIX}")
}

/// Where a library that belongs to this program may lie: beside it, else where an installation puts libraries.
#[must_use]
pub fn places_of(library: &str, program: &Path) -> Vec<PathBuf> {
    let program = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let folder = program.parent().unwrap_or(Path::new("."));
    let installed = folder.parent().map(|prefix| prefix.join("lib").join("kiwi-host"));
    [Some(folder.to_owned()), installed].into_iter().flatten().map(|place| place.join(library)).collect()
}

/// Why a directory is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `--plugin-dir`.
    Option,
    /// [`environment::KIWI_PLUGIN_PATH`].
    Variable,
    /// The user's own plugins.
    UserData,
    /// A folder for plugins beside the program.
    Program,
    /// The program's own folder, where a build leaves plugins among other libraries.
    ProgramFolder,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "--plugin-dir",
            Self::Variable => environment::KIWI_PLUGIN_PATH.name,
            Self::UserData => "the user's data directory",
            Self::Program | Self::ProgramFolder => "beside the program",
        })
    }
}

/// A directory to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchDirectory {
    /// The directory as it was given.
    pub path: PathBuf,
    /// Why it is searched.
    pub origin: Origin,
}

/// Directories in the order in which they are searched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchPath {
    /// The directories; none stands twice.
    pub directories: Vec<SearchDirectory>,
}

/// What a search path is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// The directories of `--plugin-dir`.
    pub options: &'a [PathBuf],
    /// The value of [`environment::KIWI_PLUGIN_PATH`].
    pub variable: Option<&'a OsStr>,
    /// The user's data directory, in which `kiwi-host/plugins` is searched.
    pub user_data: Option<&'a Path>,
    /// The running program.
    pub program: Option<&'a Path>,
}

impl SearchPath {
    /// The search path of a command: its `--plugin-dir`s, then what the environment says, then beside the program.
    #[must_use]
    pub fn of_command(options: &[PathBuf], program: &Path) -> Self {
        let variable = env::var_os(environment::KIWI_PLUGIN_PATH.name);
        let user_data = etcetera::choose_base_strategy().ok().map(|base| base.data_dir());
        Self::new(Sources {
            options,
            variable: variable.as_deref(),
            user_data: user_data.as_deref(),
            program: Some(program),
        })
    }

    /// The search path that these sources make.
    #[must_use]
    pub fn new(sources: Sources<'_>) -> Self {
        let mut all: Vec<(PathBuf, Origin)> = Vec::new();
        all.extend(sources.options.iter().map(|path| (path.clone(), Origin::Option)));
        let variable = env::split_paths(sources.variable.unwrap_or_default());
        all.extend(variable.filter(|path| !path.as_os_str().is_empty()).map(|path| (path, Origin::Variable)));
        if let Some(data) = sources.user_data {
            all.push((data.join("kiwi-host").join("plugins"), Origin::UserData));
        }
        if let Some(program) = sources.program {
            let program = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
            if let Some(folder) = program.parent() {
                all.push((folder.join("plugins"), Origin::Program));
                all.push((folder.to_owned(), Origin::ProgramFolder));
                if let Some(prefix) = folder.parent() {
                    all.push((prefix.join("lib").join("kiwi-host").join("plugins"), Origin::Program));
                }
            }
        }

        let mut seen = HashSet::new();
        all.retain(|(path, _)| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
        let directories = all.into_iter().map(|(path, origin)| SearchDirectory { path, origin }).collect();
        Self { directories }
    }
}

/// What a directory gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Files that may be plugins, sorted by name.
    Files(Vec<PathBuf>),
    /// It does not exist.
    Missing,
    /// It is a file or the like.
    NotADirectory,
    /// The operating system does not let us list it.
    Unreadable(String),
}

impl SearchDirectory {
    /// The files that may be plugins: `lib*.so` (or as the platform names libraries), but for the engine.
    #[must_use]
    pub fn list(&self) -> Listing {
        let entries = fs::read_dir(&self.path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound => Listing::Missing,
                    io::ErrorKind::NotADirectory => Listing::NotADirectory,
                    _ => Listing::Unreadable(error.to_string()),
                };
            }
        };
        let others = [engine_file_name(), nccl_file_name()];
        let mut files: Vec<_> = entries
            .into_iter()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(DLL_PREFIX)
                    && name.ends_with(DLL_SUFFIX)
                    && !others.contains(&name.into_owned())
            })
            .map(|entry| entry.path())
            .collect();
        files.sort();
        Listing::Files(files)
    }

    /// The complaint about a directory that someone named and that cannot be searched: an error for one of the command
    /// line, a warning for one of the environment, which may serve several machines. `None` if nobody named it.
    #[must_use]
    pub fn complaint(&self, listing: &Listing) -> Option<Diagnostic> {
        let path = self.path.display();
        let what = match listing {
            Listing::Files(_) => return None,
            Listing::Missing => format!("the plugin directory {path} does not exist"),
            Listing::NotADirectory => format!("the plugin directory {path} is not a directory"),
            Listing::Unreadable(error) => format!("the plugin directory {path} cannot be read: {error}"),
        };
        let file_itself = matches!(listing, Listing::NotADirectory) && self.path.is_file();
        let (diagnostic, given) = match self.origin {
            Origin::Option => (Diagnostic::error(Code::PluginDirectory, what), "--plugin-dir"),
            Origin::Variable => {
                (Diagnostic::warning(Code::PluginDirectory, what), environment::KIWI_PLUGIN_PATH.name)
            }
            Origin::UserData | Origin::Program | Origin::ProgramFolder => match listing {
                // Where plugins may lie, none need to; what is there must be readable, or plugins go missing silently.
                Listing::Missing => return None,
                _ => return Some(Diagnostic::warning(Code::PluginDirectory, what)),
            },
        };
        let diagnostic = diagnostic
            .found(format!("{path} in {given}"))
            .expected("a directory that holds plugins, which are shared libraries");
        Some(match self.path.parent() {
            Some(parent) if file_itself => {
                diagnostic.help(format!("name the directory the plugin lies in: {}", parent.display()))
            }
            _ => diagnostic.help(format!("correct {given}, or create the directory")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::diagnostic::Severity;

    fn paths(search: &SearchPath) -> Vec<&Path> {
        search.directories.iter().map(|directory| directory.path.as_path()).collect()
    }

    #[test]
    fn the_order_is_option_variable_user_program() {
        let options = [PathBuf::from("/b"), PathBuf::from("/a")];
        let variable = OsString::from("/d::/c");
        let search = SearchPath::new(Sources {
            options: &options,
            variable: Some(&variable),
            user_data: Some(Path::new("/home/user/.local/share")),
            program: Some(Path::new("/opt/kiwi/bin/kiwi-host")),
        });
        let expected = [
            "/b",
            "/a",
            "/d",
            "/c",
            "/home/user/.local/share/kiwi-host/plugins",
            "/opt/kiwi/bin/plugins",
            "/opt/kiwi/bin",
            "/opt/kiwi/lib/kiwi-host/plugins",
        ];
        assert_eq!(paths(&search), expected.map(Path::new));
    }

    #[test]
    fn a_directory_counts_once_under_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let options = [link.clone(), real.clone(), real.join("../real"), PathBuf::from("/missing")];
        let search = SearchPath::new(Sources { options: &options, ..Sources::default() });
        assert_eq!(paths(&search), [link.as_path(), Path::new("/missing")]);
    }

    #[test]
    fn only_libraries_are_listed_by_name_and_never_those_of_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, nccl) = (engine_file_name(), nccl_file_name());
        for name in ["libb.so", "liba.so", "a.so", "liba.so.1", "libc.d", "notes.txt", &engine, &nccl] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let directory = SearchDirectory { path: folder.path().to_owned(), origin: Origin::Option };
        let expected = vec![folder.path().join("liba.so"), folder.path().join("libb.so")];
        assert_eq!(directory.list(), Listing::Files(expected));
    }

    #[test]
    fn only_directories_that_someone_named_are_complained_about() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("liba.so");
        fs::write(&file, "").unwrap();
        let complaint = |path: &Path, origin| {
            let directory = SearchDirectory { path: path.to_owned(), origin };
            directory.complaint(&directory.list())
        };
        let missing = folder.path().join("missing");

        let option = complaint(&missing, Origin::Option).unwrap();
        assert_eq!(option.severity, Severity::Error);
        assert!(option.message.ends_with("does not exist"), "{}", option.message);
        let variable = complaint(&missing, Origin::Variable).unwrap();
        assert_eq!(variable.severity, Severity::Warning);
        assert!(variable.help.unwrap().contains("KIWI_PLUGIN_PATH"));
        assert_eq!(complaint(&missing, Origin::UserData), None);
        assert_eq!(complaint(folder.path(), Origin::Option), None);

        let file = complaint(&file, Origin::Option).unwrap();
        assert!(file.message.ends_with("is not a directory"));
        assert!(file.help.unwrap().contains(&folder.path().display().to_string()));
    }
}
