//! What a JSON Schema says of a value: which types it may have, which properties there are, and what would be of another type.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// How deep references and alternatives are followed.
const DEPTH: usize = 12;

/// The plain schemas that `place` stands for: references and alternatives followed.
fn alternatives<'a>(root: &'a Value, place: &'a Value, depth: usize) -> Vec<&'a Value> {
    if depth == 0 {
        return vec![place];
    }
    if let Some(target) = place
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer))
    {
        return alternatives(root, target, depth - 1);
    }
    let among: Vec<&Value> = ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|key| place.get(key).and_then(Value::as_array))
        .flatten()
        .flat_map(|option| alternatives(root, option, depth - 1))
        .collect();
    if among.is_empty() { vec![place] } else { among }
}

/// The types that a value may have there, in JSON Schema's words; `None` if that is not said.
fn types<'a>(root: &'a Value, place: &'a Value) -> Option<BTreeSet<&'a str>> {
    let mut found = BTreeSet::new();
    for option in alternatives(root, place, DEPTH) {
        let named: Vec<&str> = match option.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => option
                .get("const")
                .into_iter()
                .chain(option.get("enum").and_then(Value::as_array).into_iter().flatten())
                .map(type_of)
                .collect(),
        };
        if named.is_empty() {
            return None;
        }
        found.extend(named);
    }
    Some(found)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The properties of the object that stands there, with their schemas.
pub(super) fn properties<'a>(root: &'a Value, place: &'a Value) -> Vec<(&'a str, &'a Value)> {
    alternatives(root, place, DEPTH)
        .into_iter()
        .filter_map(|option| option.get("properties").and_then(Value::as_object))
        .flatten()
        .map(|(key, schema)| (key.as_str(), schema))
        .collect()
}

/// Whether the object that stands there takes keys that it does not name, as a map does.
pub(super) fn is_open(root: &Value, place: &Value) -> bool {
    alternatives(root, place, DEPTH).into_iter().any(|option| {
        matches!(option.get("additionalProperties"), Some(Value::Bool(true) | Value::Object(_)))
    })
}

/// A value of a type that is not allowed there; `None` where all are.
pub(super) fn of_wrong_type(root: &Value, place: &Value) -> Option<Value> {
    let allowed = types(root, place)?;
    [json!("kiwi"), json!(true), json!([[]]), json!({"kiwi": []})]
        .into_iter()
        .find(|value| !allowed.contains(type_of(value)))
}

/// The types that are allowed there, for a message.
pub(super) fn allowed(root: &Value, place: &Value) -> String {
    types(root, place)
        .map_or_else(|| "anything".to_owned(), |types| types.into_iter().collect::<Vec<_>>().join(" or "))
}

/// A value that may do there, where one is required and none is given.
pub(super) fn plausible(root: &Value, place: &Value) -> Option<Value> {
    if let Some(said) = place.get("default").or_else(|| place.get("examples").and_then(|all| all.get(0)))
        && !said.is_null()
    {
        return Some(said.clone());
    }
    alternatives(root, place, DEPTH).into_iter().find_map(|option| {
        let first =
            |key: &str| option.get(key).and_then(Value::as_array).and_then(|all| all.first()).cloned();
        if let Some(value) = option.get("const").cloned().or_else(|| first("enum")) {
            return Some(value);
        }
        let named = match option.get("type") {
            Some(Value::Array(several)) => {
                several.iter().filter_map(Value::as_str).find(|one| *one != "null")
            }
            one => one.and_then(Value::as_str),
        };
        let bound = |key: &str| option.get(key).and_then(Value::as_f64);
        match named? {
            "integer" => {
                let least =
                    bound("minimum").or(bound("exclusiveMinimum").map(|least| least + 1.0)).unwrap_or(1.0);
                let most = bound("maximum").unwrap_or(f64::MAX);
                #[expect(clippy::cast_possible_truncation, reason = "a whole number near 8")]
                let value = 8.0_f64.max(least).min(most) as i64;
                Some(json!(value))
            }
            "number" => {
                Some(json!(0.5_f64.max(bound("minimum").unwrap_or(0.0)).min(bound("maximum").unwrap_or(0.5))))
            }
            "boolean" => Some(json!(false)),
            "string" => Some(json!("kiwi")),
            "array" => Some(json!([])),
            "object" => Some(json!({})),
            _ => None,
        }
    })
}

