//! What a component says about its options: a schema, defaults, and complaints that name the place.

use serde_json::{Value, json};

use super::finding::{Checked, Complaint, Seen, Stop};
use super::schema::{allowed, at, dangling, is_open, of_wrong_type, plausible, properties, put};
use super::subject::{Chosen, Subject};
use crate::{ConfigProblem, ConfigReport};

/// A key that no component has.
const NO_KEY: &str = "kiwi_no_such_option";
/// What is found where a key is missing.
const MISSING: &str = "no such key";

/// The schema is one, and says what the options are for.
pub(super) fn schema(subject: &Subject<'_>) -> Checked {
    let schema = subject.handle.schema()?;
    if !schema.is_object() {
        return Err(Complaint::new("the schema of its options is no object")
            .found(schema.to_string())
            .expected("a JSON Schema of an object")
            .help("derive `JsonSchema` for the options")
            .into());
    }
    (subject.settings.valid_schema)(&schema).map_err(|error| {
        Stop::from(
            Complaint::new("the schema of its options is no valid JSON Schema")
                .found(error)
                .help("correct the schema: editors and `kiwi-host schema` read it"),
        )
    })?;
    let dangling = dangling(&schema);
    if !dangling.is_empty() {
        return Err(Complaint::new("the schema of its options refers to what is not in it")
            .found(dangling.join(", "))
            .expected("references to parts of the schema itself")
            .into());
    }
    let described = |schema: &Value| {
        schema.get("description").and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
    };
    if !described(&schema) {
        return Err(Complaint::new("the schema of its options has no description")
            .expected("a sentence that says whose options these are")
            .help("write a doc comment on the options")
            .into());
    }
    let all = properties(&schema, &schema);
    let silent: Vec<&str> =
        all.iter().filter(|(_, schema)| !described(schema)).map(|(key, _)| *key).collect();
    let seen = Seen::new(match all.len() {
        0 => "a valid schema without options".to_owned(),
        1 => "a valid schema of 1 option".to_owned(),
        count => format!("a valid schema of {count} options"),
    });
    Ok(if silent.is_empty() {
        seen
    } else {
        seen.note(format!(
            "without a description: {}; a doc comment on each field gives one",
            silent.join(", ")
        ))
    })
}

/// It can be made with its defaults, or with the options that are given; what it fills in, it takes itself.
pub(super) fn options(subject: &Subject<'_>) -> Checked {
    let chosen = subject.chosen()?;
    let again = subject.handle.check(&chosen.filled)?;
    if !again.errors.is_empty() {
        return Err(complaints(
            "it refuses the options that it filled in itself",
            &again,
            "let each default be a value that the check of options accepts",
        ));
    }
    if again.config.as_ref() != Some(&chosen.filled) {
        return Err(Complaint::new("the options that it filled in change when they are read again")
            .found(again.config.map_or_else(|| "nothing".to_owned(), |config| config.to_string()))
            .expected(chosen.filled.to_string())
            .help("write each option as it is read: saved systems keep the options that were filled in")
            .into());
    }
    given_back(subject, chosen)?;
    let seen = match (subject.settings.options.contains_key(subject.class()), chosen.invented.as_slice()) {
        (true, _) => Seen::new("the options that were given are sound"),
        (false, []) => Seen::new("its defaults are sound"),
        (false, invented) => {
            Seen::new(format!("it needs options, and was checked with {}", invented.join(", ")))
                .note("give others with --options FILE, or in `Settings::options`")
        }
    };
    Ok(chosen.warnings.iter().fold(seen, |seen, warning| seen.note(format!("it warns: {warning}"))))
}

/// Each option of the schema that is written is among those that it gives back, unless it says what is so without it, or warns
/// that it is ignored: what it gives back is what it is built from, and what a saved system keeps.
fn given_back(subject: &Subject<'_>, chosen: &Chosen) -> Checked<()> {
    let schema = subject.handle.schema()?;
    for (key, property) in properties(&schema, &schema) {
        if chosen.filled.get(key).is_some() {
            continue;
        }
        let Some(value) = plausible(&schema, property).and_then(|usual| another(&usual)) else { continue };
        let mut written = chosen.written.clone();
        if !put(&mut written, key, value.clone()) {
            continue;
        }
        let report = subject.handle.check(&written)?;
        let is_told = report.errors.iter().chain(&report.warnings).any(|problem| problem.path == key);
        let filled = report.config.filter(|_| report.errors.is_empty() && !is_told);
        if filled.is_some_and(|filled| filled.get(key).is_none()) {
            return Err(Complaint::new(format!("it takes the option `{key}` and does not give it back"))
                .found(format!("no `{key}` among the options that it fills in, though {value} was written"))
                .expected("every option that was written: the component is built from what it gives back")
                .help("write each option as it is read, without `skip_serializing` of serde; of one that is ignored, warn")
                .into());
        }
    }
    Ok(())
}

