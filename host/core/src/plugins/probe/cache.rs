//! Answers of plugins, kept in a directory by the SHA-256 of the plugin's file. A file of it is complete or absent, and one that is
//! damaged is as one that is absent.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::PluginProbe;
use crate::environment;
use crate::plugins::inspect::sha256;

/// Version of what is kept, and of what is asked: another one is asked anew.
const FORM: &str = "1";
/// More than any answer has.
const LARGEST: u64 = 16 << 20;

/// A directory of answers.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The answers kept below a directory.
    #[must_use]
    pub fn new(below: &Path) -> Self {
        Self { directory: below.join("plugins").join(format!("{FORM}-{}", env!("CARGO_PKG_VERSION"))) }
    }

    /// Where a command keeps them: below the directory of [`environment::KIWI_CACHE_DIR`], else in the user's cache directory;
    /// `None` where there is neither.
    #[must_use]
    pub fn of_command() -> Option<Self> {
        let named =
            std::env::var_os(environment::KIWI_CACHE_DIR.name).filter(|directory| !directory.is_empty());
        let users =
            || etcetera::choose_base_strategy().ok().map(|strategy| strategy.cache_dir().join("kiwi-host"));
        named.map(PathBuf::from).or_else(users).map(|below| Self::new(&below))
    }

    fn file(&self, plugin_sha256: &str) -> PathBuf {
        self.directory.join(format!("{plugin_sha256}.json"))
    }

    /// The answer of the plugin whose file has this hash, if a whole one is kept.
    #[must_use]
    pub fn get(&self, plugin_sha256: &str) -> Option<PluginProbe> {
        let mut bytes = Vec::new();
        fs::File::open(self.file(plugin_sha256)).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
        let (hash, answer) = bytes.split_at_checked(64)?;
        let answer = answer.strip_prefix(b"\n")?;
        if sha256(answer).as_bytes() != hash {
            return None;
        }
        serde_json::from_slice(answer).ok()
    }

    /// Keeps an answer.
    ///
    /// # Errors
    ///
    /// The directory cannot be written to.
    pub fn put(&self, plugin_sha256: &str, answer: &PluginProbe) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let text = serde_json::to_vec(answer)?;
        let mut file =
            tempfile::Builder::new().prefix(".").suffix(".partial").tempfile_in(&self.directory)?;
        file.write_all(sha256(&text).as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(self.file(plugin_sha256)).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::probe::ProbedComponent;

    fn answer() -> PluginProbe {
        let component = ProbedComponent {
            kind: "encoder".to_owned(),
            class: "Bag".to_owned(),
            schema: json!({"type": "object"}),
            accepts_no_options: true,
            has_schedule: false,
        };
        PluginProbe { components: vec![component], failed: Vec::new() }
    }

    #[test]
    fn what_is_put_is_got_by_its_hash_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        assert_eq!(cache.get("0a"), None);
        cache.put("0a", &answer()).unwrap();
        assert_eq!(cache.get("0a"), Some(answer()));
        assert_eq!(cache.get("0b"), None);
        let left: Vec<_> = fs::read_dir(&cache.directory).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
    }

    #[test]
    fn a_damaged_answer_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        cache.put("0a", &answer()).unwrap();
        let whole = fs::read(cache.file("0a")).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(cache.file("0a"), &bytes).unwrap();
            assert_eq!(cache.get("0a"), None, "byte {at} changed");
            fs::write(cache.file("0a"), &whole[..at]).unwrap();
            assert_eq!(cache.get("0a"), None, "cut after {at}");
        }
        // And it can be put again.
        cache.put("0a", &answer()).unwrap();
        assert_eq!(cache.get("0a"), Some(answer()));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = Cache::new(&file);
        assert!(cache.put("0a", &answer()).is_err());
        assert_eq!(cache.get("0a"), None);
    }
}
