//! Options of a component, from JSON, by the check that the host makes of a config.

use serde_json::Value;

use crate::{Component, ConfigReport, Error, Result, config};

/// The options of `C` that `options` stand for, with defaults filled in.
///
/// # Errors
/// When the host would refuse them, naming everything that is wrong.
pub fn config<C: Component>(options: &Value) -> Result<C::Config> {
    let (config, report) = config::check::<C>(&options.to_string());
    config.ok_or_else(|| {
        let wrong: Vec<_> = report.errors.iter().map(described).collect();
        Error::new(format!("`{}` refuses the options {options}: {}", C::CLASS_NAME, wrong.join("; ")))
    })
}

/// What the host would report of the options of `C`: errors, warnings, and the options with their defaults.
#[must_use]
pub fn report<C: Component>(options: &Value) -> ConfigReport {
    config::check::<C>(&options.to_string()).1
}

fn described(problem: &crate::ConfigProblem) -> String {
    let mut text = problem.message.clone();
    if !problem.path.is_empty() {
        text = format!("{}: {text}", problem.path);
    }
    for (label, said) in [("found", &problem.found), ("expected", &problem.expected)] {
        if let Some(said) = said {
            text += &format!(", {label} {said}");
        }
    }
    if let Some(nearest) = &problem.nearest {
        text += &format!(", did you mean `{nearest}`?");
    }
    text
}
