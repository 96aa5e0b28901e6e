//! The sweep file: which values of a config are searched, how, and with what. It is read as strictly as a config is, and the
//! config of each trial is the base config with the trial's values put in as `--set` would. Not here: which trials there are
//! and how they are run (`kiwi_sweep` and the program).

mod blame;
mod fill;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::document::{Document, Value as NodeValue};
use super::reader::Report;
use super::{Invalid, Loaded, path, read};
use crate::diagnostic::{Diagnostic, Severity};

pub use blame::Trial;

/// A sweep as its file describes it.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// What is searched, in the order of the file; at least one.
    pub parameters: Vec<Parameter>,
    /// Which trials there are.
    pub method: Method,
    /// Trials at once, at least 1; with `devices` as many as those unless the file gives fewer.
    pub parallel: usize,
    /// Numbers of the GPUs that trials compute on, one trial at a time on each; empty: where the config says.
    pub devices: Vec<usize>,
    /// The directory of the sweep; `None`: where the program puts it.
    pub output_dir: Option<PathBuf>,
    /// Hours after which no trial is begun and those under way are interrupted, above 0; `None` for no limit.
    pub max_hours: Option<f64>,
    document: Document,
    base: Document,
}

/// A value of the config that is searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its path in the config, as `system.optimizer.learning_rate`.
    pub path: String,
    /// The values that it may have.
    pub space: Space,
    /// Where it stands in the sweep file, as `parameters["trainer.epochs"]`.
    pub place: String,
}

/// The values that a parameter may have.
#[derive(Debug, Clone, PartialEq)]
pub enum Space {
    /// These, at least one and none twice.
    Values(Vec<Value>),
    /// Any number from `low` to `high`, all equally likely; `low` is below `high`.
    Uniform {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
    },
    /// Any number from `low` to `high`, whose logarithms are equally likely; `low` is above 0.
    LogUniform {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
    },
    /// `low`, `low + step` and so on up to `high`.
    Integers {
        /// The least.
        low: i64,
        /// None is greater.
        high: i64,
        /// At least 1.
        step: i64,
    },
}

impl Space {
    /// How many values there are; `None` where there is no end of them.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Values(values) => Some(values.len() as u64),
            Self::Integers { low, high, step } => Some(high.abs_diff(*low) / step.unsigned_abs().max(1) + 1),
            Self::Uniform { .. } | Self::LogUniform { .. } => None,
        }
    }
}

/// Which trials there are, and how far each goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each combination of values once.
    Grid,
    /// So many trials whose values are drawn.
    Random {
        /// At least 1.
        trials: usize,
        /// All draws depend on it and on nothing else.
        seed: u64,
    },
    /// Trials whose values are drawn; all go a part of the way, the best of them further, and so on.
    SuccessiveHalving {
        /// At least 2.
        trials: usize,
        /// All draws depend on it and on nothing else.
        seed: u64,
        /// What a part of the way is measured in.
        resource: Resource,
        /// How far all trials go, at least 1.
        least: u64,
        /// One trial in so many goes on, so many times as far; at least 2.
        factor: u64,
    },
}

/// What the length of a trial is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `trainer.epochs`.
    Epochs,
    /// `trainer.max_steps`.
    Steps,
}

impl Resource {
    /// The key of the config that says how far a trial goes.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Epochs => "trainer.epochs",
            Self::Steps => "trainer.max_steps",
        }
    }

    /// What is counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::Steps => "steps",
        }
    }

    /// The key of the sweep file that says how far all trials go.
    #[must_use]
    pub fn least_key(self) -> &'static str {
        match self {
            Self::Epochs => "min_epochs",
            Self::Steps => "min_steps",
        }
    }
}

