//! The options of `PredictorEncoder`, loaded from its plugin: what each does, what is refused and in which words, and what the
//! host is told of needs.

use kiwi_plugin_api::abi::host::{ComponentHandle, EncoderInstance};
use kiwi_plugin_api::torch_ext::gradients::gradient;
use kiwi_plugin_api::{Batch, ConfigProblem, EncoderContext, Field, Parameter, SpecialIds};
use kiwi_tests::built::component;
use kiwi_tests::golden::difference;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

const SOURCE: &str = "embeddings.source.embedding.weight";
const TARGET: &str = "embeddings.target.embedding.weight";

fn handle() -> ComponentHandle {
    component("encoders", "encoder", "PredictorEncoder")
}

/// A small config with these sections of source and target.
fn config(source: Value, target: Value) -> Value {
    let field = |dim: i64, more: Value| {
        let mut field = json!({"dim": dim});
        field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        field
    };
    json!({
        "hidden_size": 3,
        "rnn_layers": 1,
        "out_embeddings_dim": 4,
        "embeddings": {"source": field(5, source), "target": field(6, target)},
    })
}

fn encoder(config: &Value) -> EncoderInstance {
    let report = handle().check(config).unwrap();
    assert_eq!(report.errors, [], "{config}");
    let sizes = [("source".to_owned(), 9), ("target".to_owned(), 8)];
    let context = EncoderContext::new(sizes.into(), tch::Device::Cpu);
    EncoderInstance::create(&handle(), &report.config.unwrap(), &context).unwrap()
}

/// Small numbers that differ from one another, the same in every run.
fn fill(encoder: &mut EncoderInstance) {
    for (number, parameter) in encoder.parameters().unwrap().into_iter().enumerate() {
        if !parameter.buffer && parameter.alias_of.is_none() {
            let mut tensor = parameter.tensor.shallow_clone();
            let count = tensor.numel() as i64;
            let values =
                (Tensor::arange(count, (Kind::Float, tch::Device::Cpu)) * 0.37 + number as f64).sin();
            tch::no_grad(|| tensor.copy_(&values.view(tensor.size().as_slice())));
        }
    }
}

fn batch() -> Batch {
    let field = |name: &str, sentences: &[Vec<i64>]| {
        Field::from_sentences(name, sentences, SpecialIds::default()).unwrap()
    };
    let target = field("target", &[vec![6, 5], vec![7, 5, 6, 6]]);
    Batch::new(vec![field("source", &[vec![5, 6, 7], vec![8]]), target])
}

fn parameter(encoder: &mut EncoderInstance, name: &str) -> Parameter {
    encoder.parameters().unwrap().into_iter().find(|parameter| parameter.name == name).unwrap()
}

fn logits(encoder: &mut EncoderInstance, training: bool) -> Tensor {
    encoder.forward(&batch(), training).unwrap().get("target_logits").unwrap().materialize().unwrap()
}

fn traced(encoder: &mut EncoderInstance, name: &str) -> Tensor {
    let (_, trace) = encoder.forward_traced(&batch(), false).unwrap();
    trace.into_iter().find(|(traced, _)| traced == name).unwrap().1
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let filled = |config: &Value| {
        let report = handle().check(config).unwrap();
        assert_eq!((&report.errors, &report.warnings), (&vec![], &vec![]), "{config}");
        report.config.unwrap()
    };
    let field = json!({
        "dim": 50,
        "freeze": false,
        "dropout": 0.0,
        "use_position_embeddings": false,
        "max_position_embeddings": 4000,
        "sparse_embeddings": false,
        "scale_embeddings": false,
        "input_layer_norm": false,
    });
    let found = filled(&json!({"out_embeddings_dim": 200}));
    let expected = json!({
        "hidden_size": 400,
        "rnn_layers": 3,
        "dropout": 0.0,
        "share_embeddings": false,
        "out_embeddings_dim": 200,
        "use_mismatch_features": false,
        "embeddings": {"source": field, "target": field, "source_pos": null, "target_pos": null},
        "use_v0_buggy_strategy": false,
        "v0_start_stop": false,
    });
    assert_eq!(found, expected);
    assert_eq!(filled(&json!({"share_embeddings": true}))["out_embeddings_dim"], Value::Null);
}

