//! `PredictorEncoder`, loaded from its plugin, against the reference: every tensor on the way, features, logits, gradients.

use std::collections::BTreeMap;

use kiwi_plugin_api::abi::host::EncoderInstance;
use kiwi_plugin_api::torch_ext::Autocast;
use kiwi_plugin_api::torch_ext::gradients::clear_gradients;
use kiwi_plugin_api::{Feature, Features};
use kiwi_tests::golden::{Case, difference};
use tch::{Kind, Tensor};

const CASES: [&str; 5] =
    ["encoder_plain", "encoder_shared", "encoder_one_layer", "encoder_target_positions", "encoder_edges"];

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
            let off = difference(found, case.expected(&format!("middle.{middle}")));
            assert!(off < 1e-5, "{name}: {middle} is off by {off}");
        }
        for feature in ["target", "target_logits"] {
            let off =
                difference(&materialized(&features, feature), case.expected(&format!("output.{feature}")));
            assert!(off < 1e-5, "{name}: {feature} is off by {off}");
        }
        for (feature, size) in &encoder.description().feature_sizes {
            assert_eq!(case.json["sizes"][feature], *size, "{name}: size of {feature}");
        }
    }
}

#[test]
fn in_lower_precision_attention_is_on_the_sources_words_alone() {
    let case = Case::read("encoder_edges");
    let batch = case.batch("input.");
    let weights = |encoder: &mut EncoderInstance| {
        let (_, trace) = encoder.forward_traced(&batch, false).unwrap();
        trace.into_iter().find(|(name, _)| name == "p").unwrap().1.to_kind(Kind::Double)
    };
    let mut encoder = case.encoder();
    let exact = weights(&mut encoder);
    let short = {
        let _precision = Autocast::cpu(Kind::BFloat16).unwrap();
        weights(&mut encoder)
    };
    let off = difference(&short, &exact);
    assert!(off > 0.0 && off < 0.05, "computed in bfloat16, {off} from float32");
    // [B, 1, S], beside weights [B, T, S].
    let words = batch.field("source").unwrap().strict_mask().unwrap().unsqueeze(1);
    let elsewhere = &short * words.logical_not();
    assert_eq!(elsewhere.abs().max().double_value(&[]), 0.0);
    let sums = short.sum_dim_intlist([-1i64].as_slice(), true, Kind::Double);
    let has_words = words.any_dim(-1, true).to_kind(Kind::Double).expand_as(&sums);
    let off = difference(&sums, &has_words);
    assert!(off < 1e-2, "weights sum to 1, or to 0 where there are no words: {off}");
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
        case.compare_gradients("grad.", &mut encoder);
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
            case.compare_gradients("grad_features.", &mut encoder);
            let parameters: Vec<_> =
                encoder.parameters().unwrap().into_iter().map(|parameter| parameter.tensor).collect();
            clear_gradients(&parameters).unwrap();
        }
    }
}

#[test]
fn logits_of_every_batch() {
    for name in ["head", "specials", "fine_tune"] {
        let case = Case::read(name);
        let mut encoder = case.encoder();
        for i in 0..case.json["batches"].as_array().unwrap().len() {
            let features = encoder.forward(&case.batch(&format!("input.{i}.")), false).unwrap();
            for feature in ["target", "target_logits", "pe_logits"] {
                let Some(expected) = case.find(&format!("output.{i}.{feature}")) else {
                    assert!(feature != "target_logits" && (name != "fine_tune"), "{name} records {feature}");
                    continue;
                };
                let off = difference(&materialized(&features, feature), expected);
                assert!(off < 1e-5, "{name}: {feature} of batch {i} is off by {off}");
            }
        }
    }
}

#[test]
fn features_logits_and_loss_of_saved_systems() {
    for name in ["checkpoint", "checkpoint_shared"] {
        let case = Case::read(name);
        let mut encoder = case.encoder();
        let mut head = case.head(&encoder);
        let batch = case.batch("input.");
        let features = encoder.forward(&batch, false).unwrap();
        for feature in ["target", "target_logits"] {
            let off =
                difference(&materialized(&features, feature), case.tensor(&format!("output.{feature}")));
            assert!(off < 1e-5, "{name}: {feature} is off by {off}");
        }
        let loss = case.json["loss"].as_f64().unwrap();
        let found = head.forward(&features, &batch, false).unwrap().loss.double_value(&[]);
        assert!((found - loss).abs() < 1e-5 * loss, "{name}: loss {found}, expected {loss}");
    }
}

#[test]
fn only_what_somebody_reads_is_computed() {
    let case = Case::read("fine_tune");
    let batch = case.batch("input.0.");
    let names = |features: &Features| features.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    for (wanted, given) in [
        (Some(["target_logits"].as_slice()), ["target_logits"].as_slice()),
        (Some(&["pe_logits"]), &["pe_logits"]),
        (Some(&["target_logits", "pe_logits"]), &["target_logits", "pe_logits"]),
        (None, &["target", "target_logits", "pe_logits"]),
    ] {
        let mut encoder = case.encoder_for(wanted);
        let (features, trace) = encoder.forward_traced(&batch, false).unwrap();
        assert_eq!(names(&features), given, "{wanted:?}");
        let traced = |name: &str| trace.iter().any(|(traced, _)| traced == name);
        assert_eq!(traced("F"), given.contains(&"target_logits"), "{wanted:?}");
        assert_eq!(traced("pe_F"), given.contains(&"pe_logits"), "{wanted:?}");
        for name in given {
            let off = difference(&materialized(&features, name), case.tensor(&format!("output.0.{name}")));
            assert!(off < 1e-5, "{wanted:?}: {name} is off by {off}");
        }
    }
    // A batch without post-edits has no logits of them.
    let case = Case::read("encoder_plain");
    let features = case.encoder().forward(&case.batch("input."), false).unwrap();
    assert_eq!(names(&features), ["target", "target_logits"]);
}
