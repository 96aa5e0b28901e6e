//! What a schema allows, its default and its description, as the cells of a table in Markdown.

use serde_json::{Map, Value};

/// Limits from here on are those of 64 bits, which nobody needs to be told.
const HUGE: f64 = 9e18;

/// A default that is longer is told by its keys.
const LONG: usize = 48;

/// A text that stands in one cell.
pub(super) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The description.
pub(super) fn meaning(schema: &Map<String, Value>) -> String {
    cell(schema.get("description").and_then(Value::as_str).unwrap_or_default())
}

/// A default.
pub(super) fn default(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > LONG && value.is_object() { "that of its keys".to_owned() } else { code(value) }
}

fn code(value: &Value) -> String {
    cell(&format!("`{value}`"))
}

/// The values that a schema allows, in words.
pub(super) fn allowed(schema: &Map<String, Value>) -> String {
    let mut choices = Vec::new();
    add(schema, &mut choices);
    let mut once: Vec<String> = Vec::new();
    // What is nothing comes last.
    for choice in choices
        .iter()
        .filter(|choice| *choice != "null")
        .chain(choices.iter().filter(|choice| *choice == "null"))
    {
        if !once.contains(choice) {
            once.push(choice.clone());
        }
    }
    match once.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "anything".to_owned(),
    }
}

fn add(schema: &Map<String, Value>, choices: &mut Vec<String>) {
    if let Some(value) = schema.get("const") {
        // A class is named by itself; the plugin before it is a way to name it that all have.
        if !value.as_str().is_some_and(|value| value.contains("::")) {
            choices.push(code_or_null(value));
        }
        return;
    }
    if let Some(Value::Array(several)) = schema.get("anyOf") {
        several.iter().filter_map(Value::as_object).for_each(|schema| add(schema, choices));
        return;
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        choices.extend(values.iter().map(code_or_null));
        return;
    }
    if schema.get("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.contains("::")) {
        return;
    }
    match schema.get("type") {
        Some(Value::String(kind)) => choices.push(of_type(kind, schema)),
        Some(Value::Array(kinds)) => {
            choices.extend(kinds.iter().filter_map(Value::as_str).map(|kind| of_type(kind, schema)));
        }
        _ if schema.contains_key("$ref")
            || schema.contains_key("then")
            || schema.contains_key("properties") =>
        {
            choices.push("object".to_owned());
        }
        _ => {}
    }
}

fn code_or_null(value: &Value) -> String {
    if value.is_null() { "null".to_owned() } else { code(value) }
}

fn of_type(kind: &str, schema: &Map<String, Value>) -> String {
    match kind {
        "integer" | "number" => limited(kind, schema),
        "array" => {
            let items = schema.get("items").and_then(Value::as_object);
            let of = items.map_or_else(|| "anything".to_owned(), allowed);
            match (schema.get("minItems"), schema.get("maxItems")) {
                (Some(least), Some(most)) if least == most => format!("list of {most} (each {of})"),
                _ if of == "string" => "list of strings".to_owned(),
                _ => format!("list (each {of})"),
            }
        }
        "object" => match schema.get("properties").and_then(Value::as_object) {
            Some(keys) if !keys.is_empty() => {
                let keys: Vec<String> = keys.keys().map(|key| format!("`{key}`")).collect();
                format!("object of {}", keys.join(", "))
            }
            _ => "object".to_owned(),
        },
        kind => kind.to_owned(),
    }
}

/// A number with its limits.
fn limited(kind: &str, schema: &Map<String, Value>) -> String {
    let limit = |key: &str, words: &str| {
        let value = schema.get(key)?;
        let shown = value.as_i64().map_or_else(
            || value.as_f64().map(|number| number.to_string()),
            |number| Some(number.to_string()),
        )?;
        (value.as_f64()?.abs() < HUGE).then(|| format!("{words} {shown}"))
    };
    let least = limit("exclusiveMinimum", "above").or_else(|| limit("minimum", "of at least"));
    let most = limit("exclusiveMaximum", "below").or_else(|| limit("maximum", "at most"));
    match (least, most) {
        (Some(least), Some(most)) => format!("{kind} {least} and {most}"),
        (Some(limit), None) => format!("{kind} {limit}"),
        (None, Some(limit)) => format!("{kind} of {limit}"),
        (None, None) => kind.to_owned(),
    }
}

/// The classes that a schema names, by their plugins.
pub(super) fn classes(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![schema];
    while let Some(schema) = waiting.pop() {
        if let Some(class) = schema["const"].as_str().filter(|class| class.contains("::")) {
            found.push(class.to_owned());
        }
        waiting.extend(schema["anyOf"].as_array().into_iter().flatten());
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schema: &Value) -> String {
        allowed(schema.as_object().unwrap())
    }

    #[test]
    fn what_is_allowed_is_said_in_words() {
        for (schema, expected) in [
            (
                json!({"type": ["integer", "null"], "minimum": 1, "maximum": 9_223_372_036_854_775_807_i64}),
                "integer of at least 1 or null",
            ),
            (
                json!({"type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0}),
                "number of at least 0 and below 1",
            ),
            (json!({"enum": ["O0", null, "O1"]}), "`\"O0\"`, `\"O1\"` or null"),
            (json!({"const": false}), "`false`"),
            (
                json!({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number", "maximum": 1}}),
                "list of 2 (each number of at most 1)",
            ),
            (
                json!({"type": "object", "properties": {"source": {}, "target": {}}}),
                "object of `source`, `target`",
            ),
            (json!({"anyOf": [{"$ref": "#/$defs/corpora"}, {"type": "null"}]}), "object or null"),
            (json!({"description": "Ignored."}), "anything"),
        ] {
            assert_eq!(of(&schema), expected);
        }
    }

    #[test]
    fn a_cell_is_one_line_without_bars() {
        assert_eq!(cell("a |\n  b"), "a \\| b");
        assert_eq!(default(&json!("a|b")), "`\"a\\|b\"`");
        assert_eq!(
            default(&json!({"a_long_key": "a long value", "another_key": "another value"})),
            "that of its keys"
        );
    }

    #[test]
    fn classes_are_found_by_their_plugins() {
        let schema = json!({"anyOf": [{"anyOf": [{"const": "B"}, {"const": "p::B"}]}, {"const": "p::A"}, {"type": "null"}]});
        assert_eq!(classes(&schema), ["p::A", "p::B"]);
    }
}
