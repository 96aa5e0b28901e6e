//! Keeps the best systems, and an index that ranks them.

use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::Ordering;
use serde::Serialize;
use serde_json::Value;

use super::directory::RunDirectory;
use super::save::{save, write_text};
use crate::system::{System, ordering_name};

/// A kept system.
#[derive(Debug, Clone, Serialize)]
struct Kept {
    /// Relative to the directory of the run.
    file: String,
    epoch: u64,
    step: u64,
    value: f64,
}

/// The index of the kept systems, `checkpoints/index.json`.
#[derive(Serialize)]
struct Index<'a> {
    main_metric: &'a str,
    ordering: &'a str,
    best: Option<&'a str>,
    best_value: Option<f64>,
    last: Option<&'a str>,
    /// Best first.
    kept: &'a [Kept],
}

/// Keeps the best `limit` systems of a run (all if it is `None`).
#[derive(Debug)]
pub(crate) struct Keeper {
    directory: RunDirectory,
    /// What the systems tell of their training.
    training: Value,
    metric: String,
    ordering: Ordering,
    limit: Option<usize>,
    /// Best first; of equals the older.
    kept: Vec<Kept>,
    last: Option<String>,
    taken: std::collections::BTreeSet<String>,
}

impl Keeper {
    /// Keeps the best systems by the main metric `metric`, as `val_target_PERP`: `save_top_k` as in the config. `training`
    /// is what they tell of how they were trained.
    pub(crate) fn new(
        directory: RunDirectory,
        training: Value,
        metric: &str,
        ordering: Ordering,
        save_top_k: i64,
    ) -> Self {
        Self {
            directory,
            training,
            metric: metric.to_owned(),
            ordering,
            limit: usize::try_from(save_top_k).ok(),
            kept: Vec::new(),
            last: None,
            taken: std::collections::BTreeSet::new(),
        }
    }

    /// Saves the system if it is among the best; the file, if so. A value that is not a number never is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn offer(
        &mut self,
        system: &mut System,
        epoch: u64,
        step: u64,
        value: Option<f64>,
    ) -> Result<Option<PathBuf>, Failure> {
        let Some(value) = value.filter(|value| !value.is_nan()) else { return Ok(None) };
        let rank = self.kept.partition_point(|kept| !self.better(value, kept.value));
        if self.limit.is_some_and(|limit| rank >= limit) {
            return Ok(None);
        }
        let file = format!("checkpoints/{}", self.unique_name(epoch, value));
        let path = self.directory.path().join(&file);
        save(system, &self.training, &path)?;
        self.last = Some(file.clone());
        self.kept.insert(rank, Kept { file, epoch, step, value });
        let dropped = match self.limit {
            Some(limit) => self.kept.split_off(limit.min(self.kept.len())),
            None => Vec::new(),
        };
        if let Some(last) = &self.last
            && dropped.iter().any(|kept| kept.file == *last)
        {
            self.last = None;
        }
        self.write_index()?;
        for kept in dropped {
            // The index no longer names it; a file that cannot be removed only takes room.
            let _ = std::fs::remove_file(self.directory.path().join(&kept.file));
        }
        Ok(Some(path))
    }

    /// The best system so far: its file, and name and value of the main metric.
    pub(crate) fn best(&self) -> Option<(PathBuf, String, f64)> {
        let best = self.kept.first()?;
        Some((self.directory.path().join(&best.file), self.metric.clone(), best.value))
    }

    /// The directory of the run.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn better(&self, value: f64, other: f64) -> bool {
        match self.ordering {
            Ordering::Min => value < other,
            Ordering::Max => value > other,
        }
    }

    /// `model_epoch=EE-val_METRIC=V.VV.safetensors`, made safe for a file name and unique in the run.
    fn unique_name(&mut self, epoch: u64, value: f64) -> String {
        let metric: String = self
            .metric
            .chars()
            .map(|c| if c.is_alphanumeric() || "_-+.".contains(c) { c } else { '_' })
            .collect();
        let stem = format!("model_epoch={epoch:02}-{metric}={value:.2}");
        let mut name = stem.clone();
        let mut version = 1;
        while !self.taken.insert(name.clone()) {
            name = format!("{stem}_v{version}");
            version += 1;
        }
        name + ".safetensors"
    }

    fn write_index(&self) -> Result<(), Failure> {
        let best = self.kept.first();
        let index = Index {
            main_metric: &self.metric,
            ordering: ordering_name(self.ordering),
            best: best.map(|kept| kept.file.as_str()),
            best_value: best.map(|kept| kept.value),
            last: self.last.as_deref(),
            kept: &self.kept,
        };
        let path = self.directory.checkpoints().join("index.json");
        serde_json::to_string_pretty(&index)
            .map_err(std::io::Error::from)
            .and_then(|text| write_text(&path, &text))
            .map_err(|error| {
                let message = format!("cannot write {}: {error}", path.display());
                Failure::new(ExitCode::RunFailed, Diagnostic::error(message))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper() -> Keeper {
        let config = kiwi_core::config::load(
            std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/example.json")),
            &[("run.output_dir".to_owned(), "no/such/directory".to_owned())],
        )
        .unwrap()
        .config;
        Keeper::new(RunDirectory::choose(&config).unwrap(), Value::Null, "val_a/b", Ordering::Min, 2)
    }

    #[test]
    fn names_are_safe_and_unique() {
        let mut keeper = keeper();
        assert_eq!(keeper.unique_name(3, 1.234), "model_epoch=03-val_a_b=1.23.safetensors");
        assert_eq!(keeper.unique_name(3, 1.229), "model_epoch=03-val_a_b=1.23_v1.safetensors");
        assert_eq!(keeper.unique_name(3, f64::INFINITY), "model_epoch=03-val_a_b=inf.safetensors");
    }
}
