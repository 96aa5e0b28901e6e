//! `PredictorEncoder`, loaded from its plugin, against the reference: every tensor on the way, features, logits, gradients.

use std::collections::BTreeMap;

use kiwi_plugin_api::abi::host::EncoderInstance;
use kiwi_plugin_api::torch_ext::Autocast;
use kiwi_plugin_api::torch_ext::gradients::{clear_gradients, gradient};
use kiwi_plugin_api::{Batch, Features, Field, SpecialIds};
use kiwi_tests::golden::{Case, difference};
use tch::{Device, Kind, Tensor};

const CASES: [&str; 5] =
    ["encoder_plain", "encoder_shared", "encoder_one_layer", "encoder_target_positions", "encoder_edges"];

fn materialized(features: &Features, name: &str) -> Tensor {
    features.get(name).unwrap().materialize().unwrap()
}

/// How far logits are off where a loss counts them: elsewhere an encoder of which nothing else is read computes none.
fn off_where_counted(features: &Features, name: &str, batch: &Batch, expected: &Tensor) -> f64 {
    let field = batch.field(if name == "pe_logits" { "pe" } else { "target" }).unwrap();
    let counted = |logits: &Tensor| logits.flatten(0, 1).index_select(0, field.counted().unwrap());
    difference(&counted(&materialized(features, name)), &counted(expected))
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
    let all = CASES.into_iter().flat_map(|name| [(name, None), (name, Some(["target_logits"].as_slice()))]);
    for (name, wanted) in all {
        let case = Case::read(name);
        let mut encoder = case.encoder_for(wanted);
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

/// Without padding, as a run goes, and with it, as a traced pass goes: the same features, gradients and dropout.
#[test]
fn with_and_without_padding_it_is_the_same() {
    let even = [vec![5, 6, 7], vec![8, 5, 9], vec![7, 7, 6]];
    for (name, dropout) in CASES.iter().zip([0.0, 0.3, 0.0, 0.5, 0.4]) {
        let mut case = Case::read(name);
        case.json["config"]["model"]["encoder"]["dropout"] = dropout.into();
        let recorded = case.batch("input.");
        let sources = recorded.field("source").unwrap().to_device(Device::Cpu).unwrap();
        let rows = sources.ids().unwrap().size()[0] as usize;
        let special = SpecialIds::default();
        let targets: Vec<Vec<i64>> = even.iter().cycle().take(rows).cloned().collect();
        let of_even = Batch::new(vec![sources, Field::from_sentences("target", &targets, special).unwrap()]);
        // Quality features are computed without padding only where targets are equally long.
        for (feature, wanted, batch) in
            [("target_logits", Some(["target_logits"].as_slice()), &recorded), ("target", None, &of_even)]
        {
            let mut encoder = case.encoder_for(wanted);
            let mut run = |traced: bool| {
                tch::manual_seed(3);
                let features = if traced {
                    encoder.forward_traced(batch, true).unwrap().0
                } else {
                    encoder.forward(batch, true).unwrap()
                };
                let mut found = materialized(&features, feature);
                if feature == "target_logits" {
                    let counted = batch.field("target").unwrap().counted().unwrap();
                    found = found.flatten(0, 1).index_select(0, counted);
                }
                (&found * &found).sum(Kind::Float).backward();
                let parameters: Vec<_> =
                    encoder.parameters().unwrap().into_iter().map(|p| p.tensor).collect();
                let gradients: Vec<_> = parameters.iter().map(|p| gradient(p).unwrap()).collect();
                clear_gradients(&parameters).unwrap();
                (found, gradients)
            };
            let ((packed, found), (padded, expected)) = (run(false), run(true));
            let off = difference(&packed, &padded);
            assert!(off < 1e-5, "{name}: {feature} is off by {off}");
            let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
            let scale = expected.iter().flatten().map(largest).fold(0.0, f64::max);
            assert!(scale > 0.0, "{name}: {feature} has gradients");
            for (found, expected) in found.iter().zip(&expected) {
                let off = match (found, expected) {
                    (Some(found), Some(expected)) => difference(found, expected),
                    (found, expected) => found.as_ref().or(expected.as_ref()).map_or(0.0, largest),
                };
                assert!(
                    off < 5e-6 * scale,
                    "{name}: a gradient of {feature} is off by {off}, largest {scale}"
                );
            }
        }
    }
}

#[test]
fn logits_of_every_batch() {
    for name in ["head", "specials", "fine_tune"] {
        let case = Case::read(name);
        let mut encoder = case.encoder();
        let mut of_logits = case.encoder_for(Some(&["target_logits", "pe_logits"]));
        for i in 0..case.json["batches"].as_array().unwrap().len() {
            let batch = case.batch(&format!("input.{i}."));
            let (features, _) = encoder.forward_traced(&batch, false).unwrap();
            let logits = of_logits.forward(&batch, false).unwrap();
            for feature in ["target", "target_logits", "pe_logits"] {
                let Some(expected) = case.find(&format!("output.{i}.{feature}")) else {
                    assert!(feature != "target_logits" && (name != "fine_tune"), "{name} records {feature}");
                    continue;
                };
                let off = difference(&materialized(&features, feature), expected);
                assert!(off < 1e-5, "{name}: {feature} of batch {i} is off by {off}");
                if feature != "target" {
                    let off = off_where_counted(&logits, feature, &batch, expected);
                    assert!(off < 1e-5, "{name}: {feature} of batch {i}, alone, is off by {off}");
                }
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
        let (features, _) = encoder.forward_traced(&batch, false).unwrap();
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
