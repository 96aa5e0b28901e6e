//! `docs/reference.md`: every key of a config with its values, default and meaning, from the JSON Schema in `configs/`.
//!
//! A section of the config is a table; so is each built-in encoder, head and optimizer, whose options the schema has among its
//! definitions. [`values`] puts what a schema allows into words.

mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::Generated;

const SCHEMA: &str = "configs/kiwi-host.schema.json";
const PAGE: &str = "docs/reference.md";

/// Sections in the order in which people write them; what is not among them follows by name.
const SECTIONS: [&str; 4] = ["run", "trainer", "data", "system"];

/// Kinds of components, by the start of their definitions' names: heading, and where their options stand in a config.
const KINDS: [(&str, &str, &str); 3] = [
    ("encoder", "Encoders", "system.model.encoder"),
    ("head", "Heads", "system.model.tlm_outputs"),
    ("optimizer", "Optimizers", "system.optimizer.options"),
];

/// The keys whose values name classes without options: heading and place.
const CLASSES: [(&str, &str); 2] = [
    ("Systems", "/properties/system/properties/class_name"),
    ("Metrics", "/properties/system/properties/metrics/items"),
];

/// Deeper than any config; a definition that contains itself ends here.
const DEPTH: usize = 12;

/// A key.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    path: String,
    values: String,
    default: String,
    meaning: String,
}

/// The page.
pub(super) fn generate(root: &Path) -> Result<Generated> {
    let file = root.join(SCHEMA);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let schema: Value =
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Generated { path: PAGE, text: page(&schema) })
}

const INTRODUCTION: &str = "\
<!-- Made by `cargo xtask generate` of configs/kiwi-host.schema.json. Do not change it by hand. -->

# All keys of a config

Every key that `kiwi-host train` reads, with the options of the built-in components: the JSON Schema
([configs/kiwi-host.schema.json](../configs/kiwi-host.schema.json)) as tables. [The config](configuration.md) explains what belongs
together; `kiwi-host schema` prints the same for the plugins that are installed.

A key without a default may be left out, unless it is *required*. *(required)* is what must be there unless another key makes up for it.
A number is an integer where it says so, and then has neither fraction nor exponent.
";

fn page(schema: &Value) -> String {
    let document = Document { root: schema };
    let mut page = INTRODUCTION.to_owned();
    let root = document.whole(schema);
    let properties = properties(&root);
    let is_section = |key: &str| document.has_keys(&document.whole(&properties[key]));
    let mut names: Vec<&str> =
        SECTIONS.iter().copied().filter(|name| properties.contains_key(*name)).collect();
    names.extend(
        properties.keys().map(String::as_str).filter(|key| !SECTIONS.contains(key) && is_section(key)),
    );
    for name in names {
        let section = document.whole(&properties[name]);
        let mut rows = Vec::new();
        document.rows(&section, name, &mut rows);
        page += &format!("\n## `{name}`\n\n{}\n\n", values::meaning(&section));
        page += &table(&rows);
    }
    let mut rows = Vec::new();
    let others = properties.iter().filter(|(key, _)| !SECTIONS.contains(&key.as_str()) && !is_section(key));
    for (key, value) in others {
        rows.push(document.row(key.clone(), &document.whole(value), ""));
    }
    page += &format!("\n## At the root\n\n{}", table(&rows));

    let summaries = summaries(schema);
    for (kind, heading, place) in KINDS {
        page += &format!("\n## {heading}\n\nOptions at `{place}`.\n");
        let definitions = schema["$defs"].as_object().into_iter().flatten();
        for (name, definition) in definitions {
            let mut parts = name.splitn(3, '.');
            if let (Some(found), Some(plugin), Some(class)) = (parts.next(), parts.next(), parts.next())
                && found == kind
            {
                let summary = summaries.get(&format!("{plugin}::{class}")).map_or("", String::as_str);
                page += &document.component(plugin, class, summary, definition);
            }
        }
    }
    for (heading, place) in CLASSES {
        page += &format!("\n## {heading}\n\n| class | plugin | is |\n|---|---|---|\n");
        let classes = schema.pointer(place).map(values::classes).unwrap_or_default();
        for class in classes {
            if let Some((plugin, name)) = class.split_once("::") {
                let summary = summaries.get(&class).map_or("", String::as_str);
                page += &format!("| `{name}` | `{plugin}` | {} |\n", values::cell(summary));
            }
        }
    }
    page
}

