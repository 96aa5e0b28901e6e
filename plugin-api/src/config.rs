//! From the JSON of a component's part of the config to its typed config, with every complaint collected.

use std::fmt::Display;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::Component;

/// What is wrong with one value, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// Path below the component's part, as `embeddings.source.dim`; empty for the whole part.
    pub path: String,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What stands there.
    pub found: Option<String>,
    /// What may stand there.
    pub expected: Option<String>,
    /// The nearest valid choice.
    pub nearest: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

/// What a component has to say about its part of a config.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// The config with its defaults filled in; absent if it could not be read at all.
    pub config: Option<Value>,
    /// What must be changed.
    pub errors: Vec<ConfigProblem>,
    /// What is accepted, but should be known.
    pub warnings: Vec<ConfigProblem>,
}

impl ConfigReport {
    /// Complains about the value at `path` unless `valid`.
    pub fn require(&mut self, valid: bool, path: &str, found: impl Display, expected: &str) {
        if !valid {
            self.errors.push(ConfigProblem {
                path: path.to_owned(),
                message: "value out of range".to_owned(),
                found: Some(found.to_string()),
                expected: Some(expected.to_owned()),
                nearest: None,
                help: None,
            });
        }
    }

    /// Complains about `path`, and says what to do.
    pub fn error(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ConfigProblem {
            path: path.to_owned(),
            message: message.into(),
            found: None,
            expected: None,
            nearest: None,
            help: Some(help.into()),
        });
    }

    /// Says that something is accepted, but should be known.
    pub fn warning(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(ConfigProblem {
            path: path.to_owned(),
            message: message.into(),
            found: None,
            expected: None,
            nearest: None,
            help: None,
        });
    }
}

/// Reads `C`'s config from `json`, checks it, and reports all that is wrong; the typed config only if nothing is.
pub(crate) fn check<C: Component>(json: &str) -> (Option<C::Config>, ConfigReport) {
    let (config, mut report) = read::<C::Config>(json);
    let Some(config) = config else {
        return (None, report);
    };
    C::check(&config, &mut report);
    match serde_json::to_value(&config) {
        Ok(value) => report.config = Some(value),
        Err(error) => report.errors.push(ConfigProblem {
            path: String::new(),
            message: format!("the component cannot write its own config: {error}"),
            found: None,
            expected: None,
            nearest: None,
            help: Some("report this to the plugin's author".to_owned()),
        }),
    }
    let sound = report.errors.is_empty();
    (sound.then_some(config), report)
}

/// The JSON Schema of `T`, as text.
pub(crate) fn schema<T: JsonSchema>() -> String {
    schema_value::<T>().to_string()
}

fn schema_value<T: JsonSchema>() -> Value {
    SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>().to_value()
}

fn read<T: DeserializeOwned + JsonSchema>(json: &str) -> (Option<T>, ConfigReport) {
    let mut report = ConfigReport::default();
    let mut unknown = Vec::new();
    let mut json = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let result = {
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        serde_ignored::deserialize::<_, _, T>(tracked, |path| unknown.push(path.to_string()))
    };
    if !unknown.is_empty() {
        let schema = schema_value::<T>();
        for path in unknown {
            report.errors.push(unknown_key(&schema, &readable(&path)));
        }
    }
    match result {
        Ok(config) => (Some(config), report),
        Err(error) => {
            report.errors.push(mistyped::<T>(&track.path().to_string(), &error.to_string()));
            (None, report)
        }
    }
}

fn unknown_key(schema: &Value, path: &str) -> ConfigProblem {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let known = keys_at(schema, parent);
    let nearest = nearest_of(key, known.iter().map(String::as_str));
    ConfigProblem {
        path: path.to_owned(),
        message: format!("unknown key `{key}`"),
        found: Some(format!("`{key}`")),
        expected: Some(if known.is_empty() {
            "no key here".to_owned()
        } else {
            format!("one of {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "))
        }),
        nearest,
        help: None,
    }
}

/// A complaint of serde, its position left out (the host knows the place in the file better), its two halves told apart.
fn mistyped<T: JsonSchema>(path: &str, message: &str) -> ConfigProblem {
    let message = message.rsplit_once(" at line ").map_or(message, |(before, _)| before);
    let path = if path == "." { String::new() } else { readable(path) };
    if let Some(key) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
        let parent = if path.rsplit('.').next() == Some(key) {
            path.rsplit_once('.').map_or("", |(parent, _)| parent)
        } else {
            &path
        };
        let full = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        return unknown_key(&schema_value::<T>(), &full);
    }
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let full = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        return ConfigProblem {
            path: full,
            message: format!("`{key}` is required"),
            found: Some("nothing".to_owned()),
            expected: Some("a value".to_owned()),
            nearest: None,
            help: None,
        };
    }
    let (what, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected.to_owned())),
        None => (message, None),
    };
    let (kind, mut found) = match what.split_once(": ") {
        Some((kind, found)) => (kind, Some(found.to_owned())),
        None => (what, None),
    };
    let mut nearest = None;
    if let Some(variant) = kind.strip_prefix("unknown variant `").and_then(|rest| rest.strip_suffix('`')) {
        let known: Vec<&str> =
            expected.as_deref().unwrap_or_default().split('`').skip(1).step_by(2).collect();
        nearest = nearest_of(variant, known);
        found = Some(format!("\"{variant}\""));
    }
    ConfigProblem { path, message: kind.to_owned(), found, expected, nearest, help: None }
}

