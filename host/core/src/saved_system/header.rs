//! What a saved system says about itself, as types and as the strings of a safetensors file's metadata.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;

/// The version of the format that this host writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT: &str = "format";
const VERSION: &str = "kiwi.format_version";
const SYSTEM: &str = "kiwi.system";
const SOURCE: &str = "kiwi.vocabulary.source";
const TARGET: &str = "kiwi.vocabulary.target";

/// The plugin that a part came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginIdentity {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

/// An encoder or a head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its class.
    pub class_name: String,
    /// Its configuration, with every default filled in.
    pub config: Value,
    /// The plugin that provided the class.
    pub plugin: PluginIdentity,
    /// What the component wanted saved besides its tensors, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
}

/// What a saved system is, apart from its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemHeader {
    /// The system's class.
    pub class_name: String,
    /// Its encoder.
    pub encoder: Part,
    /// Its head.
    pub head: Part,
    /// How its text is processed, with every default filled in.
    pub data_processing: Value,
    /// How it was trained, which nothing reads that runs it: the config's `system.optimizer`, `system.batch_size` and
    /// `system.metrics`, without paths. `None` of a system that came from elsewhere.
    pub training: Option<Value>,
    /// The source's words in the order of their ids.
    pub source_vocabulary: Vec<String>,
    /// The target's; the same list when the vocabulary is shared.
    pub target_vocabulary: Vec<String>,
}

/// The value of `kiwi.system`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemRecord {
    class_name: String,
    encoder: Part,
    head: Part,
    data_processing: Value,
    #[serde(default)]
    training: Option<Value>,
}

impl SystemHeader {
    /// As the metadata of a file.
    #[must_use]
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let part = |part: &Part| {
            let mut value = serde_json::json!({
                "class_name": part.class_name,
                "config": part.config,
                "plugin": {"name": part.plugin.name, "version": part.plugin.version, "sha256": part.plugin.sha256},
            });
            if let (Value::Object(value), Some(extra)) = (&mut value, &part.extra) {
                value.insert("extra".to_owned(), extra.clone());
            }
            value
        };
        let mut system = serde_json::json!({
            "class_name": self.class_name,
            "encoder": part(&self.encoder),
            "head": part(&self.head),
            "data_processing": self.data_processing,
        });
        if let Some(training) = &self.training {
            system["training"] = training.clone();
        }
        let words = |words: &[String]| Value::from(words).to_string();
        [
            (FORMAT, "pt".to_owned()),
            (VERSION, FORMAT_VERSION.to_string()),
            (SYSTEM, sorted(system).to_string()),
            (SOURCE, words(&self.source_vocabulary)),
            (TARGET, words(&self.target_vocabulary)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    pub(super) fn from_metadata(file: &Path, metadata: &BTreeMap<String, String>) -> Result<Self, Error> {
        let value = |key: &'static str| {
            metadata.get(key).map(String::as_str).ok_or_else(|| Error::NotSystem {
                file: file.to_owned(),
                missing: key,
                found: metadata.keys().cloned().collect(),
            })
        };
        let bad = |key, reason| Error::BadMetadata { file: file.to_owned(), key, reason };
        let version = value(VERSION)?;
        match version.parse::<u32>() {
            Ok(FORMAT_VERSION) => {}
            Ok(found) if found > FORMAT_VERSION => {
                return Err(Error::NewerVersion { file: file.to_owned(), found, supported: FORMAT_VERSION });
            }
            _ => return Err(bad(VERSION, format!("is {version:?}, which is no version of the format"))),
        }
        let json = |key, error: serde_json::Error| bad(key, format!("cannot be understood ({error})"));
        let words = |key| serde_json::from_str::<Vec<String>>(value(key)?).map_err(|error| json(key, error));
        let system: SystemRecord =
            serde_json::from_str(value(SYSTEM)?).map_err(|error| json(SYSTEM, error))?;
        Ok(Self {
            class_name: system.class_name,
            encoder: system.encoder,
            head: system.head,
            data_processing: system.data_processing,
            training: system.training,
            source_vocabulary: words(SOURCE)?,
            target_vocabulary: words(TARGET)?,
        })
    }
}

/// The same value with the keys of all objects in order, whether or not `serde_json` keeps them so.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<_, _> =
                entries.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}
