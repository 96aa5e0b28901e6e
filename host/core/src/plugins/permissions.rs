//! Who besides the user can change a plugin: whoever can write to its file, or to a directory on the way to it, decides what
//! a run that uses it does.
//!
//! A directory that everyone may write to but where everyone may remove only what is theirs (sticky, as `/tmp`) is no
//! way to change a plugin further down. As the directory of plugins itself it is: a plugin of another name may be added
//! there, that registers the same class or comes first in the order of the search.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::error_code::Code;
use crate::shell;

const GROUP: u32 = 0o020;
const EVERYONE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What lies on the way to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Directory,
    Ancestor,
}

/// Something that others than the user can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// What can be changed.
    pub path: PathBuf,
    /// Who can, and what: a fragment that begins with the path.
    pub how: String,
    /// How it is now.
    pub found: String,
    /// What to do, most often a command.
    pub help: String,
}

impl Exposed {
    /// The warning.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic::warning(Code::PluginWritable, format!("{}, and so what this command runs", self.how))
            .found(&self.found)
            .expected("a plugin that nobody but you and root can change")
            .help(&self.help)
    }

    /// The same in one line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} ({}): {}", self.how, self.found, self.help)
    }
}

/// The ways in which others than this user and root can change the plugin of this file; none if they cannot. What cannot be
/// looked at says nothing.
#[must_use]
pub fn exposed(file: &Path) -> Vec<Exposed> {
    let user = rustix::process::geteuid().as_raw();
    let strangers = Strangers { user, unknown: overflow_user() };
    let mut found: Vec<Exposed> = Vec::new();
    for (path, place) in way_to(file) {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if let Some(exposed) = strangers.judge(&path, place, &metadata)
            && !found.contains(&exposed)
        {
            found.push(exposed);
        }
    }
    found
}

/// The file, its directory, and those above. Of a link also the directory that the link lies in.
fn way_to(file: &Path) -> Vec<(PathBuf, Place)> {
    let mut way = Vec::new();
    let link = fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_symlink());
    let folder = file.parent().filter(|_| link).map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    });
    let starts = [fs::canonicalize(file).ok(), folder.and_then(|folder| fs::canonicalize(folder).ok())];
    for (start, first) in starts.into_iter().zip([Place::File, Place::Directory]) {
        let mut place = first;
        for path in start.iter().flat_map(|start| start.ancestors()) {
            if !way.contains(&(path.to_owned(), place)) {
                way.push((path.to_owned(), place));
            }
            place = match place {
                Place::File => Place::Directory,
                Place::Directory | Place::Ancestor => Place::Ancestor,
            };
        }
    }
    way
}

/// Everyone but this user and root.
struct Strangers {
    user: u32,
    /// The number that stands for all users whom a container does not know, root outside of it among them.
    unknown: Option<u32>,
}

impl Strangers {
    fn judge(&self, path: &Path, place: Place, metadata: &Metadata) -> Option<Exposed> {
        let (mode, owner) = (metadata.mode(), metadata.uid());
        let what = match place {
            Place::File => "the plugin file",
            Place::Directory => "the plugin directory",
            Place::Ancestor => "the directory",
        };
        let exposed = |who: &str, help: String| Exposed {
            path: path.to_owned(),
            how: format!("{what} {} can be changed by {who}", path.display()),
            found: format!("mode {:04o}, owner {owner}, group {}", mode & 0o7777, metadata.gid()),
            help,
        };
        let matters = place != Place::Ancestor || mode & STICKY == 0;
        let who = match (mode & GROUP != 0, mode & EVERYONE != 0) {
            _ if !matters => None,
            (true, true) => Some(("everyone", "go-w")),
            (false, true) => Some(("everyone", "o-w")),
            (true, false) => Some(("its group", "g-w")),
            (false, false) => None,
        };
        if let Some((who, change)) = who {
            return Some(exposed(
                who,
                format!("chmod {change} {}", shell::quoted(&path.display().to_string())),
            ));
        }
        (owner != self.user && owner != 0 && Some(owner) != self.unknown).then(|| {
            let help = "install the plugin into a directory of your own, or agree on it: \
                        `kiwi-host plugins lock`, and --locked";
            exposed(&format!("the user {owner}, to whom it belongs"), help.to_owned())
        })
    }
}

