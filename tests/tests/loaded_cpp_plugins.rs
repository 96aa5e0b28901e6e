//! Plugins in C++ loaded directly, without the program: each keeps to itself, no tensor is left over, and an instance that threw is not
//! called again.

use std::collections::BTreeMap;
use std::time::Instant;

use kiwi_plugin_api::abi::guard::FailureKind;
use kiwi_plugin_api::abi::host::{
    ComponentHandle, EncoderInstance, HeadInstance, MetricInstance, Phase, Plugin, live_handles,
};
use kiwi_plugin_api::{Batch, EncoderContext, Field, HeadContext, Ordering, Output, SpecialIds};
use kiwi_tests::{built, cpp};
use serde_json::{Value, json};
use tch::{Device, Tensor};

fn component(file: &std::path::Path, name: &str, kind: &str, class: &str) -> ComponentHandle {
    Plugin::open(file, name).unwrap().component(kind, class).unwrap()
}

fn faulty(kind: &str, class: &str) -> ComponentHandle {
    component(&cpp::faulty(), "cpp-test", kind, class)
}

/// The options with their defaults.
fn filled(handle: &ComponentHandle, options: Value) -> Value {
    let report = handle.check(&options).unwrap();
    assert_eq!(report.errors, [], "{options}");
    report.config.unwrap()
}

fn sizes() -> BTreeMap<String, i64> {
    BTreeMap::from([("source".to_owned(), 11), ("target".to_owned(), 12)])
}

fn encoder(fault: &str) -> EncoderInstance {
    let handle = faulty("encoder", "FaultyEncoder");
    let config = filled(&handle, json!({"fault": fault}));
    EncoderInstance::create(&handle, &config, &EncoderContext::new(sizes(), Device::Cpu)).unwrap()
}

fn batch() -> Batch {
    let special = SpecialIds::default();
    Batch::new(vec![
        Field::from_sentences("source", &[vec![5, 6, 7], vec![8, 9]], special).unwrap(),
        Field::from_sentences("target", &[vec![5, 6], vec![10, 11, 7]], special).unwrap(),
    ])
}

fn output() -> Output {
    Output::new("target", vec![(Output::NLL.to_owned(), Tensor::from_slice(&[1.0f32, 4.0, 5.0]))])
}

#[test]
fn two_plugins_with_the_same_class_do_not_get_each_others() {
    let one = component(&cpp::example(), "cpp-example", "metric", "Surprised");
    let other = faulty("metric", "Surprised");
    assert_ne!(one.schema().unwrap(), other.schema().unwrap());
    let value = |handle: &ComponentHandle| {
        let mut metric = MetricInstance::create(handle, &filled(handle, json!({}))).unwrap();
        let total: Vec<f64> = metric.contribution(&output()).unwrap().try_into().unwrap();
        (metric.ordering(), metric.value(&total).unwrap())
    };
    assert_eq!(value(&one), (Ordering::Min, Some(2.0 / 3.0)));
    assert_eq!(value(&other), (Ordering::Max, Some(3.0)));
    assert_eq!(value(&one), (Ordering::Min, Some(2.0 / 3.0)));
}

#[test]
fn encoder_and_head_in_cpp_give_gradients_to_each_other() {
    let mut encoder = encoder("none");
    let handle = faulty("head", "MeanHead");
    let description = encoder.description().clone();
    let context =
        HeadContext::new(description.feature_sizes.clone(), description.hidden_size, sizes(), Device::Cpu);
    assert_eq!(description.feature_sizes["target_logits"], 12);
    let needs = handle.head_needs(&filled(&handle, json!({}))).unwrap();
    assert_eq!(needs.features, Some(vec!["target_logits".to_owned()]));
    let mut head = HeadInstance::create(&handle, &filled(&handle, json!({})), &context).unwrap();
    let batch = batch();
    let (features, trace) = encoder.forward_traced(&batch, true).unwrap();
    assert_eq!(trace.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["hidden"]);
    let output = head.forward(&features, &batch, true).unwrap();
    assert_eq!(output.averaged_over.unwrap().double_value(&[]), 5.0);
    output.loss.backward();
    let parameters = encoder.parameters().unwrap();
    let facts: Vec<_> = parameters.iter().map(|p| (p.name.as_str(), p.trainable, p.buffer)).collect();
    assert_eq!(
        facts,
        [("source", true, false), ("target", true, false), ("output", true, false), ("scale", false, true)]
    );
    assert!(
        parameters[..3].iter().all(|p| p.tensor.grad().abs().sum(tch::Kind::Float).double_value(&[]) > 0.0)
    );
    assert_eq!(encoder.extra().unwrap(), Some(json!({"batches": 1})));
    let refused = encoder.load_extra(&json!("none")).unwrap_err();
    assert_eq!((refused.kind, refused.phase), (FailureKind::Error, Phase::LoadState));
    encoder.forward(&batch, true).unwrap();
    assert_eq!(live_handles(), 0);
    encoder.close().unwrap();
    head.close().unwrap();
}

