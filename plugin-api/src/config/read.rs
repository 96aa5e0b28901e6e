//! Reading a typed config with serde so that one wrong value does not hide the others: what cannot be read is reported, taken
//! out, and the rest read again.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment, Track};

use super::kinds::misplaced;
use super::schema::{keys_at, nullable_at, schema_value};
use super::{ConfigProblem, NOTHING, invalid_value};

/// What came of reading a config.
pub(super) struct Read<T> {
    /// The config; `None` if not even the rest could be read. Where a value was misread, it has its default here.
    pub(super) config: Option<T>,
    /// Everything that is wrong.
    pub(super) problems: Vec<ConfigProblem>,
    /// Paths of the values that were taken out.
    pub(super) misread: Vec<String>,
    /// The JSON without them.
    pub(super) rest: Value,
}

/// Reads `json`.
///
/// # Errors
/// When it is no JSON.
pub(super) fn read<T: DeserializeOwned + JsonSchema>(json: &str) -> Result<Read<T>, Box<ConfigProblem>> {
    let mut rest: Value = serde_json::from_str(json)
        .map_err(|error| Box::new(ConfigProblem::new("", format!("the options are no JSON: {error}"))))?;
    let schema = schema_value::<T>();
    let (mut problems, mut misread, mut unknown) = (Vec::<ConfigProblem>::new(), Vec::new(), Vec::new());
    let config = loop {
        let mut track = Track::new();
        let result = serde_ignored::deserialize::<_, _, T>(
            serde_path_to_error::Deserializer::new(&rest, &mut track),
            |path| {
                let path = readable(&path.to_string());
                if !unknown.contains(&path) {
                    unknown.push(path);
                }
            },
        );
        let error = match result {
            Ok(config) => break Some(config),
            Err(error) => error,
        };
        let problem = refused(&schema, &rest, &track.path(), &error.to_string());
        let path = problem.path.clone();
        // A required key whose value was taken out is missing now, which is no news.
        if !problems.iter().any(|known| known.path == path) {
            if problem.nearest.is_none() {
                misread.push(path.clone());
            }
            problems.push(problem);
        }
        // Nothing can be taken out where a key is missing, so the whole section goes.
        let section = path.rsplit_once('.').map_or("", |(section, _)| section);
        if !take_out(&mut rest, &path) && !take_out(&mut rest, section) {
            break None;
        }
    };
    problems.extend(unknown.iter().map(|path| unknown_key(&schema, path)));
    for problem in misplaced(&schema, &rest) {
        if problems.iter().any(|known| known.path == problem.path) {
            continue;
        }
        misread.push(problem.path.clone());
        problems.push(problem);
    }
    Ok(Read { config, problems, misread, rest })
}

/// Whether a value stands at `path`.
pub(super) fn stands_in(json: &Value, path: &str) -> bool {
    find(json, path).is_some()
}

/// A complaint about a value, with the value as it is written where it was shown as a number of Rust's.
pub(super) fn as_written(json: &Value, mut problem: ConfigProblem) -> ConfigProblem {
    if problem.message == invalid_value(&problem.path)
        && let Some(value) = find(json, &problem.path)
    {
        problem.found = Some(describe(value));
    }
    problem
}

/// The value at a path, an element of a list given by its number.
pub(crate) fn find<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[']).filter(|step| !step.is_empty()).try_fold(json, |place, step| {
        match step.strip_suffix(']') {
            Some(index) => place.get(index.parse::<usize>().ok()?),
            None => place.get(step),
        }
    })
}

/// Takes the value at `path` out, or the whole list that holds it; whether there was one.
pub(super) fn take_out(json: &mut Value, path: &str) -> bool {
    let path = path.split('[').next().unwrap_or_default();
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let place = parent
        .split('.')
        .filter(|key| !key.is_empty())
        .try_fold(json, |place: &mut Value, key| place.get_mut(key))
        .and_then(Value::as_object_mut);
    place.is_some_and(|object| object.remove(key).is_some())
}

pub(super) fn unknown_key(schema: &Value, path: &str) -> ConfigProblem {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let known = keys_at(schema, parent);
    let nearest = nearest_of(key, known.iter().map(String::as_str));
    ConfigProblem {
        found: Some(format!("`{key}`")),
        expected: Some(if !known.is_empty() {
            format!("one of {}", known.join(", "))
        } else if parent.is_empty() {
            "no key: there are no options".to_owned()
        } else {
            "no key here".to_owned()
        }),
        help: Some(match &nearest {
            Some(nearest) => format!("write `{nearest}`, or remove the key"),
            None => "remove the key".to_owned(),
        }),
        nearest,
        ..ConfigProblem::new(path, format!("unknown key `{key}`"))
    }
}

