//! The JSON that crosses the boundary, as each minor version of the API writes it, one file of samples a version in
//! `plugin-api/abi/`: every later version of the same major version reads it, and passes over what it does not know.
//!
//! `KIWI_UPDATE_SNAPSHOTS=1` writes the samples of this version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tch::Device;

use super::component::encoder::EncoderDescription;
use crate::{
    API_VERSION, ConfigReport, EncoderContext, EncoderNeeds, HeadContext, HeadNeeds, MetricRequest,
    ScheduleContext, ScheduleKeys, Warmup,
};

fn value(sample: &impl Serialize) -> Value {
    serde_json::to_value(sample).unwrap()
}

/// One of each document, with every key.
fn samples() -> Map<String, Value> {
    let sizes = BTreeMap::from([("source".to_owned(), 9), ("target".to_owned(), 8)]);
    let wanted = BTreeSet::from(["target_logits".to_owned()]);
    let encoder = EncoderContext::new(sizes.clone(), Device::Cuda(1)).with_features(Some(wanted));
    let head = HeadContext::new(sizes.clone(), 6, sizes.clone(), Device::Cpu);
    let encoder_needs = EncoderNeeds::default()
        .reads("pe", "reads_pe")
        .longest("target", 50, "positions")
        .sparse_gradient("table", "sparse")
        .carries_state();
    let head_needs =
        HeadNeeds::default().reads("pe", "").features(["target_logits"]).sparse_gradient("table", "");
    let mut report = ConfigReport::default();
    report.error("size", "must be at least 1", "an integer of at least 1");
    report.config = Some(json!({"size": 0}));
    let keys = ScheduleKeys::new(Some(Warmup::Share(0.1)), Some(100));
    let documents = [
        ("encoder context", value(&encoder)),
        ("head context", value(&head)),
        ("encoder needs", value(&encoder_needs)),
        ("head needs", value(&head_needs)),
        ("encoder description", value(&EncoderDescription { hidden_size: 6, feature_sizes: sizes })),
        ("metric requests", value(&[MetricRequest::new("target", "PERP")])),
        ("config report", value(&report)),
        ("schedule keys", value(&keys)),
        ("schedule keys, steps", value(&ScheduleKeys::new(Some(Warmup::Steps(4)), None))),
        ("schedule context", value(&ScheduleContext::new(Some(4.5), 100, 6))),
    ];
    documents.into_iter().map(|(name, document)| (name.to_owned(), document)).collect()
}

/// Reads a document and writes it again.
fn again<T: DeserializeOwned + Serialize>(document: &Value) -> Result<Value, serde_json::Error> {
    serde_json::from_value::<T>(document.clone()).map(|read| value(&read))
}

fn read(name: &str, document: &Value) -> Result<Value, serde_json::Error> {
    match name {
        "encoder context" => again::<EncoderContext>(document),
        "head context" => again::<HeadContext>(document),
        "encoder needs" => again::<EncoderNeeds>(document),
        "head needs" => again::<HeadNeeds>(document),
        "encoder description" => again::<EncoderDescription>(document),
        "metric requests" => again::<Vec<MetricRequest>>(document),
        "config report" => again::<ConfigReport>(document),
        "schedule keys" | "schedule keys, steps" => again::<ScheduleKeys>(document),
        "schedule context" => again::<ScheduleContext>(document),
        other => panic!("nobody reads {other}"),
    }
}

/// Every value of `old` is in `new`, which may have more keys.
fn holds(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            old.iter().all(|(key, old)| new.get(key).is_some_and(|new| holds(new, old)))
        }
        (Value::Array(new), Value::Array(old)) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| holds(new, old))
        }
        _ => new == old,
    }
}

/// The document with a key that no version knows in each of its objects.
fn with_unknown(document: &Value) -> Value {
    match document {
        // The sizes are tables of any names, and a warm-up is one key or the other.
        Value::Object(object) => {
            let table = object.values().all(Value::is_i64) && object.contains_key("source");
            let choice = object.contains_key("share") || object.contains_key("steps");
            let mut more: Map<String, Value> =
                object.iter().map(|(key, value)| (key.clone(), with_unknown(value))).collect();
            if !table && !choice {
                more.insert("of_a_later_version".to_owned(), json!({"x": [1]}));
            }
            Value::Object(more)
        }
        Value::Array(items) => items.iter().map(with_unknown).collect(),
        other => other.clone(),
    }
}

#[test]
fn documents_of_every_minor_version_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("abi");
    let mut numbers = API_VERSION.split('.').map(|number| number.parse::<u64>().unwrap());
    let (major, minor) = (numbers.next().unwrap(), numbers.next().unwrap());
    let now = samples();
    if env::var_os("KIWI_UPDATE_SNAPSHOTS").is_some() {
        let text = serde_json::to_string_pretty(&now).unwrap() + "\n";
        fs::write(folder.join(format!("{major}.{minor}.json")), text).unwrap();
    }
    for version in 0..=minor {
        let file = folder.join(format!("{major}.{version}.json"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let documents: Map<String, Value> = serde_json::from_str(&text).unwrap();
        for (name, document) in &documents {
            let read_again =
                read(name, document).unwrap_or_else(|error| panic!("{name} of {version}: {error}"));
            assert!(
                holds(&read_again, document),
                "{name} of {major}.{version}: {document} became {read_again}"
            );
            read(name, &with_unknown(document)).unwrap_or_else(|error| panic!("{name}, with more: {error}"));
            assert!(
                holds(&now[name], document) || version < minor,
                "{name} is written otherwise: {}",
                now[name]
            );
        }
        if version == minor {
            assert_eq!(documents, now, "write the samples of this version with KIWI_UPDATE_SNAPSHOTS=1");
        }
    }
}
