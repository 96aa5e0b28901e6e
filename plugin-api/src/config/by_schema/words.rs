//! What a place of a schema expects, in the words of the host.

use serde_json::Value;

use super::walk::place;
use crate::config::schema::resolve;

/// What may stand at `path`.
pub(super) fn expectation(root: &Value, path: &str) -> String {
    place(root, path).map_or_else(|| "a value".to_owned(), |schema| expected(root, schema))
}

/// The strings that may stand at `path`, where the schema lists them.
pub(super) fn choices(root: &Value, path: &str) -> Vec<String> {
    let listed = place(root, path).map(|schema| resolve(root, schema)).and_then(|schema| schema.get("enum"));
    let choices = listed.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    choices.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn expected(root: &Value, schema: &Value) -> String {
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(alternatives) = schema.get(alternatives).and_then(Value::as_array) {
            let texts: Vec<_> = alternatives.iter().map(|one| expected(root, one)).collect();
            return texts.join(", or ");
        }
    }
    let schema = resolve(root, schema);
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let choices: Vec<_> = choices.iter().map(Value::to_string).collect();
        return format!("one of {}", choices.join(", "));
    }
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(kind)) => vec![kind],
        _ => Vec::new(),
    };
    let texts: Vec<_> = kinds.iter().map(|kind| described(schema, kind)).collect();
    if texts.is_empty() { "a value".to_owned() } else { texts.join(", or ") }
}

fn described(schema: &Value, kind: &str) -> String {
    match kind {
        "integer" => format!("an integer{}", range(schema)),
        "number" => format!("a number{}", range(schema)),
        "boolean" => "true or false".to_owned(),
        "string" => {
            let pattern = schema.get("pattern").and_then(Value::as_str);
            let form = pattern.map(|pattern| format!(" that matches `{pattern}`")).unwrap_or_default();
            format!("a string{}{form}", amount(schema, "minLength", "maxLength", "character"))
        }
        "array" => format!("an array{}", amount(schema, "minItems", "maxItems", "element")),
        "object" => "an object".to_owned(),
        other => other.to_owned(),
    }
}

/// The range of a number, as ` of at least 1`.
fn range(schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).filter(|bound| bound.is_number());
    let multiple = bound("multipleOf").map(|of| format!(" that is a multiple of {of}")).unwrap_or_default();
    if let (Some(low), Some(high)) = (bound("minimum"), bound("maximum")) {
        return format!("{multiple} from {low} to {high}");
    }
    let bounds: Vec<String> = [
        ("minimum", "of at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "of at most"),
        ("exclusiveMaximum", "below"),
    ]
    .iter()
    .filter_map(|(key, words)| Some(format!("{words} {}", bound(key)?)))
    .collect();
    if bounds.is_empty() { multiple } else { format!("{multiple} {}", bounds.join(" and ")) }
}

/// How many of something, as ` of at least 2 elements`.
fn amount(schema: &Value, least: &str, most: &str, what: &str) -> String {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let plural = |count: u64| if count == 1 { what.to_owned() } else { format!("{what}s") };
    match (bound(least), bound(most)) {
        (Some(least), Some(most)) => format!(" of {least} to {most} {}", plural(most)),
        (Some(least), None) => format!(" of at least {least} {}", plural(least)),
        (None, Some(most)) => format!(" of at most {most} {}", plural(most)),
        (None, None) => String::new(),
    }
}