/// A complaint of serde in the host's words.
fn refused(schema: &Value, json: &Value, path: &Path, message: &str) -> ConfigProblem {
    let (path, value) = locate(json, path);
    let below = |key: &str| match path.rsplit('.').next() {
        Some(last) if last == key => path.clone(),
        _ if path.is_empty() => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    let quoted = |start: &str| message.strip_prefix(start).and_then(|rest| rest.split('`').next());
    if let Some(key) = quoted("unknown field `") {
        return unknown_key(schema, &below(key));
    }
    if let Some(key) = quoted("missing field `") {
        return ConfigProblem {
            found: Some(NOTHING.to_owned()),
            expected: Some("a value".to_owned()),
            help: Some(format!("add the key \"{key}\"")),
            ..ConfigProblem::new(below(key), format!("`{key}` is required"))
        };
    }
    let problem =
        ConfigProblem { found: Some(describe(value)), ..ConfigProblem::new(&path, invalid_value(&path)) };
    if let Some(variant) = quoted("unknown variant `") {
        let choices = message.split_once(", expected ").map_or("", |(_, choices)| choices);
        let choices: Vec<&str> = choices.split('`').skip(1).step_by(2).collect();
        let written: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
        return ConfigProblem {
            expected: Some(format!("one of {}", written.join(", "))),
            nearest: nearest_of(variant, choices),
            ..problem
        };
    }
    match message.split_once(", expected ") {
        Some((_, expected)) => {
            let expected = expectation(expected);
            let or_null = if nullable_at(schema, &path) { ", or null" } else { "" };
            ConfigProblem {
                help: rewritten(value, &expected),
                expected: Some(format!("{expected}{or_null}")),
                ..problem
            }
        }
        None => ConfigProblem { message: message.to_owned(), ..problem },
    }
}

/// A path as text, and the value that stands there.
fn locate<'a>(json: &'a Value, path: &Path) -> (String, &'a Value) {
    let (mut text, mut value) = (String::new(), json);
    for segment in path.iter() {
        let next = match segment {
            Segment::Map { key } => value.get(key),
            Segment::Seq { index } => value.get(index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        // What is no more in the JSON is inside a value that is read as a whole.
        let Some(next) = next else { break };
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            _ if text.is_empty() => text.push_str(&segment.to_string()),
            _ => text.push_str(&format!(".{segment}")),
        }
        value = next;
    }
    (text, value)
}

/// What serde expects, in the words that the host has for it.
fn expectation(serde: &str) -> String {
    match serde {
        "i64" | "i128" | "isize" => "an integer".to_owned(),
        "u64" | "u128" | "usize" => "an integer of at least 0".to_owned(),
        "i8" => "an integer from -128 to 127".to_owned(),
        "i16" => "an integer from -32768 to 32767".to_owned(),
        "i32" => "an integer from -2147483648 to 2147483647".to_owned(),
        "u8" => "an integer from 0 to 255".to_owned(),
        "u16" => "an integer from 0 to 65535".to_owned(),
        "u32" => "an integer from 0 to 4294967295".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        _ if serde.starts_with("struct ") => "an object".to_owned(),
        _ => serde.to_owned(),
    }
}

/// What to do about a value that reads like what is expected.
pub(super) fn rewritten(value: &Value, expected: &str) -> Option<String> {
    let integer = expected.contains("integer");
    match value {
        Value::Number(number) if integer => {
            let whole = number.as_f64().filter(|x| number.is_f64() && x.fract() == 0.0 && x.abs() < 1e15)?;
            Some(format!("write {whole:.0}, without fraction and exponent"))
        }
        Value::String(text) => {
            let number = integer && text.parse::<i64>().is_ok()
                || expected.starts_with("a number") && text.parse::<f64>().is_ok_and(f64::is_finite);
            let truth = expected == "true or false" && (text == "true" || text == "false");
            (number || truth).then(|| format!("write {text} without quotes"))
        }
        _ => None,
    }
}

/// A value, as the host describes the values of a config.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > 60 => {
            let start: String = text.chars().take(60).collect();
            format!("the string {}", Value::from(format!("{start}…")))
        }
        Value::String(_) => format!("the string {value}"),
        Value::Array(elements) if elements.is_empty() => "an empty array".to_owned(),
        Value::Array(elements) => format!("an array of {}", elements.len()),
        Value::Object(members) if members.is_empty() => "an empty object".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The candidate nearest to `asked` in spelling, if one is near enough to be what was meant; by the host's own measure.
pub(super) fn nearest_of<'a>(asked: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let asked = asked.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&asked, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// serde_ignored writes `?` for each `Option` and newtype it passes, which no reader of a config knows.
fn readable(path: &str) -> String {
    path.split('.').filter(|part| *part != "?").collect::<Vec<_>>().join(".")
}
