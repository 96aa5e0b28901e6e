//! The JSON Schema (draft 2020-12) of a config, composed of the host's own sections and of what the installed plugins say about
//! their components' options. By it editors complete keys and values and mark what is wrong.
//!
//! It says what [`super::fill`] and the components check, as far as JSON Schema can say it: [`unsaid`] lists the rest. It never
//! refuses a config that the program accepts. Descriptions are those of the page about the config, defaults those that are filled
//! in. Not here: asking plugins ([`crate::plugins::probe`]).

mod classes;
mod components;
mod descriptions;
mod embedded;
mod sections;
mod system;
#[cfg(test)]
mod tests;
pub mod unsaid;
mod values;

use std::path::Path;

use serde_json::{Map, Value, json};

use super::later;
use crate::plugins::Registry;
use crate::plugins::probe::ProbedComponent;

pub use embedded::Unusable;

/// Its URI in the key `$schema` of a schema.
pub const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Title of the schema, by which a file of it is known.
pub const TITLE: &str = "A config of kiwi-host";

/// A config that gives nothing but what must be given.
const MINIMAL: &str = r#"{
  "data": {
    "train": {"input": {"source": "train.src", "target": "train.tgt"}},
    "valid": {"input": {"source": "valid.src", "target": "valid.tgt"}}
  },
  "system": {"class_name": "System", "model": {}, "optimizer": {"class_name": "optimizer", "learning_rate": 1.0}}
}"#;

/// What the opened components of the installed plugins say about themselves.
pub trait Probed {
    /// What the component of this class says; `None` where that is not known, so that anything goes.
    fn component(&self, plugin: &str, kind: &str, class: &str) -> Option<&ProbedComponent>;
}

/// Composes the schema of the configs that run with the plugins of `registry`. A component whose schema cannot be used is told in
/// `unusable`, and anything goes in its options.
#[must_use]
pub fn compose(registry: &Registry, probed: &dyn Probed, unusable: &mut Vec<Unusable>) -> Value {
    let mut definitions = Map::new();
    let components = components::Components::new(registry, probed, &mut definitions, unusable);
    let system = system::system(&components);
    definitions.extend(components.definitions());
    definitions.extend(sections::definitions());
    let mut schema = json!({
        "$schema": DRAFT,
        "title": TITLE,
        "description": "What `kiwi-host train` reads, with the plugins that were installed when `kiwi-host schema` wrote this.",
        "type": "object",
        "properties": {
            "$schema": values::or_null(values::string()),
            "run": sections::run(),
            "trainer": sections::trainer(),
            "data": sections::data(),
            "system": system,
            "debug": {"type": "boolean"},
            "verbose": {"type": "boolean"},
            "quiet": {"type": "boolean"},
        },
        "required": ["data", "system"],
        "additionalProperties": false,
        "allOf": [sections::not_both_verbose_and_quiet(), system::pairs_or_tokens()],
    });
    for later in later::KEYS {
        add_later(&mut schema, later);
    }
    descriptions::describe(&mut schema, &defaults());
    if let (Some(schema), false) = (schema.as_object_mut(), definitions.is_empty()) {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

/// Every default that is filled in, in its place.
fn defaults() -> Value {
    let minimal = super::load_text(Path::new("minimal.json"), MINIMAL).map(|loaded| loaded.config);
    let mut defaults = minimal.ok().and_then(|config| serde_json::to_value(config).ok()).unwrap_or_default();
    // What must be given has none.
    for (section, given) in [
        ("/data", &["train", "valid"][..]),
        ("/system", &["class_name", "model"]),
        ("/system/optimizer", &["class_name", "learning_rate"]),
    ] {
        if let Some(section) = defaults.pointer_mut(section).and_then(Value::as_object_mut) {
            section.retain(|key, _| !given.contains(&key.as_str()));
        }
    }
    defaults
}

/// A key that comes later: only the value that asks for nothing is accepted.
fn add_later(schema: &mut Value, later: &later::Later) {
    let mut keys: Vec<&str> = later.path.split('.').collect();
    let Some(last) = keys.pop() else { return };
    // The table's defaults are JSON.
    let default: Value = serde_json::from_str(later.default).unwrap_or_default();
    let properties =
        properties_of(schema, &keys).and_then(|place| schema.pointer_mut(&place)?.as_object_mut());
    if let Some(properties) = properties {
        let description = format!("Not supported yet: {}.", later.feature);
        properties.insert(last.to_owned(), json!({"const": default, "description": description}));
    }
}

/// Where the properties of the section at this path stand, which may be one that holds under a condition.
fn properties_of(schema: &Value, path: &[&str]) -> Option<String> {
    let Some((first, rest)) = path.split_first() else {
        return schema.get("properties")?.is_object().then(|| "/properties".to_owned());
    };
    ["", "/else"].iter().find_map(|part| {
        let place = format!("{part}/properties/{first}");
        properties_of(schema.pointer(&place)?, rest).map(|below| place + &below)
    })
}