/// The schema of what stands at `path`, as `embeddings.source.dim`.
pub(super) fn at<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    let keys = path.split('.').filter(|key| !key.is_empty());
    keys.into_iter().try_fold(root, |place, key| {
        properties(root, place).into_iter().find(|(known, _)| *known == key).map(|(_, schema)| schema)
    })
}

/// Puts a value at `path`, making objects on the way; false if something else stands in it.
pub(super) fn put(options: &mut Value, path: &str, value: Value) -> bool {
    let mut place = options;
    let mut keys: Vec<&str> = path.split('.').collect();
    let Some(last) = keys.pop() else { return false };
    for key in keys {
        let Some(object) = place.as_object_mut() else { return false };
        let next = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if next.is_null() {
            *next = Value::Object(Map::new());
        }
        place = next;
    }
    match place.as_object_mut() {
        Some(object) => {
            object.insert(last.to_owned(), value);
            true
        }
        None => false,
    }
}

/// References of the schema that lead nowhere.
pub(super) fn dangling(root: &Value) -> Vec<String> {
    fn collect(root: &Value, place: &Value, found: &mut Vec<String>) {
        match place {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str)
                    && reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).is_none()
                {
                    found.push(reference.to_owned());
                }
                members.values().for_each(|member| collect(root, member, found));
            }
            Value::Array(elements) => elements.iter().for_each(|element| collect(root, element, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 2, "maximum": 4},
                "share": {"type": ["number", "null"]},
                "inner": {"$ref": "#/$defs/Inner"},
                "maybe": {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}]},
                "way": {"oneOf": [{"const": "up"}, {"const": "down"}]},
                "free": {},
            },
            "$defs": {"Inner": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
        })
    }

    #[test]
    fn types_are_read_through_references_and_alternatives() {
        let root = schema();
        let wrong = |path: &str| of_wrong_type(&root, at(&root, path).unwrap());
        assert_eq!(wrong("size"), Some(json!("kiwi")));
        assert_eq!(wrong("inner.on"), Some(json!("kiwi")));
        assert_eq!(wrong("way"), Some(json!(true)));
        assert_eq!(wrong("free"), None);
        assert_eq!(allowed(&root, at(&root, "maybe").unwrap()), "null or object");
        assert_eq!(at(&root, "maybe.on"), Some(&json!({"type": "boolean"})));
        assert_eq!(at(&root, "maybe.off"), None);
    }

    #[test]
    fn what_is_required_gets_a_value_within_its_bounds() {
        let root = schema();
        let value = |path: &str| plausible(&root, at(&root, path).unwrap());
        assert_eq!(value("size"), Some(json!(4)));
        assert_eq!(value("share"), Some(json!(0.5)));
        assert_eq!(value("way"), Some(json!("up")));
        assert_eq!(value("free"), None);
    }

    #[test]
    fn values_are_put_where_they_belong() {
        let mut options = json!({"a": 1});
        assert!(put(&mut options, "b.c", json!(2)));
        assert!(!put(&mut options, "a.c", json!(2)));
        assert_eq!(options, json!({"a": 1, "b": {"c": 2}}));
    }

    #[test]
    fn references_that_lead_nowhere_are_found() {
        assert!(dangling(&schema()).is_empty());
        assert_eq!(dangling(&json!({"items": [{"$ref": "#/$defs/None"}]})), ["#/$defs/None"]);
    }
}
