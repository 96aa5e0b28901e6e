//! What comes later: recognised, refused unless it asks for nothing, never called unknown.

use super::*;
use crate::config::later::KEYS;

/// An override of a key that is not in the config, `*` standing for `train`.
fn set(path: &str, value: &str) -> (String, String) {
    (path.replace('*', "train"), value.to_owned())
}

#[test]
fn every_key_that_comes_later_is_refused_unless_it_asks_for_nothing() {
    for later in KEYS {
        let (path, default) = set(later.path, later.default);
        assert_eq!(complaints(FULL, &[(&path, &default)]), [""; 0], "{path}");
        for value in ["\"other\"", "[1]", "7"] {
            let said = complaints(FULL, &[(&path, value)]);
            assert_eq!(said.len(), 1, "{path}: {said:#?}");
            let start = format!("{path}@- | {} is not supported yet | found ", later.feature);
            let end = format!(
                " | expected {} | note set by --set {path} | help leave out this --set",
                later.default
            );
            assert!(said[0].starts_with(&start) && said[0].ends_with(&end), "{said:#?}");
        }
    }
}

#[test]
fn keys_that_come_later_have_their_place() {
    let text = changed(r#""seed": 42,"#, r#""seed": 42, "use_mlflow": true,"#);
    assert_eq!(
        complaints(&text, &[]),
        ["run.use_mlflow@4:31 | tracking runs with MLflow is not supported yet | found true | \
            expected false | help remove the key"]
    );
}

#[test]
fn optimizer_lists_are_recognised() {
    let list = LEAST.replace(
        r#"{"class_name": "adam", "learning_rate": 1}"#,
        r#"[{"class_name": "adam", "learning_rate": 1, "parameters": ["*"]}]"#,
    );
    assert_eq!(
        complaints(&list, &[]),
        ["system.optimizer@6:18 | training with a list of optimizers is not supported yet | \
            found an array of 1 | expected one optimizer: {\"class_name\": …} | \
            help choose one of them"]
    );
}

#[test]
fn a_key_that_comes_later_is_the_nearest_of_a_misspelt_one() {
    assert_eq!(
        complaints(LEAST, &[("system.optimizer.warmupsteps", "5")]),
        ["system.optimizer.warmupsteps@- | unknown key `warmupsteps` | found `warmupsteps` | \
            expected one of class_name, encoder_learning_rate, learning_rate, learning_rate_decay, \
            learning_rate_decay_start, load, options, parameters, training_steps, warmup_steps | \
            nearest warmup_steps | note set by --set system.optimizer.warmupsteps | \
            help write `warmup_steps`, or leave out this --set"]
    );
}
