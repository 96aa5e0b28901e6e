//! What configs have not in common, by JSON paths.

use std::collections::BTreeMap;

use serde_json::Value;

/// So deep may a path lead; what lies deeper is compared as a whole.
const DEEPEST: usize = 64;

/// A path where configs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// As `system.optimizer.learning_rate` or `data.train.input.source[0]`.
    pub(crate) path: String,
    /// What stands there in each config, as JSON; `None` where the path leads nowhere.
    pub(crate) values: Vec<Option<String>>,
}

/// The paths where `configs` are not all the same; a config that is not known takes no part. In the order of the paths, numbers
/// of places by value.
pub(crate) fn differences(configs: &[Option<&Value>]) -> Vec<Difference> {
    let mut leaves: BTreeMap<Vec<Key>, Vec<Option<String>>> = BTreeMap::new();
    for (place, config) in configs.iter().enumerate() {
        let Some(config) = config else { continue };
        collect(config, &mut Vec::new(), &mut |path, value| {
            leaves.entry(path.to_vec()).or_insert_with(|| vec![None; configs.len()])[place] =
                Some(value.to_string());
        });
    }
    let differ = |values: &[Option<String>]| {
        let mut known =
            values.iter().zip(configs).filter(|(_, config)| config.is_some()).map(|(value, _)| value);
        let first = known.next();
        known.any(|value| Some(value) != first)
    };
    let differing = leaves.into_iter().filter(|(_, values)| differ(values));
    differing.map(|(path, values)| Difference { path: written(&path), values }).collect()
}

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(String),
    Place(usize),
}

fn collect(value: &Value, path: &mut Vec<Key>, leaf: &mut impl FnMut(&[Key], &Value)) {
    match value {
        Value::Object(entries) if !entries.is_empty() && path.len() < DEEPEST => {
            for (name, value) in entries {
                path.push(Key::Name(name.clone()));
                collect(value, path, leaf);
                path.pop();
            }
        }
        Value::Array(values) if !values.is_empty() && path.len() < DEEPEST => {
            for (place, value) in values.iter().enumerate() {
                path.push(Key::Place(place));
                collect(value, path, leaf);
                path.pop();
            }
        }
        value => leaf(path, value),
    }
}

fn written(path: &[Key]) -> String {
    let mut out = String::new();
    for key in path {
        match key {
            Key::Place(place) => out += &format!("[{place}]"),
            Key::Name(name) if name.is_empty() || name.contains(['.', '[', ']', '"']) => {
                out += &format!("[{}]", Value::from(name.as_str()));
            }
            Key::Name(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out += name;
            }
        }
    }
    if out.is_empty() { "(all of it)".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(configs: &[Option<&Value>]) -> Vec<String> {
        let row = |difference: Difference| {
            let values = difference.values.into_iter().map(|value| value.unwrap_or("-".to_owned()));
            format!("{} {}", difference.path, values.collect::<Vec<_>>().join(" "))
        };
        differences(configs).into_iter().map(row).collect()
    }

    #[test]
    fn only_what_differs_is_told() {
        let a =
            json!({"run": {"seed": 1}, "a": [1, 2, {"x": null}], "b": {}, "same": [1], "c": 1, "odd.key": 1});
        let b = json!({"run": {"seed": 2}, "a": [1, 3], "same": [1], "c": {"d": 1.0}, "odd.key": "1"});
        assert_eq!(
            rows(&[Some(&a), Some(&b)]),
            [
                "a[1] 2 3",
                "a[2].x null -",
                "b {} -",
                "c 1 -",
                "c.d - 1.0",
                "[\"odd.key\"] 1 \"1\"",
                "run.seed 1 2"
            ]
        );
        assert_eq!(rows(&[Some(&a), Some(&a)]), Vec::<String>::new());
        assert_eq!(rows(&[Some(&json!(1)), Some(&json!(2))]), ["(all of it) 1 2"]);
    }

    #[test]
    fn an_unknown_config_takes_no_part() {
        let (a, b) = (json!({"x": 1}), json!({"x": 2}));
        assert_eq!(rows(&[Some(&a), None]), Vec::<String>::new());
        assert_eq!(rows(&[Some(&a), None, Some(&b)]), ["x 1 - 2"]);
    }
}
