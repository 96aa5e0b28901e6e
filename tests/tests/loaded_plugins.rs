//! Plugins loaded directly, without the program: no tensor handle is left over, whatever happens, and an instance that panicked is
//! not called again. One test, since the number of handles is the process's.

use std::collections::BTreeMap;

use kiwi_plugin_api::abi::guard::FailureKind;
use kiwi_plugin_api::abi::host::{
    EncoderInstance, HeadInstance, MetricInstance, OptimizerInstance, Phase, live_handles,
};
use kiwi_plugin_api::{Batch, EncoderContext, Field, HeadContext, ParameterGroup, SpecialIds};
use kiwi_tests::built::component;
use serde_json::{Value, json};
use tch::Device;

const PLUGIN: &str = "misbehaving";

fn sizes() -> BTreeMap<String, i64> {
    BTreeMap::from([("source".to_owned(), 11), ("target".to_owned(), 12)])
}

fn encoder(fault: &str) -> EncoderInstance {
    let context = EncoderContext::new(sizes(), Device::Cpu);
    let handle = component(PLUGIN, "encoder", "MisbehavingEncoder");
    EncoderInstance::create(&handle, &json!({"fault": fault}), &context).unwrap()
}

fn head(fault: &str, encoder: &EncoderInstance) -> HeadInstance {
    let description = encoder.description();
    let features = description.feature_sizes.clone();
    let context = HeadContext::new(features, description.hidden_size, sizes(), Device::Cpu);
    HeadInstance::create(&component(PLUGIN, "head", "MisbehavingHead"), &json!({"fault": fault}), &context)
        .unwrap()
}

fn metric(fault: &str) -> MetricInstance {
    let config: Value = json!({"fault": fault});
    MetricInstance::create(&component(PLUGIN, "metric", "MisbehavingMetric"), &config).unwrap()
}

fn batch() -> Batch {
    let special = SpecialIds::default();
    Batch::new(vec![
        Field::from_sentences("source", &[vec![5, 6, 7], vec![8, 9]], special).unwrap(),
        Field::from_sentences("target", &[vec![5, 6], vec![10, 11, 7]], special).unwrap(),
    ])
}

#[test]
fn no_handle_is_left_over() {
    assert_eq!(live_handles(), 0);
    let batch = batch();
    {
        let mut encoder = encoder("none");
        let mut head = head("none", &encoder);
        let mut metric = metric("none");
        let parameters: Vec<_> =
            encoder.parameters().unwrap().into_iter().map(|p| (p.name, p.tensor)).collect();
        assert_eq!(parameters.len(), 3);
        let group = ParameterGroup::new("all", parameters);
        let handle = component(PLUGIN, "optimizer", "MisbehavingOptimizer");
        let mut optimizer = OptimizerInstance::create(&handle, &json!({}), &[group]).unwrap();
        let mut losses = Vec::new();
        for pass in 0..50 {
            let features = encoder.forward(&batch, true).unwrap();
            let output = head.forward(&features, &batch, true).unwrap();
            output.loss.backward();
            losses.push(output.loss.double_value(&[]));
            let contribution = metric.contribution(&output.outputs[0]).unwrap();
            assert_eq!(contribution.double_value(&[0]), 5.0);
            optimizer.step(&[0.001]).unwrap();
            assert_eq!(live_handles(), 0, "after pass {pass}");
        }
        assert!(losses[49] < losses[0], "{losses:?}");
        optimizer.close().unwrap();
        metric.close().unwrap();
        head.close().unwrap();
        encoder.close().unwrap();
    }
    assert_eq!(live_handles(), 0);

    // Neither after faults.
    for (fault, kind) in [
        ("panic_at_work", FailureKind::Panic),
        ("error_at_work", FailureKind::Error),
        ("throw_int", FailureKind::Exception),
        ("throw_runtime_error", FailureKind::Exception),
        ("torch_panic", FailureKind::Panic),
        ("torch_error", FailureKind::Error),
    ] {
        let mut broken = encoder(fault);
        let error = broken.forward(&batch, true).unwrap_err();
        assert_eq!((error.kind, error.phase), (kind, Phase::Forward), "{fault}");
        assert_eq!(
            (error.origin.class.as_str(), error.origin.plugin.as_str()),
            ("MisbehavingEncoder", "kiwi-misbehaving")
        );
        let again = broken.forward(&batch, true).unwrap_err();
        let expected = if kind == FailureKind::Error { kind } else { FailureKind::Poisoned };
        assert_eq!(again.kind, expected, "{fault}: {again}");
        broken.close().unwrap();

        let mut whole = encoder("none");
        let features = whole.forward(&batch, true).unwrap();
        let mut broken = head(fault, &whole);
        assert_eq!(broken.forward(&features, &batch, true).unwrap_err().kind, kind, "{fault}");
        let output = head("none", &whole).forward(&features, &batch, true).unwrap();
        let error = metric(fault).contribution(&output.outputs[0]).unwrap_err();
        assert_eq!((error.kind, error.origin.class.as_str()), (kind, "MisbehavingMetric"), "{fault}");
        assert_eq!(live_handles(), 0, "{fault}");
    }
    for fault in ["panic_in_create", "error_in_create"] {
        let handle = component(PLUGIN, "metric", "MisbehavingMetric");
        let error = MetricInstance::create(&handle, &json!({"fault": fault})).err().unwrap();
        assert_eq!(error.phase, Phase::Create, "{fault}");
    }
    let error = metric("panic_in_drop").close().unwrap_err();
    assert_eq!((error.kind, error.phase), (FailureKind::Panic, Phase::Drop));
    assert_eq!(live_handles(), 0);

    // Grad mode is put back and a new seed noticed, in whatever component.
    let mut loose = encoder("grad_mode_off");
    let before = tch::no_grad(|| loose.forward(&batch, true)).map(|_| ());
    assert!(before.is_ok() && loose.forward(&batch, true).is_ok());
    let tensor = tch::Tensor::ones([1], (tch::Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
    assert!((&tensor * 2.0).requires_grad(), "grad mode is on again");
    let reseeded = encoder("reseed").forward(&batch, true).unwrap_err();
    assert!(reseeded.message.contains("reseeded"), "{reseeded}");
    assert_eq!(live_handles(), 0);
}
