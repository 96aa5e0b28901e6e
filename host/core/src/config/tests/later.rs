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
    let text = changed(r#""deterministic": true"#, r#""deterministic": false"#);
    assert_eq!(
        complaints(&text, &[]),
        [
            "trainer.deterministic@22:22 | choosing algorithms that may give other numbers each time is not supported yet | \
            found false | expected true | help remove the key"
        ]
    );
}

#[test]
fn a_key_that_comes_later_is_the_nearest_of_a_misspelt_one() {
    assert_eq!(
        complaints(LEAST, &[("trainer.determinist", "5")]),
        ["trainer.determinist@- | unknown key `determinist` | found `determinist` | \
            expected one of amp_level, batch_order, checkpoint, deterministic, epochs, gpus, \
            gradient_accumulation_steps, gradient_max_norm, log_interval, log_save_interval, main_metric, max_steps, \
            max_tokens_per_batch, on_nonfinite, on_oom, precision, resume, truncated_bptt_steps | \
            nearest deterministic | note set by --set trainer.determinist | \
            help write `deterministic`, or leave out this --set"]
    );
}
