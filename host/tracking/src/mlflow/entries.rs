//! What becomes of a config and of a record at the server: parameters and values of metrics, by names that MLflow accepts.

use serde_json::Value;

use super::api::{Metric, Parameter};
use crate::number::Number;
use crate::record::Record;
use crate::tensorboard::scalars::Scalars;

/// The most characters of a name.
const NAME: usize = 250;
/// The most characters of a parameter's value.
const VALUE: usize = 6000;

/// The values of a config by their paths, as `trainer.epochs`. The parts of a list of sections are numbered from 0.
pub(super) fn parameters(config: &Value) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    flatten(config, "", &mut parameters);
    parameters
}

fn flatten(value: &Value, path: &str, parameters: &mut Vec<Parameter>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                flatten(value, &below(key), parameters);
            }
        }
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            for (index, value) in elements.iter().enumerate() {
                flatten(value, &below(&index.to_string()), parameters);
            }
        }
        _ => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            parameters.push(Parameter { key: name(path), value: text.chars().take(VALUE).collect() });
        }
    }
}

/// The values of a record.
pub(super) fn metrics(record: &Record, scalars: &mut Scalars) -> Vec<Metric> {
    let (step, values) = scalars.of(&record.event);
    let timestamp = record.time.as_millisecond();
    let metric =
        |(tag, value): (String, f64)| Metric { key: name(&tag), value: Number(value), timestamp, step };
    values.into_iter().map(metric).collect()
}

/// A name with `_` for each character that MLflow refuses, and for parts that would lead elsewhere as a path.
fn name(text: &str) -> String {
    let allowed = |c: char| if c.is_alphanumeric() || "_-. /:".contains(c) { c } else { '_' };
    let clean: String = text.chars().map(allowed).take(NAME).collect();
    let parts = clean.split('/').map(|part| if matches!(part, "" | "." | "..") { "_" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_is_told_by_paths() {
        let config = json!({
            "trainer": {"epochs": 3, "main_metric": null, "checkpoint": {}},
            "system": {"optimizer": [{"class_name": "adam", "betas": [0.9, 0.98]}], "class_name": "Predictor"},
            "data": {"source": ["a", "b"]},
        });
        let mut told: Vec<_> =
            parameters(&config).into_iter().map(|one| format!("{}={}", one.key, one.value)).collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "data.source=[\"a\",\"b\"]",
                "system.class_name=Predictor",
                "system.optimizer.0.betas=[0.9,0.98]",
                "system.optimizer.0.class_name=adam",
                "trainer.checkpoint={}",
                "trainer.epochs=3",
                "trainer.main_metric=null",
            ]
        );
    }

    #[test]
    fn names_and_values_keep_within_what_mlflow_takes() {
        assert_eq!(name("validation/news_PERP"), "validation/news_PERP");
        assert_eq!(name("a[0]=ä//../b"), "a_0__ä/_/_/b");
        assert_eq!(name(&"ä".repeat(300)).chars().count(), 250);
        let long = parameters(&json!({"a": "ä".repeat(7000)}));
        assert_eq!(long[0].value.chars().count(), 6000);
    }
}
