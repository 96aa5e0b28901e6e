//! A saved system and the lines that come of running one, for tests.

use kiwi_core::saved_system::{Dtype, Part, PluginIdentity, SystemHeader, TensorData, write};
use kiwi_text::SPECIALS;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Reading, SystemReport};

/// A vocabulary of these words.
pub(super) fn vocabulary(words: &[&str]) -> Vec<String> {
    SPECIALS.iter().chain(words).map(|word| (*word).to_owned()).collect()
}

fn part(class_name: &str) -> Part {
    Part {
        class_name: class_name.to_owned(),
        config: json!({"hidden_size": 4, "embeddings": {"source": {"dim": 2}}, "other": {}}),
        plugin: PluginIdentity {
            name: format!("plugin-of-{class_name}"),
            version: "0.1.0".to_owned(),
            sha256: "ab12".repeat(16),
        },
        extra: None,
    }
}

pub(super) fn header() -> SystemHeader {
    SystemHeader {
        class_name: "Predictor".to_owned(),
        encoder: part("PredictorEncoder"),
        head: part("TLMOutputs"),
        data_processing: json!({"vocab": {"min_frequency": 1}}),
        training: Some(json!({"batch_size": 32})),
        source_vocabulary: vocabulary(&["the", "cat", "."]),
        target_vocabulary: vocabulary(&["la", "katuta", "."]),
    }
}

/// A tensor of these numbers.
pub(super) struct Tensor {
    pub(super) name: &'static str,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

impl Tensor {
    pub(super) fn f32(name: &'static str, shape: &[usize], numbers: &[f32]) -> Self {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { name, dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }
}

/// A page about a system that is saved in a folder of its own.
pub(super) fn report(header: &SystemHeader, tensors: &[Tensor]) -> (TempDir, SystemReport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.safetensors");
    let data = tensors.iter().map(|tensor| TensorData {
        name: tensor.name.to_owned(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        bytes: &tensor.bytes,
    });
    write(&path, header, data).unwrap();
    let report = SystemReport::open(&path, None).unwrap();
    (folder, report)
}

/// The line of a pair.
pub(super) fn line(pair: u64, source: &str, target: &str, nll: &[Option<f64>]) -> String {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let sum: f64 = nll.iter().flatten().sum();
    let nll: Vec<Value> = nll
        .iter()
        .map(|nll| match nll {
            Some(nll) => json!(kiwi_tracking::number::Number(*nll)),
            None => Value::Null,
        })
        .collect();
    json!({"pair": pair, "source": words(source), "words": words(target), "word_nll": nll, "nll": kiwi_tracking::number::Number(sum), "perplexity": null})
        .to_string()
}

/// A reading of these lines.
pub(super) fn reading(header: &SystemHeader, of_each: usize, lines: &[String]) -> Reading {
    let mut reading = Reading::new(header, of_each);
    for line in lines {
        reading.take(line).unwrap();
    }
    reading
}