#[test]
fn a_frozen_table_is_used_and_never_trained() {
    let mut frozen = encoder(&config(json!({}), json!({"freeze": true})));
    fill(&mut frozen);
    logits(&mut frozen, true).sum(Kind::Float).backward();
    let table = parameter(&mut frozen, TARGET);
    assert!(!table.trainable && !table.buffer && !table.tensor.requires_grad());
    assert!(gradient(&table.tensor).unwrap().is_none());
    let source = parameter(&mut frozen, SOURCE);
    assert!(source.trainable && gradient(&source.tensor).unwrap().is_some());
    let mut free = encoder(&config(json!({}), json!({})));
    fill(&mut free);
    assert_eq!(difference(&logits(&mut frozen, false), &logits(&mut free, false)), 0.0);
}

#[test]
fn sparse_gradients_are_the_same_gradients() {
    let mut dense = encoder(&config(json!({}), json!({})));
    let mut sparse = encoder(&config(json!({"sparse_embeddings": true}), json!({"sparse_embeddings": true})));
    let mut gradients = Vec::new();
    for encoder in [&mut dense, &mut sparse] {
        fill(encoder);
        logits(encoder, true).square().sum(Kind::Float).backward();
        let of = |name: &str, encoder: &mut EncoderInstance| {
            gradient(&parameter(encoder, name).tensor).unwrap().unwrap()
        };
        gradients.push([of(SOURCE, encoder), of(TARGET, encoder)]);
    }
    for (dense, sparse) in gradients[0].iter().zip(&gradients[1]) {
        assert!(!dense.is_sparse() && sparse.is_sparse());
        assert!(difference(&sparse.to_dense(None, false), dense) < 1e-5);
        assert_eq!(dense.get(1).abs().max().double_value(&[]), 0.0, "the row of <pad> gets none");
    }
    let needs = handle().encoder_needs(&config(json!({"sparse_embeddings": true}), json!({}))).unwrap();
    let [of_source] = &needs.sparse_gradients[..] else { panic!("one: {needs:?}") };
    assert_eq!(
        (of_source.parameter.as_str(), of_source.option.as_str()),
        (SOURCE, "embeddings.source.sparse_embeddings")
    );
}

#[test]
fn a_shared_table_has_a_dense_gradient_and_the_targets_size() {
    let mut shared = config(json!({}), json!({"sparse_embeddings": true}));
    shared["share_embeddings"] = json!(true);
    shared["out_embeddings_dim"] = Value::Null;
    assert_eq!(handle().encoder_needs(&shared).unwrap().sparse_gradients, []);
    let mut encoder = encoder(&shared);
    // Source and target differ in their dims: the output is of the target's.
    assert_eq!(encoder.description().feature_sizes["target"], 6 + 2 * 3);
    fill(&mut encoder);
    logits(&mut encoder, true).square().sum(Kind::Float).backward();
    let table = parameter(&mut encoder, TARGET);
    let gradient = gradient(&table.tensor).unwrap().unwrap();
    assert!(!gradient.is_sparse());
    assert!(gradient.get(1).abs().max().double_value(&[]) > 0.0, "<pad> is a class among the others");
    let output = parameter(&mut encoder, "output_embeddings.target.weight");
    assert_eq!(output.alias_of.as_deref(), Some(TARGET));
}

#[test]
fn dropout_of_an_embedding_is_on_in_training_only() {
    let mut dropped = encoder(&config(json!({"dropout": 0.5}), json!({})));
    let mut plain = encoder(&config(json!({}), json!({})));
    fill(&mut dropped);
    fill(&mut plain);
    assert_eq!(difference(&logits(&mut dropped, false), &logits(&mut plain, false)), 0.0);
    let batch = batch();
    let (_, trace) = dropped.forward_traced(&batch, true).unwrap();
    let (_, kept) = plain.forward_traced(&batch, true).unwrap();
    let find =
        |trace: &[(String, Tensor)]| trace.iter().find(|(name, _)| name == "x_source").unwrap().1.copy();
    let (x, kept) = (find(&trace), find(&kept));
    let zeros = x.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
    assert!((0.2..0.8).contains(&zeros), "{zeros} of the numbers are dropped");
    assert!(difference(&x, &(kept * x.ne(0.0) * 2.0)) < 1e-6, "what is left is doubled");
}