#[test]
fn an_instance_that_threw_is_not_called_again_and_one_that_failed_is() {
    let batch = batch();
    for (fault, first, then) in [
        ("error", FailureKind::Error, FailureKind::Error),
        ("libtorch", FailureKind::Error, FailureKind::Error),
        ("int", FailureKind::Exception, FailureKind::Poisoned),
        ("exception", FailureKind::Exception, FailureKind::Poisoned),
    ] {
        let mut encoder = encoder(fault);
        assert_eq!(encoder.forward(&batch, true).unwrap_err().kind, first, "{fault}");
        let again = encoder.forward(&batch, true).unwrap_err();
        assert_eq!((again.kind, again.origin.plugin.as_str()), (then, "cpp-test"), "{fault}");
        encoder.close().unwrap();
    }
}

#[test]
fn a_metric_that_gives_what_cannot_be_summed_fails() {
    let handle = faulty("metric", "FaultyMetric");
    for (fault, says) in [
        ("float32", "a contribution must be a float64 tensor of one dimension, not Float of shape [1]"),
        ("undefined", "its contribution is an undefined tensor"),
        ("tensor", "`target` has no tensor `no_such_tensor`, only nll"),
    ] {
        let mut metric = MetricInstance::create(&handle, &json!({"fault": fault})).unwrap();
        assert_eq!(metric.contribution(&output()).unwrap_err().message, says);
        assert_eq!(metric.value(&[1.0]).unwrap(), None);
    }
    let report = handle.check(&json!({})).unwrap();
    assert_eq!(report.errors[0].message, "`fault` is required");
}

#[test]
fn a_component_asked_for_as_another_kind_is_refused() {
    let error = MetricInstance::create(&faulty("head", "MeanHead"), &json!({})).err().unwrap();
    assert_eq!(error.message, "it is registered as head but asked for as metric");
}

/// Nanoseconds a call, the least of several rounds.
fn cost(mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let began = Instant::now();
        (0..2000).for_each(|_| call());
        began.elapsed().as_nanos() as f64 / 2000.0
    };
    (0..7).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

/// Nothing crosses as JSON, so that the calls themselves cost about the same.
#[test]
fn a_call_costs_about_as_much_as_one_of_a_plugin_in_rust() {
    let handle = faulty("metric", "Surprised");
    let mut in_cpp = MetricInstance::create(&handle, &filled(&handle, json!({}))).unwrap();
    let handle = built::component("metrics", "metric", "NLL");
    let mut in_rust = MetricInstance::create(&handle, &json!({})).unwrap();
    let output = output();
    let (cpp, rust) = (
        cost(|| {
            let _ = in_cpp.value(&[3.0, 1.0]).unwrap();
        }),
        cost(|| {
            let _ = in_rust.value(&[3.0, 1.0]).unwrap();
        }),
    );
    println!("value of a metric: {cpp:.0} ns in C++, {rust:.0} ns in Rust");
    assert!(cpp < 4.0 * rust + 2000.0, "{cpp} ns in C++, {rust} ns in Rust");
    let (cpp, rust) = (
        cost(|| drop(in_cpp.contribution(&output).unwrap())),
        cost(|| drop(in_rust.contribution(&output).unwrap())),
    );
    println!("contribution of a metric: {cpp:.0} ns in C++, {rust:.0} ns in Rust");
    let batch = batch();
    let mut encoder = encoder("none");
    let handle = built::component("misbehaving", "encoder", "MisbehavingEncoder");
    let context = EncoderContext::new(sizes(), Device::Cpu);
    let mut peer = EncoderInstance::create(&handle, &json!({"dim": 8}), &context).unwrap();
    let (cpp, rust) = (
        cost(|| drop(encoder.forward(&batch, false).unwrap())),
        cost(|| drop(peer.forward(&batch, false).unwrap())),
    );
    println!("forward of an encoder: {cpp:.0} ns in C++, {rust:.0} ns in Rust");
}
