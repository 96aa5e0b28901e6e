//! How a system was trained, which both programs keep in its file and neither needs to run it.

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use serde_json::{Map, Value, json};

/// The classes of optimizers that OpenKiwi has.
const CLASSES: &[&str] = &[
    "sgd",
    "averaged_sgd",
    "adam",
    "noam",
    "sparse_adam",
    "adamw",
    "adagrad",
    "adadelta",
    "adamax",
    "rmsprop",
];

/// What both have of an optimizer, with OpenKiwi's defaults.
fn optimizer() -> [(&'static str, Value); 7] {
    [
        ("class_name", json!("adam")),
        ("learning_rate", json!(0.001)),
        ("encoder_learning_rate", Value::Null),
        ("warmup_steps", Value::Null),
        ("training_steps", Value::Null),
        ("learning_rate_decay", json!(1.0)),
        ("learning_rate_decay_start", json!(2)),
    ]
}

/// What a saved system tells of its training, from OpenKiwi's `config`; nothing where that has no optimizer or sizes of batches.
pub(super) fn read(config: &Value) -> Option<Value> {
    let (given, batch_size) = (config.get("optimizer")?.as_object()?, config.get("batch_size")?.as_object()?);
    let value = |map: &Map<String, Value>, key| map.get(key).filter(|value| is_plain(value)).cloned();
    let mut section: Map<String, Value> = optimizer()
        .into_iter()
        .map(|(key, default)| (key.to_owned(), value(given, key).unwrap_or(default)))
        .collect();
    // As the section of a config of ours has it.
    section.insert("options".to_owned(), json!({}));
    section.insert("parameters".to_owned(), Value::Null);
    let batch_size = json!({"train": value(batch_size, "train"), "valid": value(batch_size, "valid")});
    Some(json!({"optimizer": section, "batch_size": batch_size, "metrics": []}))
}

/// OpenKiwi's sections `optimizer` and `batch_size`, which it checks when it loads a system: its defaults, and Adam, where a
/// saved system does not tell or tells of what OpenKiwi has not.
pub(super) fn write(training: Option<&Value>, warnings: &mut Vec<Diagnostic>) -> (Value, Value) {
    let told = training.and_then(|training| training.get("optimizer"));
    let same = told.filter(|told| {
        let class = told.get("class_name").and_then(Value::as_str);
        let no_options = told.get("options").and_then(Value::as_object).is_none_or(Map::is_empty);
        class.is_some_and(|class| CLASSES.contains(&class)) && no_options
    });
    if let (Some(told), None) = (told, same) {
        let warning = "the optimizer that it was trained with is written as `adam` with OpenKiwi's defaults, which matters \
                       only to who trains on: OpenKiwi has one optimizer, of ten classes, without options of its own";
        warnings.push(Diagnostic::warning(Code::ConvertedWithChanges, warning).found(told.to_string()));
    }
    let mut section: Map<String, Value> = optimizer()
        .into_iter()
        .map(|(key, default)| {
            let told = same.and_then(|told| told.get(key)).filter(|value| is_plain(value));
            (key.to_owned(), told.cloned().unwrap_or(default))
        })
        .collect();
    section.insert("load".to_owned(), Value::Null);
    let size = |side| {
        let told = training.and_then(|training| training.get("batch_size")?.get(side)?.as_u64());
        json!(told.unwrap_or(1))
    };
    (Value::Object(section), json!({"train": size("train"), "valid": size("valid")}))
}

fn is_plain(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(training: &Value) -> (Value, Vec<Diagnostic>) {
        let mut warnings = Vec::new();
        let (optimizer, batch_size) = write(Some(training), &mut warnings);
        let back = read(&json!({"optimizer": optimizer, "batch_size": batch_size})).unwrap();
        (back, warnings)
    }

    fn training(optimizer: Value) -> Value {
        json!({"optimizer": optimizer, "batch_size": {"train": 15, "valid": 16}, "metrics": []})
    }

    #[test]
    fn what_both_have_comes_back() {
        let adamw = training(json!({
            "class_name": "adamw", "learning_rate": 2e-3, "encoder_learning_rate": 1e-4, "warmup_steps": 0.1,
            "training_steps": 700, "learning_rate_decay": 0.5, "learning_rate_decay_start": 0,
            "options": {}, "parameters": null,
        }));
        assert_eq!(there_and_back(&adamw), (adamw, vec![]));
    }

    #[test]
    fn what_openkiwi_has_not_is_told_and_becomes_adam() {
        for other in [
            json!([{"class_name": "adam", "learning_rate": 1}]),
            json!({"class_name": "acme::lion", "learning_rate": 1}),
            json!({"class_name": "sgd", "learning_rate": 1, "options": {"momentum": 0.9}}),
        ] {
            let (back, warnings) = there_and_back(&training(other.clone()));
            assert_eq!(back["optimizer"]["class_name"], "adam");
            assert_eq!(back["optimizer"]["learning_rate"], 0.001);
            assert_eq!(back["batch_size"], json!({"train": 15, "valid": 16}));
            assert_eq!(warnings[0].found, Some(other.to_string()));
        }
    }

    #[test]
    fn nothing_told_is_defaults_without_a_warning() {
        let mut warnings = Vec::new();
        let (optimizer, batch_size) = write(None, &mut warnings);
        assert_eq!((&optimizer["class_name"], &batch_size["train"]), (&json!("adam"), &json!(1)));
        assert_eq!(warnings, []);
        assert_eq!(read(&json!({"batch_size": {"train": 1}})), None);
    }
}