#[test]
fn scale_positions_and_layer_norm_come_in_this_order() {
    let all = json!({
        "scale_embeddings": true,
        "use_position_embeddings": true,
        "max_position_embeddings": 6,
        "input_layer_norm": true,
    });
    let mut plain = encoder(&config(json!({}), json!({})));
    let mut all = encoder(&config(all, json!({})));
    let table = Tensor::arange(9 * 5, (Kind::Float, tch::Device::Cpu)).view([9, 5]).sin();
    for encoder in [&mut plain, &mut all] {
        let mut own = parameter(encoder, SOURCE).tensor;
        tch::no_grad(|| own.copy_(&table));
    }
    let x = traced(&mut plain, "x_source");
    // An odd dimension: three sines and two cosines of three wavelengths.
    let mut positions = Vec::new();
    for i in 0..5 {
        for k in 0..5 {
            let angle = f64::from(i) / 10000f64.powf(f64::from(2 * (k / 2)) / 5.0);
            positions.push(if k % 2 == 0 { angle.sin() } else { angle.cos() } as f32);
        }
    }
    let sum = x * 5f64.sqrt() + Tensor::from_slice(&positions).view([1, 5, 5]);
    let mean = sum.mean_dim([-1i64].as_slice(), true, Kind::Float);
    let variance = (&sum - &mean).square().mean_dim([-1i64].as_slice(), true, Kind::Float);
    let expected = (&sum - mean) / (variance + 1e-6).sqrt();
    assert!(difference(&traced(&mut all, "x_source"), &expected) < 1e-5);
    let table = parameter(&mut all, "embeddings.source.positional_encoding.pe");
    assert!(table.buffer);
    assert_eq!(table.tensor.size(), [1, 6, 5]);
}

#[test]
fn positions_limit_the_length_of_sentences() {
    let with = |most: i64| json!({"use_position_embeddings": true, "max_position_embeddings": most});
    let limits = |config: &Value| -> Vec<(String, i64, String)> {
        let longest = handle().encoder_needs(config).unwrap().longest;
        longest.into_iter().map(|limit| (limit.field, limit.positions, limit.option)).collect()
    };
    let option = |field: &str| format!("embeddings.{field}.max_position_embeddings");
    assert_eq!(limits(&config(json!({}), json!({"max_position_embeddings": 7}))), []);
    assert_eq!(
        limits(&config(with(7), with(9))),
        [
            ("source".to_owned(), 7, option("source")),
            ("target".to_owned(), 9, option("target")),
            ("pe".to_owned(), 9, option("target")),
        ]
    );
    // Whoever hands it a longer one all the same is told.
    let mut short = encoder(&config(with(4), json!({})));
    let error = short.forward(&batch(), false).unwrap_err().to_string();
    assert!(error.contains("a source sentence has 5 positions with <bos> and <eos>"), "{error}");
}

fn said(problems: &[ConfigProblem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| {
            let ConfigProblem { path, message, found, expected, help, .. } = problem;
            let optional = |label: &str, text: &Option<String>| {
                text.as_ref().map(|text| format!(" | {label} {text}")).unwrap_or_default()
            };
            format!(
                "{path}: {message}{}{}{}",
                optional("found", found),
                optional("expected", expected),
                optional("help", help)
            )
        })
        .collect()
}

