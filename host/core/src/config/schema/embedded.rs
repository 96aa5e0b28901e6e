//! The schema of a component's options as a part of a larger one: its references lead to where it stands there. One that no
//! validator would read is refused, so that a plugin cannot spoil the schema of all others.

use serde_json::{Map, Value, json};
use thiserror::Error;

/// A component whose schema cannot be a part of the config's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The plugin.
    pub plugin: String,
    /// The class.
    pub class: String,
    /// Why.
    pub reason: Reason,
}

/// Why a component's schema cannot be a part of the config's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// A keyword's value is of the wrong kind.
    #[error("`{keyword}` at `{place}` of its schema is {expected}")]
    Keyword {
        /// The keyword.
        keyword: String,
        /// JSON pointer of the schema that holds it.
        place: String,
        /// What it should be and is not.
        expected: &'static str,
    },
    /// It refers to something outside, or by a name.
    #[error(
        "its schema refers to `{reference}`, which is not in it: only references such as `#/$defs/Name` can be followed"
    )]
    Reference {
        /// The reference.
        reference: String,
    },
    /// It is no schema, or one that is nested too deeply.
    #[error("its schema is neither an object nor true or false, or it is nested too deeply")]
    NoSchema,
}

/// How deeply a schema may be nested.
const MAXIMUM_DEPTH: usize = 64;

/// Keywords whose value is a schema.
const SCHEMAS: &[&str] = &[
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is an array of schemas.
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas.
const MAPS: &[&str] = &["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];
/// Keywords that mark a place for references by name, or say what the whole schema says already.
const LEFT_OUT: &[&str] = &["$anchor", "$comment", "$dynamicAnchor", "$id", "$schema", "$vocabulary"];
const COUNTS: &[&str] = &[
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
];
const NUMBERS: &[&str] = &["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"];
const TYPES: &[&str] = &["array", "boolean", "integer", "null", "number", "object", "string"];

/// The definition under `key` of the component of this class; `with_class_name` if `class_name` stands beside the options.
///
/// # Errors
///
/// Its schema cannot be a part of another.
pub(super) fn definition(
    key: &str,
    class: &str,
    schema: &Value,
    with_class_name: bool,
) -> Result<Value, Reason> {
    let root = pointer(key);
    let mut schema = embed(schema, &root, "", MAXIMUM_DEPTH)?;
    if with_class_name {
        schema = beside_class_name(schema);
    }
    resolve_all(&schema, &root)?;
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), class.into());
    }
    Ok(schema)
}

/// Where the definition under `key` stands, as a reference.
pub(super) fn pointer(key: &str) -> String {
    format!("#/$defs/{key}")
}

/// A key of definitions that needs no escaping in references and is not taken.
pub(super) fn free_key(text: &str, taken: &Map<String, Value>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
    let mut key: String = text.chars().map(plain).collect();
    while taken.contains_key(&key) {
        key.push('_');
    }
    key
}

/// Allows `class_name` beside the options; its values are the host's. Of a schema that tells keys apart in other ways than by
/// `properties`, only what it says where there is no `class_name` is left.
fn beside_class_name(mut definition: Value) -> Value {
    const IN_PLACE: &[&str] =
        &["$ref", "allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"];
    const OF_KEYS: &[&str] = &["maxProperties", "patternProperties", "propertyNames"];
    let Some(object) = definition.as_object_mut() else { return definition };
    let in_parts = IN_PLACE.iter().any(|keyword| object.get(*keyword).is_some_and(tells_keys_apart));
    if in_parts || OF_KEYS.iter().any(|keyword| object.contains_key(*keyword)) {
        // What is referred to stays where it is.
        let kept = ["$defs", "definitions"].map(|keyword| object.remove_entry(keyword));
        let mut wrapped = json!({"if": {"required": ["class_name"]}, "else": definition});
        if let Some(wrapped) = wrapped.as_object_mut() {
            wrapped.extend(kept.into_iter().flatten());
        }
        return wrapped;
    }
    let properties = object.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("class_name".to_owned(), json!({}));
    }
    definition
}

/// Whether a part of a schema may refuse a key of the object that the whole is about.
fn tells_keys_apart(part: &Value) -> bool {
    const KEYWORDS: &[&str] = &[
        "$ref",
        "additionalProperties",
        "maxProperties",
        "minProperties",
        "patternProperties",
        "propertyNames",
        "unevaluatedProperties",
    ];
    match part {
        Value::Array(parts) => parts.iter().any(tells_keys_apart),
        // A reference.
        Value::String(_) => true,
        Value::Object(object) => {
            KEYWORDS.iter().any(|keyword| object.contains_key(*keyword))
                || ["allOf", "anyOf", "else", "if", "not", "oneOf", "then"]
                    .iter()
                    .any(|keyword| object.get(*keyword).is_some_and(tells_keys_apart))
        }
        _ => false,
    }
}

