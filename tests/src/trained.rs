//! What a training run leaves: its directory, its log, its best system.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::Tensor;

use crate::outcome::Outcome;

/// A training run that went well.
pub struct Trained {
    pub outcome: Outcome,
    pub directory: PathBuf,
}

/// A validation as the log tells of it: its place, and the figures by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    pub epoch: u64,
    pub step: u64,
    pub values: BTreeMap<String, String>,
    pub best: bool,
    pub saved: bool,
}

impl Validation {
    /// The figure of this name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str) -> f64 {
        self.values[name].parse().expect("a number")
    }
}

impl Trained {
    /// The log.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("output.log")).expect("a log")
    }

    /// Each line of the log without time and level.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.log().lines().filter_map(|line| line.splitn(3, ' ').nth(2).map(str::to_owned)).collect()
    }

    /// The validations, in order.
    #[must_use]
    pub fn validations(&self) -> Vec<Validation> {
        self.messages().iter().filter_map(|message| validation(message)).collect()
    }

    /// `checkpoints/index.json`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn index(&self) -> Value {
        let text = fs::read_to_string(self.directory.join("checkpoints/index.json")).expect("an index");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The file of the best system.
    ///
    /// # Panics
    /// When none was saved.
    #[must_use]
    #[track_caller]
    pub fn best(&self) -> PathBuf {
        self.directory.join(self.index()["best"].as_str().expect("a best system"))
    }

    /// The tensors of the best system, by name.
    ///
    /// # Panics
    /// When none was saved.
    #[must_use]
    #[track_caller]
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        tensors(&self.best())
    }

    /// The names of the saved systems' files, sorted.
    #[must_use]
    pub fn saved_files(&self) -> Vec<String> {
        let files = all_files(&self.directory.join("checkpoints"));
        let systems = files.iter().filter(|file| file.extension().is_some_and(|e| e == "safetensors"));
        systems.map(|file| file.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect()
    }
}

/// The tensors in a file, by name.
///
/// # Panics
/// When it cannot be read.
#[must_use]
#[track_caller]
pub fn tensors(file: &Path) -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(file).expect("a saved system").into_iter().collect()
}

/// All files below a folder, sorted; none if there is no folder.
#[must_use]
pub fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(all_files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn validation(message: &str) -> Option<Validation> {
    let (place, figures) = message.strip_prefix("epoch ")?.split_once(": ")?;
    let (epoch, step) = place.split_once(" validation at step ")?;
    let mut found = Validation {
        epoch: epoch.parse().ok()?,
        step: step.parse().ok()?,
        values: BTreeMap::new(),
        best: false,
        saved: false,
    };
    for part in figures.split(", ") {
        match part.split_once(' ') {
            _ if part == "best so far" => found.best = true,
            Some(("saved", _)) => found.saved = true,
            Some((name, value)) => drop(found.values.insert(name.to_owned(), value.to_owned())),
            None => {}
        }
    }
    Some(found)
}
