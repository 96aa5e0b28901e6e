//! Judges a plugin by its metadata, opens it if it may, trains one step with its components, and prints what came of it: one JSON
//! object. It is built against the version of the API that it stands for.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use kiwi_plugin_api::abi::host::{
    EncoderInstance, HeadInstance, MetricInstance, OptimizerInstance, Plugin, live_handles,
};
use kiwi_plugin_api::{Batch, EncoderContext, Field, HeadContext, ParameterGroup, SpecialIds};
use kiwi_plugin_metadata::compatibility::{Host, check};
use kiwi_plugin_metadata::{API_VERSION, SECTION, reader};
use object::{Object, ObjectSection};
use serde_json::{Value, json};
use tch::Device;

fn main() -> Result<(), Box<dyn Error>> {
    let file = PathBuf::from(env::args_os().nth(1).ok_or("usage: host PLUGIN")?);
    let bytes = fs::read(&file)?;
    let object = object::File::parse(&*bytes)?;
    let section = object.section_by_name(SECTION).ok_or("no metadata")?;
    let metadata = reader::read(section.data()?)?;
    let mismatches: Vec<String> = check(&metadata, &Host::this()).iter().map(ToString::to_string).collect();
    let trained = if mismatches.is_empty() { Some(train(&file, &metadata.name)?) } else { None };
    let report = json!({
        "host": API_VERSION,
        "plugin": metadata.api_version,
        "needs": metadata.minimum_host_api,
        "mismatches": mismatches,
        "trained": trained,
    });
    println!("{report}");
    Ok(())
}

/// A step with one component of each kind; what it gave.
fn train(file: &std::path::Path, name: &str) -> Result<Value, Box<dyn Error>> {
    let plugin = Plugin::open(file, name)?;
    let component = |kind: &str, class: &str| plugin.component(kind, class).ok_or(format!("no {class}"));
    let config = json!({"size": 4});
    let encoder = component("encoder", "ProbeEncoder")?;
    let refused = encoder.check(&json!({"size": 0, "sise": 1}))?.errors.len();
    let needs = encoder.encoder_needs(&config)?;
    tch::manual_seed(7);
    let sizes = BTreeMap::from([("source".to_owned(), 9), ("target".to_owned(), 9)]);
    let context = EncoderContext::new(sizes.clone(), Device::Cpu);
    let mut encoder = EncoderInstance::create(&encoder, &config, &context)?;
    let description = encoder.description().clone();
    let context = HeadContext::new(description.feature_sizes, description.hidden_size, sizes, Device::Cpu);
    let mut head = HeadInstance::create(&component("head", "ProbeHead")?, &json!({}), &context)?;
    let parameters = encoder.parameters()?.into_iter().map(|one| (one.name, one.tensor)).collect();
    let group = ParameterGroup::new("all", parameters);
    let optimizer = component("optimizer", "ProbeOptimizer")?;
    let mut optimizer = OptimizerInstance::create(&optimizer, &json!({}), &[group])?;
    let mut metric = MetricInstance::create(&component("metric", "ProbeMetric")?, &json!({}))?;
    let special = SpecialIds::default();
    let field = |name: &str, sentences: &[Vec<i64>]| {
        Field::from_sentences(name, sentences, special).map_err(|error| error.to_string())
    };
    let source = field("source", &[vec![5, 6, 7], vec![8]])?;
    let batch = Batch::new(vec![source, field("target", &[vec![6, 5], vec![7, 8, 4]])?]);
    let mut losses = Vec::new();
    for _ in 0..2 {
        encoder.reset_state(true)?;
        let features = encoder.forward(&batch, true)?;
        let output = head.forward(&features, &batch, true)?;
        output.loss.f_backward()?;
        optimizer.step(&[0.1])?;
        losses.push(f64::try_from(&output.loss)?);
        let total = Vec::<f64>::try_from(metric.contribution(&output.outputs[0])?)?;
        let value = metric.value(&total)?.ok_or("no value")?;
        assert!((value - losses[losses.len() - 1]).abs() < 1e-6);
    }
    let steps = optimizer.state()?.remove(0).1;
    let kept = kept(&mut encoder)?;
    for closed in [encoder.close(), head.close(), optimizer.close(), metric.close()] {
        closed?;
    }
    Ok(json!({
        "refused": refused,
        "carries_state": needs.carries_state,
        "losses": losses,
        "steps": i64::try_from(steps)?,
        "kept": kept,
        "live_handles": live_handles(),
    }))
}

/// The names of the state that can be saved.
#[cfg(feature = "newest")]
fn kept(encoder: &mut EncoderInstance) -> Result<Value, Box<dyn Error>> {
    let state = encoder.carried_state()?;
    Ok(json!(state.map(|state| state.into_iter().map(|(name, _)| name).collect::<Vec<_>>())))
}

/// This version of the API cannot ask.
#[cfg(not(feature = "newest"))]
fn kept(_encoder: &mut EncoderInstance) -> Result<Value, Box<dyn Error>> {
    Ok(Value::Null)
}
