//! Configs to be judged: those that are shipped, those with all keys, and changes to them.

use kiwi_tests::built;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

pub(crate) fn shipped() -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(built::root().join("configs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|end| end == "json")
                && !path.to_string_lossy().ends_with(".schema.json")
                && !path.ends_with("sweep.json")
        })
        .collect();
    files.sort();
    files.iter().map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

/// Beside the shipped configs: every key, and what needs others.
pub(crate) fn bases() -> Vec<Value> {
    let mut bases = shipped();
    let corpus = json!({"input": {"source": ["a"], "target": ["b"], "pe": ["c"], "alignments": 3}, "output": {"x": 1}});
    bases.push(json!({
        "$schema": "kiwi-host.schema.json",
        "run": {"seed": 1, "experiment_name": "x", "output_dir": "out", "run_id": "0123456789abcdef0123456789ABCDEF",
            "use_mlflow": true, "mlflow_tracking_uri": "http://127.0.0.1:5000", "mlflow_always_log_artifacts": true},
        "trainer": {"resume": false, "epochs": 3, "max_steps": 10, "gradient_accumulation_steps": 4,
            "gradient_max_norm": 1, "main_metric": "target_PERP", "log_interval": 1, "log_save_interval": 2, "gpus": [0],
            "precision": 16, "amp_level": "O1", "batch_order": "corpus", "max_tokens_per_batch": 1000,
            "truncated_bptt_steps": 2, "on_nonfinite": "skip", "on_oom": "stop", "deterministic": true,
            "checkpoint": {"validation_steps": 5, "save_top_k": -1, "early_stop_patience": 0, "resume_interval": 7}},
        "data": {"train": corpus, "valid": {"news": corpus, "talks": corpus}, "test": corpus, "split": null,
            "max_length": {"source": 3, "target": null}, "buffer_size": 100},
        "system": {"class_name": "kiwi_encoders::Predictor", "load": null, "load_vocabs": null,
            "model": {
                "encoder": {"class_name": "PredictorEncoder", "share_embeddings": true, "out_embeddings_dim": null,
                    "embeddings": {"source": {"dim": 5}, "target": {"dropout": 0.5}, "source_pos": null},
                    "use_mismatch_features": false, "encode_source": true},
                "tlm_outputs": {"class_name": "kiwi-heads::TLMOutputs", "fine_tune": true}},
            "data_processing": {"share_input_fields_encoders": true, "embeddings": null,
                "vocab": {"min_frequency": {"source": 1}, "max_size": 10, "add_embeddings_vocab": false}},
            "optimizer": [
                {"class_name": "adamw", "learning_rate": 1, "parameters": ["encoder.*"], "warmup_steps": 0.1,
                    "training_steps": 100, "options": {"betas": [0.9, 0.99], "bias_correction": false}},
                {"class_name": "sgd", "learning_rate": 0.1, "parameters": ["*"], "learning_rate_decay": 0.5,
                    "options": {"momentum": 0.9, "nesterov": true}}],
            "metrics": ["NLL", "kiwi-metrics::PERP"], "batch_size": {"train": 3, "valid": null}, "num_data_workers": 0},
        "debug": true, "verbose": true, "quiet": false,
    }));
    let mut loaded = bases[0].clone();
    loaded["system"] = json!({"load": "system.safetensors", "model": 3, "optimizer": {"class_name": "noam", "learning_rate": 1,
        "warmup_steps": 4000}});
    bases.push(loaded);
    bases
}

/// Every place in a config, as JSON pointers.
pub(crate) fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| places(value, format!("{at}/{key}"), found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| places(value, format!("{at}/{i}"), found));
        }
        _ => {}
    }
    found.push(at);
}

/// Every key that the schema knows, wherever.
pub(crate) fn keys(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|part| keys(part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| keys(part, found)),
        _ => {}
    }
}