/// Reads and checks the sweep file in `path`, and parses the config that it names. Warnings go to `warnings`.
///
/// # Errors
///
/// Everything that is wrong with the sweep file, or that keeps its config from being parsed.
pub fn load(path: &Path, warnings: &mut Vec<Diagnostic>) -> Result<Sweep, Vec<Diagnostic>> {
    let mut complaints = Vec::new();
    let text = read::read(path).map_err(|complaint| vec![of_sweep(*complaint)])?;
    let document =
        Document::parse(path, &text, &mut complaints).map_err(|complaint| vec![of_sweep(*complaint)])?;
    let report = Report::new(&document);
    let filled = report.root().section().and_then(fill::sweep);
    complaints.extend(report.into_complaints());
    let base = base(&document, filled.as_ref().and_then(|filled| filled.config.as_deref()), &mut complaints);
    super::sort(&mut complaints);
    let (wrong, worth_knowing): (Vec<_>, Vec<_>) =
        complaints.into_iter().partition(|complaint| complaint.severity == Severity::Error);
    match (filled, base) {
        (Some(filled), Some(base)) if wrong.is_empty() => {
            warnings.extend(worth_knowing);
            Ok(Sweep {
                parameters: filled.parameters,
                method: filled.method,
                parallel: filled.parallel,
                devices: filled.devices,
                output_dir: filled.output_dir,
                max_hours: filled.max_hours,
                document,
                base,
            })
        }
        _ => Err([wrong, worth_knowing].concat()),
    }
}

/// What is said of a config, said of a sweep file.
fn said_of_sweep(text: &str) -> String {
    text.replace("for a config", "for a sweep file")
        .replace("config file", "sweep file")
        .replace("the config is", "the sweep file is")
        .replace("with data and system", "with config, parameters and method")
        .replace("a config in JSON", "a sweep file in JSON")
}

/// A complaint of the reader of configs, about a sweep file.
fn of_sweep(mut complaint: Diagnostic) -> Diagnostic {
    complaint.message = said_of_sweep(&complaint.message);
    complaint.expected = complaint.expected.as_deref().map(said_of_sweep);
    complaint.help = complaint.help.map(|help| match help.as_str() {
        super::read::EXAMPLE => "`kiwi-host sweep --example` prints a sweep file".to_owned(),
        _ => help,
    });
    complaint
}

/// The base config: that of a file, by its path from the sweep file, or the object under `config`.
fn base(document: &Document, file: Option<&Path>, complaints: &mut Vec<Diagnostic>) -> Option<Document> {
    let Some(file) = file else {
        let node = document.root().get("config")?;
        return matches!(node.value, NodeValue::Object(_))
            .then(|| Document::of(document.file().to_owned(), node.clone()));
    };
    let path = document.file().parent().unwrap_or(Path::new("")).join(file);
    let parsed = match read::read(&path) {
        Ok(text) => Document::parse(&path, &text, complaints),
        Err(complaint) => {
            // Named by the sweep file, so that it is told where.
            let complaint = if complaint.location.is_none() {
                document.place(complaint.at("config"))
            } else {
                *complaint
            };
            Err(Box::new(complaint))
        }
    };
    parsed.map_err(|complaint| complaints.push(*complaint)).ok()
}

impl Sweep {
    /// The sweep file.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.document.file()
    }

    /// The file of the base config; the sweep file itself where the config stands in it.
    #[must_use]
    pub fn base_file(&self) -> &Path {
        self.base.file()
    }

    /// The sweep file as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.document.root().to_json()
    }

    /// The base config as JSON.
    #[must_use]
    pub fn base_to_json(&self) -> Value {
        self.base.root().to_json()
    }

    /// The complaint with its place in the sweep file.
    #[must_use]
    pub fn place(&self, complaint: Diagnostic) -> Diagnostic {
        self.document.place(complaint)
    }

    /// Whether the base config says anything but null at a path.
    #[must_use]
    pub fn base_has(&self, path: &str) -> bool {
        self.base.has(path)
    }

    /// The base config with the values of a trial (path, and JSON), checked.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn config(&self, values: &[(String, String)]) -> Result<Loaded, Invalid> {
        // Which run of many it is, and where it goes, is the sweep's to say.
        let own = ["run.output_dir", "run.run_id", "trainer.resume"];
        let own = own.iter().filter(|path| self.base.has(path)).map(|path| {
            let value = if *path == "trainer.resume" { "false" } else { "null" };
            ((*path).to_owned(), value.to_owned())
        });
        let overrides: Vec<_> = own.chain(values.iter().cloned()).collect();
        super::check_document(self.base.clone(), &overrides, Vec::new())
    }
}

/// A sweep file to begin with, for the config that `kiwi-host train --example` prints.
#[must_use]
pub fn example() -> &'static str {
    include_str!("../../../../../configs/sweep.json")
}

/// Whether one of two paths leads through the other, or they are the same.
fn overlap(one: &str, other: &str) -> bool {
    match (path::parse(one), path::parse(other)) {
        (Some(one), Some(other)) => one.iter().zip(&other).all(|(one, other)| one == other),
        _ => false,
    }
}