fn overflow_user() -> Option<u32> {
    fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A plugin in `directory/plugins`.
    struct Installed(tempfile::TempDir);

    impl Installed {
        fn new() -> Self {
            let installed = Self(tempfile::tempdir().unwrap());
            fs::create_dir(installed.at("plugins")).unwrap();
            fs::write(installed.at("plugins/libx.so"), "").unwrap();
            for (name, mode) in [("plugins/libx.so", 0o644), ("plugins", 0o755), (".", 0o755)] {
                installed.mode(name, mode);
            }
            installed
        }

        fn at(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.0.path()).unwrap().join(name)
        }

        fn mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.at(name), Permissions::from_mode(mode)).unwrap();
        }

        /// What is told, each with the command.
        fn told(&self) -> Vec<(String, String)> {
            let found = exposed(&self.at("plugins/libx.so"));
            found.into_iter().map(|one| (one.how, one.help)).collect()
        }
    }

    #[test]
    fn what_only_the_user_can_change_is_no_matter() {
        // The folder for temporary files is everyone's and sticky.
        assert_eq!(Installed::new().told(), []);
    }

    #[test]
    fn whoever_may_write_is_told_with_the_command_that_ends_it() {
        for (mode, who, change) in
            [(0o775, "its group", "g-w"), (0o777, "everyone", "go-w"), (0o757, "everyone", "o-w")]
        {
            for (name, what) in
                [("plugins/libx.so", "plugin file"), ("plugins", "plugin directory"), ("", "directory")]
            {
                let installed = Installed::new();
                installed.mode(name, mode);
                let at = installed.at(name);
                let path = at.display().to_string();
                let path = path.trim_end_matches('/');
                let expected =
                    (format!("the {what} {path} can be changed by {who}"), format!("chmod {change} {path}"));
                assert_eq!(installed.told(), [expected], "{name} {mode:o}");
            }
        }
    }

    #[test]
    fn a_sticky_directory_is_harmless_above_a_plugin_and_not_as_its_own() {
        let installed = Installed::new();
        installed.mode("", 0o1777);
        assert_eq!(installed.told(), []);
        installed.mode("plugins", 0o1777);
        let told = installed.told();
        assert_eq!(told.len(), 1);
        assert!(told[0].0.ends_with("plugins can be changed by everyone"), "{told:?}");
    }

    #[test]
    fn a_link_is_no_safer_than_the_directory_it_lies_in() {
        let installed = Installed::new();
        fs::create_dir(installed.at("links")).unwrap();
        symlink(installed.at("plugins/libx.so"), installed.at("links/libx.so")).unwrap();
        installed.mode("links", 0o777);
        let found = exposed(&installed.at("links/libx.so"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].path, installed.at("links"));
        installed.mode("links", 0o755);
        installed.mode("plugins/libx.so", 0o666);
        assert_eq!(exposed(&installed.at("links/libx.so"))[0].path, installed.at("plugins/libx.so"));
    }

    #[test]
    fn another_user_as_owner_is_told_and_root_is_not() {
        let installed = Installed::new();
        let file = installed.at("plugins/libx.so");
        let metadata = fs::metadata(&file).unwrap();
        let judge = |user: u32, unknown: Option<u32>| {
            Strangers { user, unknown }.judge(&file, Place::File, &metadata)
        };
        let owner = metadata.uid();
        assert_eq!(judge(owner, None), None);
        if owner != 0 {
            let found = judge(owner + 1, None).unwrap();
            assert!(found.how.ends_with(&format!("can be changed by the user {owner}, to whom it belongs")));
            assert_eq!(judge(owner + 1, Some(owner)), None);
            return;
        }
        // Root may give its files away.
        assert_eq!(judge(1000, None), None, "root may do everything anyway");
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        let told = installed.told();
        assert_eq!(told.len(), 1);
        assert!(told[0].0.ends_with("the user 12345, to whom it belongs"), "{told:?}");
        assert!(told[0].1.contains("plugins lock"));
    }

    #[test]
    fn what_is_not_there_says_nothing() {
        assert_eq!(exposed(Path::new("/absent/libx.so")), []);
    }
}