pub(crate) fn pool() -> Vec<Value> {
    let corpus = json!({"input": {"source": "a", "target": "b"}});
    let mut pool = vec![
        json!({"a": corpus, "b": corpus}),
        json!({"a b": corpus}),
        json!({"größe": corpus}),
        json!({"input": {"source": ["a", "b"], "target": ["c"]}}),
        corpus,
        json!([{"class_name": "adam", "learning_rate": 1, "parameters": ["*"]}]),
        json!({"class_name": "adam", "learning_rate": 1}),
        json!({"class_name": "noam", "learning_rate": 1, "warmup_steps": 1, "parameters": null}),
    ];
    for text in [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2",
        "3",
        "16",
        "32",
        "1000001",
        "0.5",
        "1.0",
        "0.0",
        "1.5",
        "-0.5",
        "2.0",
        "32.0",
        "1e-9",
        "1e20",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "\"\"",
        "\"a\"",
        "\"bf16\"",
        "\"O0\"",
        "\"O1\"",
        "\"O2\"",
        "\"corpus\"",
        "\"random\"",
        "\"stop\"",
        "\"skip\"",
        "\"x\\u0000y\"",
        "\"{a\"",
        "\"0123456789abcdef0123456789abcdef\"",
        "\"http://name:secret@host\"",
        "[]",
        "[0]",
        "[1]",
        "[0, 1]",
        "[0.0]",
        "[1.0, 0.5]",
        "[0.9, 0.99]",
        "[\"a\"]",
        "[\"a\", \"a\"]",
        "[\"a\", \"b\"]",
        "[\"{a\"]",
        "[null]",
        "[{}]",
        "{}",
        "{\"source\": 1}",
        "{\"source\": 1, \"target\": null}",
        "{\"train\": 1}",
        "{\"train\": 1, \"valid\": null}",
        "{\"valid\": 1}",
        "{\"x\": 1}",
        "\"Predictor\"",
        "\"kiwi-encoders::Predictor\"",
        "\"PredictorEncoder\"",
        "\"kiwi_encoders::PredictorEncoder\"",
        "\"kiwi-heads::PredictorEncoder\"",
        "\"TLMOutputs\"",
        "\"adam\"",
        "\"adamw\"",
        "\"sgd\"",
        "\"noam\"",
        "\"kiwi_optimizers::sgd\"",
        "\"Adam\"",
        "\"NLL\"",
        "[\"NLL\", \"kiwi-metrics::NLL\"]",
        "[\"kiwi_metrics::NLL\"]",
        "[\"adam\"]",
    ] {
        pool.push(serde_json::from_str(text).unwrap());
    }
    pool
}

/// One change to a config.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Another value at a place.
    Replace(Index, Index),
    /// A key or an element less.
    Remove(Index),
    /// A key that is known somewhere, in some object.
    Add(Index, Index, Index),
    /// A key that is known nowhere.
    Unknown(Index),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), index()).prop_map(|(place, value)| Change::Replace(place, value)),
        2 => index().prop_map(Change::Remove),
        4 => (index(), index(), index()).prop_map(|(place, key, value)| Change::Add(place, key, value)),
        1 => index().prop_map(Change::Unknown),
    ]
}

pub(crate) fn apply(config: &mut Value, change: &Change, keys: &[String], pool: &[Value]) {
    let mut all = Vec::new();
    places(config, String::new(), &mut all);
    let objects: Vec<String> =
        all.iter().filter(|place| config.pointer(place).is_some_and(Value::is_object)).cloned().collect();
    match change {
        Change::Replace(place, value) => {
            if let Some(place) = config.pointer_mut(place.get::<String>(&all)) {
                *place = value.get(pool).clone();
            }
        }
        Change::Remove(place) => {
            let (parent, last) = place.get::<String>(&all).rsplit_once('/').unwrap_or_default();
            match config.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.remove(last)),
                Some(Value::Array(values)) => {
                    if let Some(index) = last.parse().ok().filter(|index| *index < values.len()) {
                        values.remove(index);
                    }
                }
                _ => {}
            }
        }
        Change::Add(..) | Change::Unknown(..) if objects.is_empty() => {}
        Change::Add(place, key, value) => {
            config.pointer_mut(place.get::<String>(&objects)).unwrap()[key.get::<String>(keys)] =
                value.get(pool).clone();
        }
        Change::Unknown(place) => config.pointer_mut(place.get::<String>(&objects)).unwrap()["zz"] = json!(1),
    }
}
