//! Dropout of `PredictorEncoder`. In a file of its own: it seeds libtorch's generator, which all tests of a process share.

use std::collections::BTreeMap;

use kiwi_tests::golden::{Case, difference};
use tch::Tensor;

#[test]
fn dropout_between_layers_is_on_in_training_only() {
    let mut case = Case::read("encoder_plain");
    case.json["config"]["model"]["encoder"]["dropout"] = 0.5.into();
    let mut encoder = case.encoder();
    let batch = case.batch("input.");
    let mut trace = |seed: i64, training: bool| -> BTreeMap<String, Tensor> {
        tch::manual_seed(seed);
        encoder.forward_traced(&batch, training).unwrap().1.into_iter().collect()
    };
    let (one, other, again) = (trace(1, true), trace(2, true), trace(1, true));
    let (silent, silent_too) = (trace(1, false), trace(2, false));
    for name in ["A", "F", "R"] {
        assert!(difference(&one[name], &other[name]) > 1e-3, "{name} depends on the seed in training");
        assert!(one[name].equal(&again[name]), "{name} is the same for the same seed");
        assert!(silent[name].equal(&silent_too[name]), "{name} does not depend on it in evaluation");
    }
    // Embedded words are not dropped: this dropout is between layers.
    assert!(one["x_source"].equal(&silent["x_source"]) && one["x_target"].equal(&silent["x_target"]));
}