fn table(rows: &[Row]) -> String {
    let mut table = "| key | values | default | meaning |\n|---|---|---|---|\n".to_owned();
    for Row { path, values, default, meaning } in rows {
        table += &format!("| `{path}` | {values} | {default} | {meaning} |\n");
    }
    table
}

fn properties(schema: &Map<String, Value>) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// What classes say about themselves, by `plugin::Class`.
fn summaries(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(entries) => {
                if let (Some(Value::String(class)), Some(Value::String(summary))) =
                    (entries.get("const"), entries.get("description"))
                {
                    found.insert(class.clone(), summary.clone());
                }
                waiting.extend(entries.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    found
}

/// The schema with its definitions.
struct Document<'a> {
    root: &'a Value,
}

impl Document<'_> {
    /// A schema with what it refers to, and with what holds in the usual case where it distinguishes two: then what is required only
    /// there is under `(required)`.
    fn whole(&self, schema: &Value) -> Map<String, Value> {
        let mut whole = schema.as_object().cloned().unwrap_or_default();
        for _ in 0..DEPTH {
            let Some(Value::String(reference)) = whole.remove("$ref") else { break };
            let target = reference.strip_prefix('#').and_then(|place| self.root.pointer(place));
            complete(&mut whole, target.and_then(Value::as_object).unwrap_or(&Map::new()));
        }
        if let Some(Value::Object(mut usual)) = whole.get("else").cloned() {
            // A list in place of an object is no other case of the object.
            if whole.get("if").and_then(|when| when.get("type")).is_none_or(|kind| kind != "array")
                && let Some(required) = usual.remove("required")
            {
                usual.insert("(required)".to_owned(), required);
            }
            complete(&mut whole, &usual);
        }
        whole
    }

    /// Whether it is an object whose keys are told one by one.
    fn has_keys(&self, schema: &Map<String, Value>) -> bool {
        !properties(schema).is_empty() && !schema.contains_key("anyOf")
    }

    /// The rows of the keys below `path`.
    fn rows(&self, schema: &Map<String, Value>, path: &str, rows: &mut Vec<Row>) {
        if path.split('.').count() > DEPTH {
            return;
        }
        for (key, value) in &properties(schema) {
            let inner = self.whole(value);
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let is_component = KINDS.iter().any(|(_, _, place)| *place == path);
            if self.has_keys(&inner) && !is_component {
                self.rows(&inner, &path, rows);
            } else if key != "class_name" || value.as_object().is_some_and(|value| !value.is_empty()) {
                let named = |list: &str| {
                    schema
                        .get(list)
                        .and_then(Value::as_array)
                        .is_some_and(|list| list.iter().any(|name| name == key))
                };
                let required = match (named("required"), named("(required)")) {
                    (true, _) => "*required*",
                    (_, true) => "*(required)*",
                    _ => "",
                };
                let mut row = self.row(path, &inner, required);
                if is_component {
                    let of_class = "object: the options of the class";
                    let named = properties(&inner).contains_key("class_name");
                    row.values =
                        if named { format!("{of_class}, and its `class_name`") } else { of_class.to_owned() };
                }
                rows.push(row);
            }
        }
    }

    fn row(&self, path: String, schema: &Map<String, Value>, required: &str) -> Row {
        let default = schema.get("default").map_or_else(|| required.to_owned(), values::default);
        Row {
            path,
            values: values::cell(&values::allowed(schema)),
            default,
            meaning: values::meaning(schema),
        }
    }

    /// What is said of a component.
    fn component(&self, plugin: &str, class: &str, summary: &str, definition: &Value) -> String {
        let schema = self.whole(definition);
        let mut text = format!("\n### `{class}`\n\n{summary}. Of plugin `{plugin}`.");
        // The first paragraph says that these are options.
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        for paragraph in description.split("\n\n").skip(1) {
            text += &format!(" {}", paragraph.replace('\n', " "));
        }
        let mut rows = Vec::new();
        self.rows(&schema, "", &mut rows);
        text += "\n\n";
        text += &if rows.is_empty() { "No options.\n".to_owned() } else { table(&rows) };
        text
    }
}

