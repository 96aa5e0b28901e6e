//! From the JSON of a component's part of the config to its typed config, with every complaint collected.

#[cfg(feature = "host")]
mod by_schema;
mod closed;
mod kinds;
mod read;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Component;

#[cfg(feature = "host")]
pub(crate) use by_schema::Options;
pub(crate) use closed::close;
pub(crate) use read::find;
pub(crate) use schema::schema;

/// What is wrong with one value, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// Path below the component's part, as `embeddings.source.dim`; empty for the whole part.
    pub path: String,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What stands there.
    pub found: Option<String>,
    /// What may stand there.
    pub expected: Option<String>,
    /// The nearest valid choice.
    pub nearest: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl ConfigProblem {
    /// A problem at `path`, with nothing else said of it yet.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            found: None,
            expected: None,
            nearest: None,
            help: None,
        }
    }
}

/// What is found where a key is missing; the host's own words for it.
const NOTHING: &str = "no such key";

/// What is wrong with a value of the wrong type or out of range; the host's own words for it.
pub(crate) fn invalid_value(path: &str) -> String {
    match path.rsplit('.').next() {
        None | Some("") => "invalid options".to_owned(),
        Some(key) => format!("invalid value for {key}"),
    }
}

/// What a component has to say about its part of a config.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfigReport {
    /// The config with its defaults filled in; absent if it could not be read at all.
    pub config: Option<Value>,
    /// What must be changed.
    pub errors: Vec<ConfigProblem>,
    /// What is accepted, but should be known.
    pub warnings: Vec<ConfigProblem>,
}

impl ConfigReport {
    /// Complains about the value at `path` unless `valid`.
    pub fn require(&mut self, valid: bool, path: &str, found: impl Display, expected: &str) {
        if !valid {
            self.refuse(path, &invalid_value(path), found, expected, None);
        }
    }

    /// Complains about the value at `path`: what is wrong with it, what stands there, what may, and what to do.
    pub fn refuse(
        &mut self,
        path: &str,
        message: &str,
        found: impl Display,
        expected: &str,
        help: Option<&str>,
    ) {
        self.errors.push(ConfigProblem {
            found: Some(found.to_string()),
            expected: Some(expected.to_owned()),
            help: help.map(str::to_owned),
            ..ConfigProblem::new(path, message)
        });
    }

    /// Complains that nothing stands at `path`, where the rest of the config requires something.
    pub fn missing(
        &mut self,
        path: &str,
        message: impl Into<String>,
        expected: &str,
        help: impl Into<String>,
    ) {
        self.errors.push(ConfigProblem {
            found: Some(NOTHING.to_owned()),
            expected: Some(expected.to_owned()),
            help: Some(help.into()),
            ..ConfigProblem::new(path, message)
        });
    }

    /// Complains about `path`, and says what to do.
    pub fn error(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ConfigProblem { help: Some(help.into()), ..ConfigProblem::new(path, message) });
    }

    /// Says that something is accepted, but should be known.
    pub fn warning(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(ConfigProblem::new(path, message));
    }
}

/// The path of the key that an unknown one was probably meant to be.
fn meant(problem: &ConfigProblem) -> Option<String> {
    let nearest = problem.nearest.as_deref()?;
    Some(match problem.path.rsplit_once('.') {
        Some((parent, _)) => format!("{parent}.{nearest}"),
        None => nearest.to_owned(),
    })
}

/// Reads `C`'s config from `json`, checks it, and reports all that is wrong; the typed config only if nothing is.
///
/// What [`Component::check`] says about a value that does not stand in `json` is left out where it may only follow from what is
/// reported already: from a value of the wrong type, or from a misspelt key.
pub(crate) fn check<C: Component>(json: &str) -> (Option<C::Config>, ConfigReport) {
    let read = match read::read::<C::Config>(json) {
        Ok(read) => read,
        Err(problem) => {
            return (None, ConfigReport { errors: vec![*problem], ..ConfigReport::default() });
        }
    };
    let mut report = ConfigReport { errors: read.problems, ..ConfigReport::default() };
    let Some(config) = read.config else {
        return (None, report);
    };
    let misspelt: Vec<String> = report.errors.iter().filter_map(meant).collect();
    let mut checked = ConfigReport::default();
    C::check(&config, &mut checked);
    let news = |problem: &ConfigProblem| {
        read::stands_in(&read.rest, &problem.path)
            || (read.misread.is_empty() && !misspelt.contains(&problem.path))
    };
    let as_written = |problem| read::as_written(&read.rest, problem);
    report.errors.extend(checked.errors.into_iter().filter(news).map(as_written));
    report.warnings.extend(checked.warnings.into_iter().filter(news));
    if !read.misread.is_empty() {
        return (None, report);
    }
    match serde_json::to_value(&config) {
        Ok(value) => report.config = Some(value),
        Err(error) => report.errors.push(ConfigProblem {
            help: Some("report this to the plugin's author".to_owned()),
            ..ConfigProblem::new("", format!("the component cannot write its own config: {error}"))
        }),
    }
    let sound = report.errors.is_empty();
    (sound.then_some(config), report)
}
