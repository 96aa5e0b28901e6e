//! Arrays and objects where the JSON Schema of a config has none. serde would read some of them all the same (a struct from an array, a
//! variant from an object), by rules that nobody who writes a config knows.

use serde_json::Value;

use super::schema::follow;
use super::{ConfigProblem, invalid_value};

/// A complaint about each array or object that `schema` does not allow where it stands, the outermost only.
pub(super) fn misplaced(schema: &Value, json: &Value) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    look(schema, schema, json, "", &mut problems);
    problems
}

fn look(root: &Value, schema: &Value, json: &Value, path: &str, problems: &mut Vec<ConfigProblem>) {
    let Some(alternatives) = alternatives(root, schema, 16) else { return };
    let kind = match json {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    let kinds: Option<Vec<&str>> =
        alternatives.iter().map(|one| kinds(one)).collect::<Option<Vec<_>>>().map(|all| all.concat());
    if let Some(kinds) = kinds
        && !kinds.contains(&kind)
    {
        problems.push(ConfigProblem {
            found: Some(super::read::describe(json)),
            expected: Some(in_words(kinds)),
            ..ConfigProblem::new(path, invalid_value(path))
        });
        return;
    }
    match json {
        Value::Object(members) => {
            for (key, value) in members {
                let below = alternatives.iter().find_map(|one| one.get("properties")?.get(key));
                let below =
                    below.or_else(|| alternatives.iter().find_map(|one| one.get("additionalProperties")));
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                below.into_iter().for_each(|below| look(root, below, value, &path, problems));
            }
        }
        Value::Array(elements) => {
            for (i, value) in elements.iter().enumerate() {
                let below = alternatives.iter().find_map(|one| one.get("prefixItems")?.get(i));
                let below = below.or_else(|| alternatives.iter().find_map(|one| one.get("items")));
                let path = format!("{path}[{i}]");
                below.into_iter().for_each(|below| look(root, below, value, &path, problems));
            }
        }
        _ => {}
    }
}

/// What a schema is one of, references followed; `None` where that cannot be told.
fn alternatives<'a>(root: &'a Value, schema: &'a Value, depth: usize) -> Option<Vec<&'a Value>> {
    let depth = depth.checked_sub(1)?;
    let schema = follow(root, schema)?;
    let object = schema.as_object()?;
    let parts = ["anyOf", "oneOf"].iter().find_map(|keyword| object.get(*keyword)?.as_array());
    match parts {
        // What is said beside the parts holds for each of them.
        Some(parts) if !object.contains_key("type") => {
            let parts: Option<Vec<_>> = parts.iter().map(|part| alternatives(root, part, depth)).collect();
            parts.map(|parts| parts.concat())
        }
        _ if object.contains_key("allOf") => None,
        _ => Some(vec![schema]),
    }
}

/// The types of what a schema without alternatives allows; `None` where it says nothing of them.
fn kinds(schema: &Value) -> Option<Vec<&str>> {
    match (schema.get("type"), schema.get("enum"), schema.get("const")) {
        (Some(Value::String(kind)), ..) => Some(vec![kind]),
        (Some(Value::Array(kinds)), ..) => kinds.iter().map(Value::as_str).collect(),
        (None, Some(Value::Array(values)), _) => Some(values.iter().map(kind_of).collect()),
        (None, None, Some(value)) => Some(vec![kind_of(value)]),
        _ => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn in_words(mut kinds: Vec<&str>) -> String {
    kinds.sort_unstable_by_key(|kind| *kind == "null");
    kinds.dedup();
    let words = kinds.into_iter().map(|kind| match kind {
        "array" => "an array",
        "boolean" => "true or false",
        "integer" => "an integer",
        "number" => "a number",
        "object" => "an object",
        "string" => "a string",
        other => other,
    });
    words.collect::<Vec<_>>().join(", or ")
}