/// Adds what `schema` lacks of another, key by key within `properties`.
fn complete(schema: &mut Map<String, Value>, other: &Map<String, Value>) {
    for (key, value) in other {
        match (key.as_str(), schema.get_mut(key), value) {
            ("properties", Some(Value::Object(own)), Value::Object(others)) => {
                for (name, other) in others {
                    match (own.get_mut(name), other) {
                        (Some(Value::Object(own)), Value::Object(other)) => complete(own, other),
                        (Some(_), _) => {}
                        (None, other) => {
                            own.insert(name.clone(), other.clone());
                        }
                    }
                }
            }
            (_, Some(_), _) => {}
            (_, None, value) => {
                schema.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sections_and_components_become_tables() {
        let schema = json!({
            "$defs": {
                "head.own-heads.Words": {"type": "object", "description": "Options.\n\nAfter a|b.", "properties": {
                    "class_name": {}, "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.5, "description": "Of words\nthat count."}
                }},
                "head": {"type": "object", "properties": {"class_name": {}}},
                "size": {"type": "integer", "minimum": 1, "description": "A size."}
            },
            "type": "object",
            "properties": {
                "debug": {"type": "boolean", "default": false, "description": "One batch."},
                "system": {
                    "description": "What to train.", "type": "object", "required": ["size"],
                    "properties": {
                        "class_name": {"anyOf": [
                            {"const": "Own", "description": "A system"}, {"const": "own-heads::Own", "description": "A system"},
                            {"pattern": "^own[-_]heads::Own$", "type": "string"}, {"type": "null"}
                        ], "description": "The system."},
                        "size": {"$ref": "#/$defs/size", "description": "Its size."},
                        "load": {"type": ["string", "null"], "default": null},
                        "model": {"description": "Parts."}
                    },
                    "if": {"required": ["load"]},
                    "else": {"required": ["class_name"], "properties": {"model": {"properties": {
                        "tlm_outputs": {"$ref": "#/$defs/head", "description": "The head."}
                    }}}}
                }
            }
        });
        let page = page(&schema);
        let expected = "\n## `system`\n\nWhat to train.\n\n| key | values | default | meaning |\n|---|---|---|---|\n\
            | `system.class_name` | `\"Own\"` or null | *(required)* | The system. |\n\
            | `system.load` | string or null | `null` |  |\n\
            | `system.model.tlm_outputs` | object: the options of the class, and its `class_name` |  | The head. |\n\
            | `system.size` | integer of at least 1 | *required* | Its size. |\n\
            \n## At the root\n\n| key | values | default | meaning |\n|---|---|---|---|\n\
            | `debug` | boolean | `false` | One batch. |\n";
        assert!(page.contains(expected), "{page}");
        let head = "\n### `Words`\n\n. Of plugin `own-heads`. After a|b.\n\n| key | values | default | meaning |\n|---|---|---|---|\n\
            | `share` | number above 0 and at most 1 | `0.5` | Of words that count. |\n";
        assert!(page.contains(head), "{page}");
        assert!(
            page.contains(
                "## Systems\n\n| class | plugin | is |\n|---|---|---|\n| `Own` | `own-heads` | A system |\n"
            ),
            "{page}"
        );
        // The same schema makes the same page.
        assert_eq!(page, super::page(&schema));
    }
}
