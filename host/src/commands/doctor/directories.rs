//! The directories that commands write to: whether they can, how much room there is, and what follows where they cannot.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use kiwi_core::environment;
use rustix::fs::{Access, access, statvfs};

use super::finding::{Finding, Level, Section};

/// Less than this is soon used up.
const LITTLE: u64 = 1 << 30;

/// A directory as it was found.
struct Looked {
    /// It is there; else it is made where it is needed.
    exists: bool,
    /// Why nothing can be written there.
    unwritable: Option<String>,
    /// Bytes that the user may still use.
    free: Option<u64>,
}

pub(super) fn findings() -> Vec<Finding> {
    let strategy = etcetera::choose_base_strategy().ok();
    let data = strategy.as_ref().map(|base| base.data_dir().join("kiwi-host").join("plugins"));
    let cache = set(environment::KIWI_CACHE_DIR.name)
        .map(PathBuf::from)
        .or_else(|| strategy.as_ref().map(|base| base.cache_dir().join("kiwi-host")));
    let temporary = env::temp_dir();
    let here = env::current_dir();
    let mut findings = vec![home()];
    findings.push(match &data {
        Some(data) => written_to(
            "data",
            data,
            Level::Note,
            "plugins cannot be installed there",
            "name another directory of plugins with --plugin-dir or KIWI_PLUGIN_PATH",
        ),
        None => without("data", "there is no directory for the user's plugins", "name one with --plugin-dir"),
    });
    let again = "large corpora are encoded at each start, and plugins are asked for their options each time";
    let elsewhere = "set KIWI_CACHE_DIR to a directory that can be written";
    findings.push(match &cache {
        Some(cache) => written_to("cache", cache, Level::Warning, again, elsewhere),
        None => without("cache", &format!("there is none: {again}"), elsewhere),
    });
    findings.push(written_to(
        "temporary",
        &temporary,
        Level::Warning,
        "plugins that carry libraries of their own do not open, and `schema` and `plugins check` may fail",
        "set TMPDIR to a directory that can be written",
    ));
    findings.push(match &here {
        Ok(here) => written_to(
            "working",
            here,
            Level::Note,
            "runs need --output-dir",
            "go to another directory, or name one with --output-dir",
        ),
        Err(error) => new("working", Level::Warning, format!("the working directory is gone: {error}"))
            .help("go to one that is there"),
    });
    findings
}

fn new(check: &'static str, level: Level, message: impl Into<String>) -> Finding {
    Finding::new(Section::Directories, check, level, message)
}

fn without(check: &'static str, what: &str, help: &str) -> Finding {
    new(check, Level::Warning, format!("{what}; neither HOME nor the system names a home")).help(help)
}

/// A variable that is set to something.
fn set(name: &str) -> Option<std::ffi::OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The user's home, whose being read-only or missing explains what is wrong below.
fn home() -> Finding {
    let named = set(environment::HOME.name);
    let Some(home) = etcetera::home_dir().ok() else {
        return new("home", Level::Warning, "HOME is not set, and the system knows no home of this user")
            .help("set HOME, or KIWI_CACHE_DIR and KIWI_PLUGIN_PATH");
    };
    let shown = home.display().to_string();
    let by = if named.is_some() { String::new() } else { " (by the system: HOME is not set)".to_owned() };
    let looked = look(&home);
    let finding = match (&looked.unwritable, looked.exists) {
        (Some(why), _) => new("home", Level::Note, format!("{shown}{by} cannot be written: {why}")).help(
            "training works without; set KIWI_CACHE_DIR, and KIWI_PLUGIN_PATH for plugins, to keep anything",
        ),
        (None, false) => {
            new("home", Level::Note, format!("{shown}{by} does not exist, and is made where it is needed"))
        }
        (None, true) => new("home", Level::Ok, format!("{shown}{by}{}", room(&looked))),
    };
    with_facts(finding, &shown, &looked)
}

/// A directory that commands write to.
fn written_to(check: &'static str, path: &Path, level: Level, follows: &str, help: &str) -> Finding {
    let shown = path.display().to_string();
    let looked = look(path);
    let yet = if looked.exists { "" } else { ", which is made when it is needed" };
    let finding = match &looked.unwritable {
        Some(why) => new(check, level, format!("{shown} cannot be written ({why}): {follows}")).help(help),
        None if looked.free.is_some_and(|free| free < LITTLE) => {
            new(check, Level::Warning, format!("{shown}{yet}{}, which is little", room(&looked)))
                .help("make room, or choose another disk")
        }
        None => new(check, Level::Ok, format!("{shown}{yet}{}", room(&looked))),
    };
    with_facts(finding, &shown, &looked)
}

fn with_facts(finding: Finding, path: &str, looked: &Looked) -> Finding {
    finding
        .fact("path", path)
        .fact("exists", looked.exists)
        .fact("writable", looked.unwritable.is_none())
        .fact("free_bytes", looked.free)
}

fn room(looked: &Looked) -> String {
    looked.free.map_or_else(String::new, |free| format!(", {} free", super::machine::bytes(free)))
}

/// Looks at a directory, or at what is there on the way to it.
fn look(path: &Path) -> Looked {
    let exists = path.exists();
    let there = path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let unwritable = if there.is_dir() {
        let denied = access(there, Access::WRITE_OK | Access::EXEC_OK).err();
        denied.map(|error| reason(error, there, exists))
    } else {
        Some(format!("{} is not a directory", there.display()))
    };
    let free = statvfs(there).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    Looked { exists, unwritable, free }
}

fn reason(error: rustix::io::Errno, there: &Path, exists: bool) -> String {
    let said = io::Error::from(error).to_string();
    let said = said.split(" (os error").next().unwrap_or_default().to_lowercase();
    if exists { said } else { format!("{said} in {}", there.display()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_what_can_be_made_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let there = look(folder.path());
        assert!(there.exists && there.unwritable.is_none() && there.free > Some(0));
        let later = look(&folder.path().join("a/b"));
        assert!(!later.exists && later.unwritable.is_none());
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let why = look(&path).unwritable.unwrap();
            assert!(why.ends_with("is not a directory"), "{why}");
        }
        // Whoever may do anything is stopped by nothing else.
        if !rustix::process::geteuid().is_root() {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
            assert_eq!(look(folder.path()).unwritable.unwrap(), "permission denied");
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_written_has_consequences() {
        let finding =
            written_to("cache", Path::new("/dev/null/cache"), Level::Warning, "all is slow", "mend it");
        assert_eq!(finding.level, Level::Warning);
        assert_eq!(
            finding.message,
            "/dev/null/cache cannot be written (/dev/null is not a directory): all is slow"
        );
        assert_eq!(finding.facts["writable"], false);
    }
}
