//! What a call across the plugin boundary takes: components that do nothing, called through a plugin that was really opened
//! (`through the boundary`) and as plain Rust (`in place`). The difference is the boundary's. Build the plugin first:
//!
//! ```console
//! $ cargo build --release -p kiwi-idle --examples
//! $ cargo bench -p kiwi-idle
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a tool for developers")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kiwi_idle::{IdleEncoder, IdleMetric, IdleOptimizer};
use kiwi_plugin_api::abi::host::{EncoderInstance, MetricInstance, OptimizerInstance, Plugin};
use kiwi_plugin_api::prelude::*;
use serde_json::json;
use tch::{Device, Kind, Tensor};

const THROUGH: &str = "through the boundary";
const IN_PLACE: &str = "in place";

fn plugin() -> Plugin {
    let program = std::env::current_exe().unwrap();
    // Benchmarks lie in `release/deps`, examples in `release/examples`.
    let file = program.ancestors().nth(2).unwrap().join("examples/libidle.so");
    assert!(
        file.exists(),
        "{} is not there: `cargo build --release -p kiwi-idle --examples` builds it",
        file.display()
    );
    Plugin::open(&file, "kiwi-idle").expect("it opens")
}

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, Device::Cpu))
}

/// A batch whose target has so many tensors, of which the first is what the encoder hands on.
fn batch(tensors: usize) -> Batch {
    let named = |number| {
        let name = if number == 0 { "states".to_owned() } else { format!("more {number}") };
        (name, zeros(&[2, 3, 8]))
    };
    Batch::new(vec![Field::new("target", (0..tensors).map(named).collect())])
}

fn metric(criterion: &mut Criterion) {
    let plugin = plugin();
    let mut group = criterion.benchmark_group("value of a metric, no handles");
    let handle = plugin.component("metric", "IdleMetric").unwrap();
    let mut instance = MetricInstance::create(&handle, &json!({})).unwrap();
    let metric = IdleMetric::create(Default::default()).unwrap();
    let total = [1.0];
    group.bench_function(THROUGH, |bencher| bencher.iter(|| instance.value(black_box(&total)).unwrap()));
    group.bench_function(IN_PLACE, |bencher| bencher.iter(|| metric.value(black_box(&total))));
    group.finish();

    let mut group = criterion.benchmark_group("contribution of a metric, 3 handles in and 1 out");
    let tensors = ["nll", "gold", "mask"].map(|name| (name.to_owned(), zeros(&[6])));
    let output = Output::new("target", tensors.into());
    group.bench_function(THROUGH, |bencher| {
        bencher.iter(|| instance.contribution(black_box(&output)).unwrap());
    });
    group.bench_function(IN_PLACE, |bencher| {
        bencher.iter(|| metric.contribution(black_box(&output)).unwrap());
    });
    group.finish();
}

fn encoder(criterion: &mut Criterion) {
    let plugin = plugin();
    let sizes = BTreeMap::from([("source".to_owned(), 8), ("target".to_owned(), 8)]);
    let context = EncoderContext::new(sizes, Device::Cpu);
    let handle = plugin.component("encoder", "IdleEncoder").unwrap();
    let mut instance = EncoderInstance::create(&handle, &json!({}), &context).unwrap();
    let mut encoder = IdleEncoder::create(Default::default(), &context).unwrap();
    for handles in [1, 9, 33] {
        let mut group = criterion.benchmark_group(format!("forward of an encoder, {handles} in and 1 out"));
        let batch = batch(handles);
        group.bench_function(THROUGH, |bencher| {
            bencher.iter(|| instance.forward(black_box(&batch), true).unwrap());
        });
        group.bench_function(IN_PLACE, |bencher| {
            bencher.iter(|| encoder.forward(black_box(&batch), &mut Pass::new(true, false)).unwrap());
        });
        group.finish();
    }
}

fn optimizer(criterion: &mut Criterion) {
    let plugin = plugin();
    let mut group = criterion.benchmark_group("step of an optimizer with 100 parameters");
    let parameters = || (0..100).map(|number| (format!("weight {number}"), zeros(&[8]))).collect();
    let groups = || vec![ParameterGroup::new("all", parameters())];
    let handle = plugin.component("optimizer", "IdleOptimizer").unwrap();
    let mut instance = OptimizerInstance::create(&handle, &json!({}), &groups()).unwrap();
    let mut optimizer = IdleOptimizer::create(Default::default(), groups()).unwrap();
    group.bench_function(THROUGH, |bencher| bencher.iter(|| instance.step(black_box(&[0.1])).unwrap()));
    group.bench_function(IN_PLACE, |bencher| bencher.iter(|| optimizer.step(black_box(&[0.1])).unwrap()));
    group.finish();
}

criterion_group!(benches, metric, encoder, optimizer);
criterion_main!(benches);
