//! Options of a component that has a JSON Schema and no type of Rust: checked by the schema, with every complaint collected, and
//! with the schema's defaults filled in. The words are those of typed configs ([`super::check`]).
//!
//! [`walk`] goes through options and schema side by side: keys that the schema does not have, defaults. [`words`] says what a
//! place of the schema expects.

mod walk;
mod words;

#[cfg(test)]
mod tests;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::read::{as_written, describe, nearest_of, rewritten, stands_in, take_out, unknown_key};
use super::{ConfigProblem, ConfigReport, NOTHING, invalid_value, meant};

/// What checks the options of one component.
pub(crate) struct Options {
    schema: Value,
    validator: Validator,
}

impl Options {
    /// What checks by this schema.
    ///
    /// # Errors
    /// When it is no JSON Schema, saying why.
    pub(crate) fn new(schema: &str) -> Result<Self, String> {
        let schema: Value =
            serde_json::from_str(schema).map_err(|error| format!("its JSON Schema is no JSON: {error}"))?;
        let kind = schema.get("type").and_then(Value::as_str);
        if kind != Some("object") {
            return Err("its JSON Schema must describe an object: `\"type\": \"object\"`".to_owned());
        }
        let validator = jsonschema::validator_for(&schema).map_err(|error| {
            format!(
                "its JSON Schema is invalid at `{}`: {error}",
                walk::path_of(error.instance_path().as_str())
            )
        })?;
        Ok(Self { schema, validator })
    }

    /// Checks `config`. Where its values are sound enough to be read, `further` is given them with their defaults and adds what a
    /// schema cannot say; what follows only from a value that is reported already is left out.
    ///
    /// # Errors
    /// Those of `further`.
    pub(crate) fn check<E>(
        &self,
        config: &Value,
        further: impl FnOnce(&Value, &mut ConfigReport) -> Result<(), E>,
    ) -> Result<ConfigReport, E> {
        let mut report = ConfigReport { errors: self.problems(config), ..ConfigReport::default() };
        let (mut misread, mut rest) = (Vec::new(), config.clone());
        for problem in report.errors.iter().filter(|problem| !problem.message.starts_with("unknown key")) {
            take_out(&mut rest, &problem.path);
            misread.push(problem.path.clone());
        }
        let mut filled = rest.clone();
        walk::fill_defaults(&self.schema, &self.schema, &mut filled);
        if self.validator.is_valid(&walk::known_only(&self.schema, &filled)) {
            let misspelt: Vec<String> = report.errors.iter().filter_map(meant).collect();
            let mut checked = ConfigReport::default();
            further(&filled, &mut checked)?;
            let news = |problem: &ConfigProblem| {
                stands_in(&rest, &problem.path) || (misread.is_empty() && !misspelt.contains(&problem.path))
            };
            let with_value = |mut problem: ConfigProblem| {
                let value = super::find(&filled, &problem.path).filter(|_| !problem.path.is_empty());
                problem.found = problem.found.or_else(|| value.map(describe));
                as_written(&rest, problem)
            };
            report.errors.extend(checked.errors.into_iter().filter(news).map(with_value));
            report.warnings.extend(checked.warnings.into_iter().filter(news));
        }
        if misread.is_empty() {
            report.config = Some(filled);
        }
        Ok(report)
    }

    fn problems(&self, config: &Value) -> Vec<ConfigProblem> {
        let mut problems: Vec<ConfigProblem> = Vec::new();
        for error in self.validator.iter_errors(config) {
            let path = walk::path_of(error.instance_path().as_str());
            if let ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } = error.kind()
            {
                let paths = unexpected.iter().map(|key| walk::below(&path, key));
                problems.extend(paths.map(|path| unknown_key(&self.schema, &path)));
                continue;
            }
            let problem = self.problem(&path, error.instance(), error.kind(), &error.to_string());
            if !problems.iter().any(|known| known.path == problem.path) {
                problems.push(problem);
            }
        }
        walk::odd_places(&self.schema, config, &mut |path, oddity| {
            if problems.iter().any(|known| known.path == path) {
                return;
            }
            problems.push(match oddity {
                walk::Oddity::UnknownKey => unknown_key(&self.schema, path),
                walk::Oddity::WholeNumberWithFraction(value) => self.mistaken(path, value),
            });
        });
        problems
    }

    fn problem(&self, path: &str, value: &Value, kind: &ValidationErrorKind, message: &str) -> ConfigProblem {
        match kind {
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                ConfigProblem {
                    found: Some(NOTHING.to_owned()),
                    expected: Some(words::expectation(&self.schema, &walk::below(path, key))),
                    help: Some(format!("add the key \"{key}\"")),
                    ..ConfigProblem::new(walk::below(path, key), format!("`{key}` is required"))
                }
            }
            ValidationErrorKind::Type { .. }
            | ValidationErrorKind::Minimum { .. }
            | ValidationErrorKind::Maximum { .. }
            | ValidationErrorKind::ExclusiveMinimum { .. }
            | ValidationErrorKind::ExclusiveMaximum { .. }
            | ValidationErrorKind::MultipleOf { .. }
            | ValidationErrorKind::Enum { .. }
            | ValidationErrorKind::Constant { .. }
            | ValidationErrorKind::AnyOf { .. }
            | ValidationErrorKind::OneOfNotValid { .. }
            | ValidationErrorKind::MinItems { .. }
            | ValidationErrorKind::MaxItems { .. }
            | ValidationErrorKind::MinLength { .. }
            | ValidationErrorKind::MaxLength { .. }
            | ValidationErrorKind::Pattern { .. } => self.mistaken(path, value),
            _ => ConfigProblem {
                found: Some(describe(value)),
                expected: Some(message.to_owned()),
                ..ConfigProblem::new(path, invalid_value(path))
            },
        }
    }

    /// The complaint about a value that is not what its place in the schema describes.
    fn mistaken(&self, path: &str, value: &Value) -> ConfigProblem {
        let expected = words::expectation(&self.schema, path);
        let choices = words::choices(&self.schema, path);
        let nearest = value.as_str().and_then(|text| nearest_of(text, choices.iter().map(String::as_str)));
        ConfigProblem {
            found: Some(describe(value)),
            help: rewritten(value, &expected),
            expected: Some(expected),
            nearest,
            ..ConfigProblem::new(path, invalid_value(path))
        }
    }
}