#[test]
fn everything_wrong_is_said_at_once() {
    let report = handle()
        .check(&json!({
            "hidden_size": 0,
            "rnn_layers": 2.0,
            "dropout": 1.0,
            "out_embeddings_dim": "8",
            "share_embeding": true,
            "use_mismatch_features": true,
            "use_v0_buggy_strategy": true,
            "v0_start_stop": true,
            "embeddings": {
                "source": {"dim": -3, "dropout": true, "freze": true},
                "target": {"dim": 1_000_001, "max_position_embeddings": 0},
                "target_pos": {},
            },
        }))
        .unwrap();
    assert_eq!(
        said(&report.errors),
        [
            "embeddings.source.dropout: invalid value for dropout | found true | expected a number",
            "out_embeddings_dim: invalid value for out_embeddings_dim | found the string \"8\" | \
             expected an integer, or null | help write 8 without quotes",
            "rnn_layers: invalid value for rnn_layers | found 2.0 | expected an integer | \
             help write 2, without fraction and exponent",
            "embeddings.source.freze: unknown key `freze` | found `freze` | \
             expected one of dim, dropout, freeze, input_layer_norm, max_position_embeddings, scale_embeddings, \
             sparse_embeddings, use_position_embeddings | help write `freeze`, or remove the key",
            "share_embeding: unknown key `share_embeding` | found `share_embeding` | \
             expected one of dropout, embeddings, encode_source, hidden_size, out_embeddings_dim, rnn_layers, \
             share_embeddings, use_mismatch_features, use_v0_buggy_strategy, v0_start_stop | \
             help write `share_embeddings`, or remove the key",
            "hidden_size: invalid value for hidden_size | found 0 | expected an integer from 1 to 1000000",
            "dropout: invalid value for dropout | found 1.0 | expected a number of at least 0 and below 1",
            "embeddings.source.dim: invalid value for dim | found -3 | expected an integer from 1 to 1000000",
            "embeddings.target.dim: invalid value for dim | found 1000001 | expected an integer from 1 to 1000000",
            "embeddings.target.max_position_embeddings: invalid value for max_position_embeddings | found 0 | \
             expected an integer from 1 to 1000000",
            "embeddings.target_pos: embeddings of the field target_pos are not supported | \
             help set it to null, or remove the key",
            "use_mismatch_features: mismatch features are not implemented | help set it to false, or remove the key",
            "use_v0_buggy_strategy: use_v0_buggy_strategy is of systems converted from Kiwi 0.3.4 and before, which \
             are not supported | help set it to false, or remove the key",
            "v0_start_stop: v0_start_stop is of systems converted from Kiwi 0.3.4 and before, which are not \
             supported | help set it to false, or remove the key",
        ]
    );
}

#[test]
fn a_missing_output_size_is_said_with_the_way_out() {
    let report = handle().check(&json!({})).unwrap();
    assert_eq!(
        said(&report.errors),
        ["out_embeddings_dim: out_embeddings_dim is required when share_embeddings is false | \
          found no such key | expected an integer from 1 to 1000000 | \
          help give out_embeddings_dim, for example 200; or set share_embeddings to true, to use the target's input \
          table as output table"]
    );
    // Where it is only misspelt, or sharing is, that is said and no more.
    for (key, value) in [("out_embedding_dim", json!(8)), ("share_embeddings", json!("true"))] {
        let report = handle().check(&json!({key: value})).unwrap();
        assert_eq!(report.errors.len(), 1, "{:?}", said(&report.errors));
        assert_eq!(report.errors[0].path, key);
    }
}

#[test]
fn what_is_without_effect_is_warned_about() {
    let mut config = config(json!({}), json!({}));
    config["encode_source"] = json!(false);
    config["dropout"] = json!(0.3);
    config["share_embeddings"] = json!(true);
    let report = handle().check(&config).unwrap();
    assert_eq!(report.errors, []);
    assert_eq!(
        said(&report.warnings),
        [
            "dropout: dropout is between the layers of an LSTM: with one layer there is none",
            "out_embeddings_dim: out_embeddings_dim is ignored: with share_embeddings it is the dim of embeddings.target",
            "encode_source: encode_source is ignored: older configs carry it",
        ]
    );
    // What older systems carry is accepted with the values that ask for nothing, and not saved again.
    let old = json!({
        "share_embeddings": true,
        "use_mismatch_features": false,
        "use_v0_buggy_strategy": false,
        "v0_start_stop": false,
        "embeddings": {"source_pos": null, "target_pos": null},
        "encode_source": null,
    });
    let report = handle().check(&old).unwrap();
    assert_eq!((report.errors, report.warnings), (vec![], vec![]));
    assert!(report.config.unwrap().get("encode_source").is_none());
}
