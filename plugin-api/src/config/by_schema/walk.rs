//! Options and schema, gone through side by side.

use serde_json::{Map, Value};

use crate::config::schema::resolve;

/// What is odd about a place, though the schema may let it pass.
pub(super) enum Oddity<'a> {
    /// A key that the schema does not have.
    UnknownKey,
    /// `2.0` where an integer is asked for, which JSON Schema takes for 2.
    WholeNumberWithFraction(&'a Value),
}

/// The path of a JSON pointer, as `layers[0].dim`.
pub(super) fn path_of(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{path}[{step}]")
        } else {
            below(&path, &step)
        }
    })
}

/// The path of a key.
pub(super) fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The schema of the value at a path, its references not followed.
pub(super) fn place<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[']).filter(|step| !step.is_empty()).try_fold(root, |at, step| {
        let at = resolve(root, at);
        if step.ends_with(']') { at.get("items") } else { property(at, step) }
    })
}

fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let named = schema.get("properties").and_then(|known| known.get(key));
    named.or_else(|| schema.get("additionalProperties").filter(|further| further.is_object()))
}

/// Whether the schema allows keys that it does not name. Of a section below, saying nothing of keys is saying so.
fn open(schema: &Value, below: bool) -> bool {
    let further = schema.get("additionalProperties");
    further.is_some_and(|further| further.is_object() || further == &Value::Bool(true))
        || schema.get("patternProperties").is_some()
        || (below && schema.get("properties").is_none() && further.is_none())
}

/// Tells of each odd place, in the order of the options.
pub(super) fn odd_places(root: &Value, value: &Value, tell: &mut dyn FnMut(&str, Oddity<'_>)) {
    go(root, root, value, "", tell);
}

fn go(root: &Value, schema: &Value, value: &Value, path: &str, tell: &mut dyn FnMut(&str, Oddity<'_>)) {
    let schema = resolve(root, schema);
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let member_path = below(path, key);
                match property(schema, key) {
                    Some(schema) => go(root, schema, member, &member_path, tell),
                    None if open(schema, !path.is_empty()) => {}
                    None => tell(&member_path, Oddity::UnknownKey),
                }
            }
        }
        Value::Array(elements) => {
            if let Some(schema) = schema.get("items") {
                for (index, element) in elements.iter().enumerate() {
                    go(root, schema, element, &format!("{path}[{index}]"), tell);
                }
            }
        }
        Value::Number(number) => {
            let kinds = match schema.get("type") {
                Some(Value::Array(kinds)) => kinds.iter().collect(),
                kind => kind.into_iter().collect::<Vec<_>>(),
            };
            let integer =
                kinds.iter().any(|kind| *kind == "integer") && !kinds.iter().any(|kind| *kind == "number");
            if integer && number.is_f64() {
                tell(path, Oddity::WholeNumberWithFraction(value));
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Fills in what the schema has a default for; a section that is left out and has defaults itself is made.
pub(super) fn fill_defaults(root: &Value, schema: &Value, value: &mut Value) {
    let schema = resolve(root, schema);
    match value {
        Value::Object(members) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
            for (key, property) in properties {
                match members.get_mut(key) {
                    Some(member) => fill_defaults(root, property, member),
                    None => drop(default(root, property).map(|value| members.insert(key.clone(), value))),
                }
            }
        }
        Value::Array(elements) => {
            if let Some(schema) = schema.get("items") {
                elements.iter_mut().for_each(|element| fill_defaults(root, schema, element));
            }
        }
        _ => {}
    }
}

fn default(root: &Value, property: &Value) -> Option<Value> {
    let given = property.get("default").or_else(|| resolve(root, property).get("default"));
    let mut value = given?.clone();
    fill_defaults(root, property, &mut value);
    Some(value)
}

/// The options without keys that the schema does not have.
pub(super) fn known_only(root: &Value, value: &Value) -> Value {
    fn keep(root: &Value, schema: &Value, value: &Value) -> Value {
        let schema = resolve(root, schema);
        match value {
            Value::Object(members) => {
                let known = members.iter().filter_map(|(key, member)| match property(schema, key) {
                    Some(schema) => Some((key.clone(), keep(root, schema, member))),
                    None => open(schema, true).then(|| (key.clone(), member.clone())),
                });
                Value::Object(known.collect::<Map<_, _>>())
            }
            Value::Array(elements) => match schema.get("items") {
                Some(schema) => elements.iter().map(|element| keep(root, schema, element)).collect(),
                None => value.clone(),
            },
            _ => value.clone(),
        }
    }
    keep(root, root, value)
}
