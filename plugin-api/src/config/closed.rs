//! A JSON Schema that says of each object what the check of options says of it: that it has no other keys. schemars says so only of
//! types with `deny_unknown_fields`, and the check refuses unknown keys of all.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Keywords beside which an object may have keys that its `properties` do not name.
const OPEN: &[&str] = &["additionalProperties", "unevaluatedProperties", "patternProperties", "$ref"];
/// Keywords whose schemas are about the same value.
const IN_PLACE: &[&str] = &["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

/// Closes the objects whose keys are known. Those within alternatives stay open: serde reads some of them in a way in which unknown
/// keys are not noticed.
pub(crate) fn close(schema: &mut Value) {
    let (mut direct, mut apart) = (BTreeSet::new(), BTreeSet::new());
    walk(schema, String::new(), true, &mut direct, &mut apart);
    for place in direct.difference(&apart) {
        let Some(object) = schema.pointer_mut(place).and_then(Value::as_object_mut) else { continue };
        let is_struct = object.contains_key("properties")
            || (place.is_empty() && object.get("type") == Some(&json!("object")));
        if is_struct && !OPEN.iter().any(|keyword| object.contains_key(*keyword)) && !adds_keys(object) {
            object.insert("additionalProperties".to_owned(), json!(false));
        }
    }
}

/// Whether a part about the same object names keys that its own `properties` do not.
fn adds_keys(object: &Map<String, Value>) -> bool {
    fn any_new(part: &Value, own: Option<&Map<String, Value>>) -> bool {
        match part {
            Value::Array(parts) => parts.iter().any(|part| any_new(part, own)),
            Value::Object(part) => {
                let named = part.get("properties").and_then(Value::as_object);
                part.contains_key("$ref")
                    || named.is_some_and(|named| {
                        named.keys().any(|key| !own.is_some_and(|own| own.contains_key(key)))
                    })
                    || IN_PLACE
                        .iter()
                        .any(|keyword| part.get(*keyword).is_some_and(|part| any_new(part, own)))
            }
            _ => false,
        }
    }
    let own = object.get("properties").and_then(Value::as_object);
    IN_PLACE.iter().any(|keyword| object.get(*keyword).is_some_and(|part| any_new(part, own)))
}

/// Notes where each schema stands that is reached from `place`: `direct` by members and elements alone, `apart` by alternatives.
fn walk(
    root: &Value,
    place: String,
    is_direct: bool,
    direct: &mut BTreeSet<String>,
    apart: &mut BTreeSet<String>,
) {
    let Some(object) = root.pointer(&place).and_then(Value::as_object) else { return };
    if !(if is_direct { &mut *direct } else { &mut *apart }).insert(place.clone()) {
        return;
    }
    for (keyword, value) in object {
        let below = format!("{place}/{keyword}");
        match (keyword.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                if let Some(target) = reference.strip_prefix('#') {
                    walk(root, target.to_owned(), is_direct, direct, apart);
                }
            }
            ("properties" | "patternProperties", Value::Object(members)) => {
                for key in members.keys() {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(root, format!("{below}/{key}"), is_direct, direct, apart);
                }
            }
            ("prefixItems", Value::Array(items)) => {
                for i in 0..items.len() {
                    walk(root, format!("{below}/{i}"), is_direct, direct, apart);
                }
            }
            ("items" | "additionalProperties", Value::Object(_)) => {
                walk(root, below, is_direct, direct, apart)
            }
            (keyword, Value::Array(parts)) if IN_PLACE.contains(&keyword) => {
                // An `Option` is read as what it is an option of.
                let others = parts.iter().filter(|part| **part != json!({"type": "null"})).count();
                let is_option = keyword == "anyOf" && others == 1;
                for i in 0..parts.len() {
                    walk(root, format!("{below}/{i}"), is_direct && is_option, direct, apart);
                }
            }
            (keyword, Value::Object(_)) if IN_PLACE.contains(&keyword) => {
                walk(root, below, false, direct, apart)
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::super::schema::schema;
    use super::*;

    #[derive(Deserialize, JsonSchema)]
    struct Nothing {}

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "read for its schema only")]
    struct Leaf {
        dim: i64,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "read for its schema only")]
    struct InVariant {
        dim: i64,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind")]
    #[expect(dead_code, reason = "read for its schema only")]
    enum Tagged {
        A { a: i64 },
        B(InVariant),
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "read for its schema only")]
    struct Whole {
        leaf: Leaf,
        option: Option<Leaf>,
        list: Vec<Leaf>,
        by_name: BTreeMap<String, Leaf>,
        tagged: Tagged,
        free: serde_json::Map<String, Value>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "read for its schema only")]
    struct More {
        own: i64,
        #[serde(flatten)]
        others: BTreeMap<String, Value>,
    }

    fn schema_of<T: JsonSchema>() -> Value {
        serde_json::from_str(&schema::<T>()).unwrap()
    }

    #[test]
    fn structs_are_closed_and_what_is_read_by_other_rules_stays_open() {
        let whole = schema_of::<Whole>();
        assert_eq!(whole["additionalProperties"], json!(false));
        assert_eq!(whole["$defs"]["Leaf"]["additionalProperties"], json!(false));
        assert_eq!(whole["$defs"]["InVariant"].get("additionalProperties"), None);
        assert_eq!(whole["properties"]["free"]["additionalProperties"], json!(true));
        for variant in whole["$defs"]["Tagged"]["oneOf"].as_array().unwrap() {
            assert_eq!(variant.get("additionalProperties"), None, "{variant}");
        }
        assert_eq!(schema_of::<Nothing>()["additionalProperties"], json!(false));
        assert_ne!(schema_of::<More>().get("additionalProperties"), Some(&json!(false)));
    }
}
