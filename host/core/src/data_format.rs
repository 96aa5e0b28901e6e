//! The number by which scripts know the JSON that commands print: one for all commands, in every object that is a line of standard
//! output. `docs/json.md` describes the objects, and says which changes raise the number.

use serde_json::Value;

/// The number. It grows when a field goes away, or changes its name, type, unit or meaning; a further field leaves it as it is.
pub const VERSION: u32 = 1;

/// The field that holds it.
pub const KEY: &str = "format";

/// An object as a line of data, with the number.
#[must_use]
pub fn line(mut object: Value) -> String {
    if let Value::Object(fields) = &mut object {
        fields.insert(KEY.to_owned(), VERSION.into());
    }
    object.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_number_stands_in_the_outer_object_alone() {
        assert_eq!(line(json!({"a": {"b": 1}})), format!(r#"{{"a":{{"b":1}},"format":{VERSION}}}"#));
    }
}
