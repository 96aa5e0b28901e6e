//! Schemas of single values, as [`crate::config::reader`] reads them.

use serde_json::{Value, json};

/// An integer of at least `least`.
pub(super) fn integer(least: i64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": i64::MAX})
}

/// A number above 0.
pub(super) fn positive() -> Value {
    json!({"type": "number", "exclusiveMinimum": 0})
}

/// A number of at least 0.
pub(super) fn not_negative() -> Value {
    json!({"type": "number", "minimum": 0})
}

/// A share that may be all.
pub(super) fn share() -> Value {
    json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
}

/// A share that leaves something.
pub(super) fn part() -> Value {
    json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
}

/// A string that is not empty.
pub(super) fn string() -> Value {
    json!({"type": "string", "minLength": 1})
}

/// A path of the file system.
pub(super) fn file() -> Value {
    json!({"type": "string", "minLength": 1, "pattern": "^[^\\u0000]*$"})
}

/// One of `one`, or an array of one or more.
pub(super) fn one_or_more(one: &Value) -> Value {
    json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
}

/// An object of these properties and no others.
pub(super) fn object(properties: Value, required: &[&str]) -> Value {
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// One value for both sides, or one for each.
pub(super) fn sides(value: &Value) -> Value {
    json!({"anyOf": [value, object(json!({"source": value, "target": value}), &[])]})
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    let nothing = json!({"type": "null"});
    match (schema.get("type"), schema.get("enum"), schema.get("anyOf")) {
        (Some(Value::String(kind)), None, _) => schema["type"] = json!([kind, "null"]),
        (None, Some(Value::Array(values)), _) => {
            schema["enum"] = values.iter().cloned().chain([Value::Null]).collect();
        }
        (None, None, Some(Value::Array(alternatives))) => {
            schema["anyOf"] = alternatives.iter().cloned().chain([nothing]).collect();
        }
        _ => schema = json!({"anyOf": [schema, nothing]}),
    }
    schema
}

/// What stands under `key` is there, and is not null.
pub(super) fn given(key: &str) -> Value {
    json!({"required": [key], "properties": {key: {"not": {"type": "null"}}}})
}

/// `then` holds where `condition` does.
pub(super) fn implies(condition: Value, then: Value) -> Value {
    json!({"if": condition, "then": then})
}
