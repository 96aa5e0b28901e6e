//! A sweep as one page: which parameters go with which values of the main metric, all trials as a table, and the curves of the best
//! ones over one another.
//!
//! [`coordinates`] draws each trial as a line over axes of parameters, [`axes`] places values on them, [`page`] puts the page
//! together, of which the curves are those of a page about runs.

mod axes;
mod coordinates;
mod page;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use kiwi_tracking::journal::FILE;

use crate::chart::COLOURS;
use crate::error::Error;
use crate::{run, write};

/// A sweep as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// What it is called.
    pub title: String,
    /// How it searched, in a sentence.
    pub about: String,
    /// The main metric; `None` where no trial has told of one.
    pub metric: Option<Metric>,
    /// What was searched.
    pub parameters: Vec<Parameter>,
    /// The trials, best first.
    pub trials: Vec<Trial>,
    /// The config of the best trial.
    pub best_config: Option<PathBuf>,
}

/// The main metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its full name.
    pub name: String,
    /// Whether higher values are better.
    pub higher_is_better: bool,
}

/// What was searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its path in the config.
    pub path: String,
    /// A short name, unlike those of the others.
    pub label: String,
    /// How its values lie on an axis.
    pub scale: Scale,
}

/// How values lie on an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// Numbers between these.
    Linear(f64, f64),
    /// Numbers between these by their logarithms; both above 0.
    Logarithmic(f64, f64),
    /// These, one beside the other.
    Named(Vec<String>),
}

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// As people read it.
    pub text: String,
    /// On an axis of numbers.
    pub number: Option<f64>,
}

/// A trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What it is called.
    pub name: String,
    /// Its values, in the order of the parameters.
    pub values: Vec<Value>,
    /// The main metric; `None` where it has none.
    pub value: Option<f64>,
    /// What became of it, in a word.
    pub state: &'static str,
    /// How far it went, or why it failed.
    pub note: String,
    /// Epochs begun.
    pub epochs: Option<u64>,
    /// Optimizer steps.
    pub steps: Option<u64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// The directory of its run.
    pub run: PathBuf,
}

impl Trial {
    fn finite(&self) -> Option<f64> {
        self.value.filter(|value| value.is_finite())
    }
}

/// Writes the page about a sweep to `output`.
///
/// # Errors
/// When anything is there that is not an earlier page, or the page cannot be written.
pub fn report_sweep(sweep: &Sweep, output: &Path) -> Result<(), Error> {
    write::check(output)?;
    // Those that tell of something, as many as have a colour of their own.
    let shown = sweep.trials.iter().filter(|trial| trial.run.join(FILE).is_file()).take(COLOURS);
    let directories: Vec<_> = shown.map(|trial| trial.run.clone()).collect();
    // A run whose record cannot be read leaves the page without curves, which are not what it is for.
    let runs = run::read_all(&directories).unwrap_or_default();
    write::write(output, &page::render(sweep, &runs))
}
