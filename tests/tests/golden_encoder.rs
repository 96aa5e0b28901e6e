//! `PredictorEncoder`, loaded from its plugin, against the reference: every tensor on the way, features, logits, gradients.

use std::collections::BTreeMap;

use kiwi_plugin_api::torch_ext::gradients::{clear_gradients, gradient};
use kiwi_plugin_api::{Feature, Features};
use kiwi_tests::golden::{Case, difference, largest};
use tch::{Kind, Tensor};

const CASES: [&str; 5] =
    ["encoder_plain", "encoder_shared", "encoder_one_layer", "encoder_target_positions", "encoder_edges"];

/// The tensor under `ours.` where the project departs from the reference on purpose, else the reference's.
fn expected<'a>(case: &'a Case, name: &str) -> &'a Tensor {
    case.find(&format!("ours.{name}")).unwrap_or_else(|| case.tensor(name))
}

fn materialized(features: &Features, name: &str) -> Tensor {
    match features.get(name).unwrap() {
        Feature::Tensor(tensor) => tensor.shallow_clone(),
        Feature::Projection(projection) => projection.materialize().unwrap(),
    }
}

#[test]
fn middle_tensors_features_and_logits() {
    for name in CASES {
        let case = Case::read(name);
        let mut encoder = case.encoder();
        let (features, trace) = encoder.forward_traced(&case.batch("input."), false).unwrap();
        let trace: BTreeMap<_, _> = trace.into_iter().collect();
        for middle in case.below("middle.").keys() {
            let found = trace.get(*middle).unwrap_or_else(|| panic!("{name}: {middle} is not traced"));
            let off = difference(found, expected(&case, &format!("middle.{middle}")));
            assert!(off < 1e-5, "{name}: {middle} is off by {off}");
        }
        for feature in ["target", "target_logits"] {
            let off =
                difference(&materialized(&features, feature), expected(&case, &format!("output.{feature}")));
            assert!(off < 1e-5, "{name}: {feature} is off by {off}");
        }
        for (feature, size) in &encoder.description().feature_sizes {
            assert_eq!(case.json["sizes"][feature], *size, "{name}: size of {feature}");
        }
    }
}

#[test]
fn gradients_of_the_loss() {
    for name in CASES {
        let case = Case::read(name);
        let mut encoder = case.encoder();
        let mut head = case.head(&encoder);
        let batch = case.batch("input.");
        // In training mode, where only the positions that count are computed, but for the case with dropout on its embeddings.
        let training = name != "encoder_one_layer";
        let features = encoder.forward(&batch, training).unwrap();
        let output = head.forward(&features, &batch, training).unwrap();
        let loss =
            case.json.pointer("/ours/loss/loss").unwrap_or(&case.json["loss"]["loss"]).as_f64().unwrap();
        let found = output.loss.double_value(&[]);
        assert!((found - loss).abs() < 1e-5 * loss, "{name}: loss {found}, expected {loss}");
        output.loss.backward();
        compare_gradients(&case, "grad.", &mut encoder);
    }
}

#[test]
fn gradients_of_the_features() {
    for name in CASES {
        let case = Case::read(name);
        let mut encoder = case.encoder();
        for training in [false, true] {
            // Dropout of the embeddings is on in training mode.
            if training && name == "encoder_one_layer" {
                continue;
            }
            let features = encoder.forward(&case.batch("input."), training).unwrap();
            let target = materialized(&features, "target");
            (&target * &target).sum(Kind::Float).f_mul_scalar(0.5).unwrap().backward();
            compare_gradients(&case, "grad_features.", &mut encoder);
            let parameters: Vec<_> =
                encoder.parameters().unwrap().into_iter().map(|parameter| parameter.tensor).collect();
            clear_gradients(&parameters).unwrap();
        }
    }
}

fn compare_gradients(case: &Case, prefix: &str, encoder: &mut kiwi_plugin_api::abi::host::EncoderInstance) {
    let reference = case.below(prefix);
    let scale = reference.values().map(|tensor| largest(tensor)).fold(0.0, f64::max);
    let name = &case.name;
    for parameter in encoder.parameters().unwrap().iter().filter(|parameter| parameter.alias_of.is_none()) {
        let key = &parameter.name;
        let found = gradient(&parameter.tensor).unwrap();
        let Some(_) = reference.get(key.as_str()) else {
            let found = found.map_or(0.0, |found| largest(&found));
            assert!(found == 0.0, "{name}: {prefix}{key} must have no gradient, has {found}");
            continue;
        };
        let expected = expected(case, &format!("{prefix}{key}"));
        let found = found.unwrap_or_else(|| panic!("{name}: {prefix}{key} has no gradient"));
        let off = difference(&found, expected);
        assert!(off <= 2e-6 * scale, "{name}: {prefix}{key} is off by {off}, largest of all {scale}");
        let own = if key.contains("scorer") { 1e-2 } else { 2e-5 };
        assert!(
            off <= own * largest(expected).max(1e-12),
            "{name}: {prefix}{key} is off by {off}, its largest is {}",
            largest(expected)
        );
    }
}
