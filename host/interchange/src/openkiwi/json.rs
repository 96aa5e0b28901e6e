//! Plain values of a pickle as JSON.

use serde_json::{Map, Number, Value as Json};

use super::Error;
use crate::pickle::{Graph, Value};

/// Deeper than any config is.
const DEEPEST: usize = 32;
/// More values than any config has.
const MOST: usize = 10_000;

/// A value of which nothing is an object of a class of its own, as JSON.
///
/// # Errors
/// It has something that JSON has not, or has no end.
pub(super) fn json(graph: &Graph, value: &Value, path: &str) -> Result<Json, Error> {
    let mut left = MOST;
    convert(graph, value, path, DEEPEST, &mut left)
}

fn convert(graph: &Graph, value: &Value, path: &str, depth: usize, left: &mut usize) -> Result<Json, Error> {
    // A dictionary may hold itself, or the same one so often that its size doubles with every level.
    if depth == 0 || *left == 0 {
        return Err(Error::Endless { path: path.to_owned() });
    }
    *left -= 1;
    let wrong = |found: &str| Error::Type {
        path: path.to_owned(),
        found: found.to_owned(),
        expected: "a value of a config",
    };
    match value {
        Value::None => Ok(Json::Null),
        Value::Bool(value) => Ok(Json::Bool(*value)),
        Value::Int(value) => {
            i64::try_from(*value).map(Json::from).map_err(|_| wrong(&format!("the number {value}")))
        }
        Value::Float(value) => {
            Number::from_f64(*value).map(Json::Number).ok_or_else(|| wrong(&format!("the number {value}")))
        }
        Value::Text(text) => Ok(Json::from(&**text)),
        Value::Class(_) => Err(wrong(graph.kind(value))),
        Value::Object(_) => {
            if let Some(items) = graph.items(value) {
                let items = items.iter().enumerate();
                return items
                    .map(|(i, item)| convert(graph, item, &format!("{path}[{i}]"), depth - 1, left))
                    .collect();
            }
            let entries = graph.entries(value).ok_or_else(|| wrong(graph.kind(value)))?;
            let mut map = Map::new();
            for (key, value) in entries {
                let Value::Text(key) = key else {
                    return Err(wrong("a dictionary with keys that are no texts"));
                };
                map.insert(
                    key.to_string(),
                    convert(graph, value, &format!("{path}.{key}"), depth - 1, left)?,
                );
            }
            Ok(Json::Object(map))
        }
    }
}
