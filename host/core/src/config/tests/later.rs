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
    let text = changed(r#""epochs": 50,"#, r#""epochs": 50, "on_oom": "skip","#);
    assert_eq!(
        complaints(&text, &[]),
        [
            "trainer.on_oom@12:29 | going on after a batch that does not fit into memory is not supported yet | \
            found the string \"skip\" | expected \"stop\" | help remove the key"
        ]
    );
}

#[test]
fn a_key_that_comes_later_is_the_nearest_of_a_misspelt_one() {
    assert_eq!(
        complaints(LEAST, &[("trainer.resum", "5")]),
        ["trainer.resum@- | unknown key `resum` | found `resum` | \
            expected one of amp_level, batch_order, checkpoint, deterministic, epochs, gpus, \
            gradient_accumulation_steps, gradient_max_norm, log_interval, log_save_interval, main_metric, max_steps, \
            max_tokens_per_batch, on_nonfinite, on_oom, precision, resume, truncated_bptt_steps | \
            nearest resume | note set by --set trainer.resum | \
            help write `resume`, or leave out this --set"]
    );
}