/// A value of the same type.
fn another(usual: &Value) -> Option<Value> {
    match usual {
        Value::Bool(usual) => Some(json!(!usual)),
        Value::Number(usual) => match usual.as_i64() {
            Some(usual) => usual.checked_add(1).map(Value::from),
            None => usual.as_f64().map(|usual| json!(usual / 2.0)),
        },
        _ => None,
    }
}

/// What is wrong with options is refused, with the path of the option.
pub(super) fn refusals(subject: &Subject<'_>) -> Checked {
    let schema = subject.handle.schema()?;
    let written = &subject.chosen()?.written;
    let mut tried = 0;
    let mut places = vec![(String::new(), &schema)];
    while let Some((path, place)) = places.pop() {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if !is_open(&schema, place) {
            tried += 1;
            refused(subject, written, &below(NO_KEY), json!(true), "an unknown key")?;
        }
        for (key, property) in properties(&schema, place) {
            let path = below(key);
            if let Some(wrong) = of_wrong_type(&schema, property) {
                tried += 1;
                let what = format!("{wrong} where the schema says {}", allowed(&schema, property));
                refused(subject, written, &path, wrong, &what)?;
            }
            let is_set = path.split('.').try_fold(&subject.chosen()?.filled, |at, key| at.get(key));
            if is_set.is_some_and(Value::is_object) && path.matches('.').count() < 4 {
                places.push((path, property));
            }
        }
    }
    Ok(Seen::new(format!("{tried} wrong options are refused, each with its path")))
}

/// The component complains about `wrong` at `path`, and at no other.
fn refused(subject: &Subject<'_>, written: &Value, path: &str, wrong: Value, what: &str) -> Checked<()> {
    let mut options = written.clone();
    if !put(&mut options, path, wrong) {
        return Ok(());
    }
    let report = subject.handle.check(&options)?;
    let within = |problem: &ConfigProblem| {
        problem.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    if report.errors.iter().any(within) {
        return Ok(());
    }
    let complaint = if report.errors.is_empty() {
        Complaint::new(format!("it accepts {what} at `{path}`")).help(
            "refuse it: a user who misspells an option, or writes it in another type, must be told so; and let the schema say \
             which types an option may have",
        )
    } else {
        let paths: Vec<String> = report.errors.iter().map(|problem| format!("`{}`", problem.path)).collect();
        Complaint::new(format!("it refuses {what} at `{path}`, but names another place"))
            .found(paths.join(", "))
            .help("name the path of the option, so that a user finds it in the config")
    };
    Err(complaint.expected(format!("a complaint about `{path}`")).into())
}

/// The options to check a component with: those that are given, else its defaults, and values for what is required.
pub(super) fn choose(subject: &Subject<'_>) -> Checked<Chosen> {
    let given = subject.settings.options.get(subject.class());
    let mut written = given.cloned().unwrap_or_else(|| json!({}));
    let mut report = subject.handle.check(&written)?;
    let mut invented: Vec<String> = Vec::new();
    if given.is_none() && !report.errors.is_empty() {
        let schema = subject.handle.schema()?;
        // What is required may depend on what was filled in before.
        for _ in 0..4 {
            let missing = report.errors.iter().filter(|problem| problem.found.as_deref() == Some(MISSING));
            let values: Vec<(String, Value)> = missing
                .filter_map(|problem| {
                    let value = plausible(&schema, at(&schema, &problem.path)?)?;
                    Some((problem.path.clone(), value))
                })
                .collect();
            if values.is_empty() {
                break;
            }
            for (path, value) in values {
                let text = format!("{path}={value}");
                if put(&mut written, &path, value) && !invented.contains(&text) {
                    invented.push(text);
                }
            }
            report = subject.handle.check(&written)?;
        }
    }
    if !report.errors.is_empty() {
        let (what, help) = match given {
            Some(_) => {
                ("it refuses the options that were given", "correct the options of this class in the file")
            }
            None => (
                "it needs options, and the suite cannot guess them",
                "give them with --options FILE (JSON: class, then options), or in `Settings::options`; or let it have defaults",
            ),
        };
        return Err(complaints(what, &report, help));
    }
    let warnings = report.warnings.iter().map(said).collect();
    let filled = report.config.ok_or_else(|| {
        Stop::from(
            Complaint::new("it accepts its options without giving them back")
                .expected("the options with every default filled in"),
        )
    })?;
    Ok(Chosen { written, filled, invented, warnings })
}

fn complaints(what: &str, report: &ConfigReport, help: &str) -> Stop {
    let complaint = Complaint::new(what).help(help);
    report.errors.iter().fold(complaint, |complaint, problem| complaint.note(said(problem))).into()
}

fn said(problem: &ConfigProblem) -> String {
    let mut text = problem.message.clone();
    if !problem.path.is_empty() {
        text = format!("{}: {text}", problem.path);
    }
    match &problem.expected {
        Some(expected) => format!("{text} (expected {expected})"),
        None => text,
    }
}
