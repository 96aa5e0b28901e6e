//! The directory of a run, as far as it is known before the run begins: which one a config names, and whether a run lies in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::RunSection;

/// Where runs lie whose config names no directory.
pub const RUNS: &str = "runs/0";

/// The directory that a config names: by itself, or by the run's id.
#[must_use]
pub fn named(run: &RunSection) -> Option<PathBuf> {
    let by_id = || run.run_id.as_ref().map(|id| Path::new(RUNS).join(id));
    run.output_dir.clone().or_else(by_id)
}

/// Whether a directory is that of a run: its config is one, and there are the folders that a run begins with.
#[must_use]
pub fn is_run(path: &Path) -> bool {
    let config = fs::read(path.join("config.json")).ok();
    let config = config.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let sections = ["run", "trainer", "data", "system"];
    config.is_some_and(|config| sections.iter().all(|section| config[section].is_object()))
        && path.join("checkpoints").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_from_other_directories() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_run(folder.path()) && !is_run(&folder.path().join("missing")));
        fs::create_dir(folder.path().join("checkpoints")).unwrap();
        fs::write(folder.path().join("config.json"), r#"{"run": {}, "trainer": {}, "data": {}}"#).unwrap();
        assert!(!is_run(folder.path()), "a config without a system");
        let config = r#"{"run": {}, "trainer": {}, "data": {}, "system": {}}"#;
        fs::write(folder.path().join("config.json"), config).unwrap();
        assert!(is_run(folder.path()));
        fs::remove_dir(folder.path().join("checkpoints")).unwrap();
        assert!(!is_run(folder.path()));
    }
}
