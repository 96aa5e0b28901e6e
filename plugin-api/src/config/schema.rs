//! What the JSON Schema of a config says about a place in it: which keys there are, and whether null may stand there.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

/// The JSON Schema of `T`, as text. It refuses the keys that the check of options refuses.
pub(crate) fn schema<T: JsonSchema>() -> String {
    let mut schema = schema_value::<T>();
    super::closed::close(&mut schema);
    schema.to_string()
}

/// The JSON Schema of `T`.
pub(super) fn schema_value<T: JsonSchema>() -> Value {
    SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>().to_value()
}

/// The keys that `schema` knows at `path`, sorted.
pub(super) fn keys_at(schema: &Value, path: &str) -> Vec<String> {
    let properties = at(schema, path).map(|place| resolve(schema, place)).and_then(|at| at.get("properties"));
    let mut keys: Vec<String> =
        properties.and_then(Value::as_object).map(|keys| keys.keys().cloned().collect()).unwrap_or_default();
    keys.sort_unstable();
    keys
}

/// Whether `schema` allows null at `path`.
pub(super) fn nullable_at(schema: &Value, path: &str) -> bool {
    let Some(place) = at(schema, path) else { return false };
    let is_null = |kind: &Value| kind == "null";
    let of_type = |place: &Value| match place.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(is_null),
        Some(kind) => is_null(kind),
        None => false,
    };
    let alternatives = ["anyOf", "oneOf"].iter().filter_map(|key| place.get(key)?.as_array()).flatten();
    of_type(place) || alternatives.into_iter().any(of_type)
}

/// The part of `schema` that describes the value at `path`, its references not followed.
fn at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .filter(|key| !key.is_empty())
        .try_fold(schema, |place, key| resolve(schema, place).get("properties")?.get(key))
}

/// Follows references as far as they lead; `None` where one leads nowhere or round in a circle.
pub(super) fn follow<'a>(root: &'a Value, mut at: &'a Value) -> Option<&'a Value> {
    for _ in 0..16 {
        let Some(reference) = at.get("$ref").and_then(Value::as_str) else { return Some(at) };
        at = root.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

/// Follows references, and of alternatives takes the one that is an object.
pub(super) fn resolve<'a>(root: &'a Value, mut at: &'a Value) -> &'a Value {
    for _ in 0..16 {
        if let Some(reference) = at.get("$ref").and_then(Value::as_str) {
            match reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
                Some(target) => at = target,
                None => return at,
            }
        } else if let Some(object) = ["anyOf", "oneOf", "allOf"]
            .iter()
            .filter_map(|key| at.get(key).and_then(Value::as_array))
            .flatten()
            .find(|option| option.get("$ref").is_some() || option.get("properties").is_some())
        {
            at = object;
        } else {
            return at;
        }
    }
    at
}