fn embed(schema: &Value, root: &str, place: &str, depth: usize) -> Result<Value, Reason> {
    let object = match schema {
        Value::Bool(_) => return Ok(schema.clone()),
        Value::Object(object) if depth > 0 => object,
        _ => return Err(Reason::NoSchema),
    };
    let mut out = Map::new();
    for (keyword, value) in object {
        let below = |part: &Value, at: &str| embed(part, root, &format!("{place}/{at}"), depth - 1);
        let is = |expected| Reason::Keyword { keyword: keyword.clone(), place: place.to_owned(), expected };
        let name = keyword.as_str();
        let value = if SCHEMAS.contains(&name) {
            below(value, name)?
        } else if LISTS.contains(&name) {
            let list =
                value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| is("no array of schemas"))?;
            let parts = list.iter().enumerate().map(|(i, part)| below(part, &format!("{name}/{i}")));
            parts.collect::<Result<Vec<_>, _>>()?.into()
        } else if MAPS.contains(&name) {
            let map = value.as_object().ok_or_else(|| is("no object of schemas"))?;
            let parts =
                map.iter().map(|(key, part)| Ok((key.clone(), below(part, &format!("{name}/{key}"))?)));
            Value::Object(parts.collect::<Result<_, _>>()?)
        } else if name == "$ref" {
            match value.as_str().map(|reference| (reference, reference.strip_prefix('#'))) {
                Some((_, Some(rest))) if rest.is_empty() || rest.starts_with('/') => {
                    format!("{root}{rest}").into()
                }
                Some((reference, _)) => return Err(Reason::Reference { reference: reference.to_owned() }),
                None => return Err(is("no string")),
            }
        } else if name == "$dynamicRef" {
            return Err(Reason::Reference { reference: value.to_string() });
        } else if LEFT_OUT.contains(&name) {
            continue;
        } else {
            check(name, value).map_or(Ok(value.clone()), |expected| Err(is(expected)))?
        };
        out.insert(keyword.clone(), value);
    }
    Ok(Value::Object(out))
}

/// What the value of a keyword should be and is not.
fn check(keyword: &str, value: &Value) -> Option<&'static str> {
    let a_type = |value: &Value| value.as_str().is_some_and(|kind| TYPES.contains(&kind));
    let strings = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    match keyword {
        "type" => {
            let list = value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(a_type));
            (!a_type(value) && !list).then_some("no type of JSON, nor an array of them")
        }
        "enum" => (!value.is_array()).then_some("no array"),
        "required" => (!strings(value)).then_some("no array of strings"),
        "dependentRequired" => {
            let lists = value.as_object().is_some_and(|map| map.values().all(strings));
            (!lists).then_some("no object of arrays of strings")
        }
        "pattern" | "title" | "description" | "format" => (!value.is_string()).then_some("no string"),
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" => {
            (!value.is_boolean()).then_some("neither true nor false")
        }
        "examples" => (!value.is_array()).then_some("no array"),
        "multipleOf" => (!value.as_f64().is_some_and(|number| number > 0.0)).then_some("no number above 0"),
        _ if NUMBERS.contains(&keyword) => (!value.is_number()).then_some("no number"),
        _ if COUNTS.contains(&keyword) => (!value.is_u64()).then_some("no integer of at least 0"),
        _ => None,
    }
}

/// Whether every reference leads to something.
fn resolve_all(schema: &Value, root: &str) -> Result<(), Reason> {
    fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
        let Some(object) = schema.as_object() else { return };
        for (keyword, value) in object {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => found.push(reference),
                (name, value) if SCHEMAS.contains(&name) => references(value, found),
                (name, Value::Array(list)) if LISTS.contains(&name) => {
                    list.iter().for_each(|part| references(part, found));
                }
                (name, Value::Object(map)) if MAPS.contains(&name) => {
                    map.values().for_each(|part| references(part, found));
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    references(schema, &mut found);
    match found.into_iter().find(|reference| {
        reference.strip_prefix(root).is_none_or(|pointer| schema.pointer(pointer).is_none())
    }) {
        Some(reference) => Err(Reason::Reference { reference: reference.replacen(root, "#", 1) }),
        None => Ok(()),
    }
}