/// The candidate nearest to `asked` in spelling, if one is near enough to be what was meant.
fn nearest_of<'a>(asked: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(asked, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// serde_ignored writes `?` for each `Option` and newtype it passes, which no reader of a config knows.
fn readable(path: &str) -> String {
    path.split('.').filter(|part| *part != "?").collect::<Vec<_>>().join(".")
}

/// The keys that `schema` knows at `path`.
fn keys_at(schema: &Value, path: &str) -> Vec<String> {
    let mut at = resolve(schema, schema);
    for key in path.split('.').filter(|key| !key.is_empty()) {
        let Some(next) = at.get("properties").and_then(|properties| properties.get(key)) else {
            return Vec::new();
        };
        at = resolve(schema, next);
    }
    at.get("properties")
        .and_then(Value::as_object)
        .map(|keys| keys.keys().cloned().collect())
        .unwrap_or_default()
}

/// Follows references, and of alternatives takes the one that is an object.
fn resolve<'a>(root: &'a Value, mut at: &'a Value) -> &'a Value {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Inner {
        dim: i64,
        #[serde(default)]
        dropout: f64,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Outer {
        #[serde(default)]
        hidden_size: i64,
        inner: Option<Inner>,
    }

    struct Example;

    impl Component for Example {
        type Config = Outer;
        const CLASS_NAME: &'static str = "Example";
        const SUMMARY: &'static str = "An example";

        fn check(config: &Outer, report: &mut ConfigReport) {
            report.require(
                config.hidden_size > 0,
                "hidden_size",
                config.hidden_size,
                "an integer of at least 1",
            );
        }
    }

    fn errors(json: &str) -> Vec<ConfigProblem> {
        check::<Example>(json).1.errors
    }

    #[test]
    fn unknown_keys_are_all_reported_with_the_nearest() {
        let found = errors(r#"{"hiden_size": 4, "inner": {"dim": 3, "drop_out": 0.1}}"#);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0].path, "hiden_size");
        assert_eq!(found[0].nearest.as_deref(), Some("hidden_size"));
        assert_eq!(found[0].expected.as_deref(), Some("one of `hidden_size`, `inner`"));
        assert_eq!(found[1].path, "inner.drop_out");
        assert_eq!(found[1].nearest.as_deref(), Some("dropout"));
        assert_eq!(found[2].path, "hidden_size", "the default 0 is checked too");
    }

    #[test]
    fn a_mistyped_value_has_its_path() {
        let found = errors(r#"{"hidden_size": 2.5}"#);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "hidden_size");
        assert_eq!(found[0].found.as_deref(), Some("floating point `2.5`"));
        assert_eq!(found[0].expected.as_deref(), Some("i64"));
    }

    #[test]
    fn an_unknown_variant_has_the_nearest() {
        #[derive(Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        enum Mode {
            Linear,
            Cosine,
        }
        #[derive(Debug, Serialize, Deserialize, JsonSchema)]
        struct Choice {
            mode: Mode,
        }
        let (_, report) = read::<Choice>(r#"{"mode": "linaer"}"#);
        let problem = &report.errors[0];
        assert_eq!((problem.path.as_str(), problem.message.as_str()), ("mode", "unknown variant `linaer`"));
        assert_eq!(problem.found.as_deref(), Some("\"linaer\""));
        assert_eq!(problem.expected.as_deref(), Some("`linear` or `cosine`"));
        assert_eq!(problem.nearest.as_deref(), Some("linear"));
    }

    #[test]
    fn a_missing_key_has_its_own_path() {
        let found = errors(r#"{"hidden_size": 2, "inner": {}}"#);
        assert_eq!(found[0].path, "inner.dim");
        assert_eq!(found[0].message, "`dim` is required");
    }

    #[test]
    fn a_sound_config_comes_back_with_its_defaults() {
        let (config, report) = check::<Example>(r#"{"hidden_size": 2, "inner": {"dim": 3}}"#);
        assert!(config.is_some());
        assert_eq!(
            report.config,
            Some(serde_json::json!({"hidden_size": 2, "inner": {"dim": 3, "dropout": 0.0}}))
        );
    }
}
