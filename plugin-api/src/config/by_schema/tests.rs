//! What is said about options by their schema.

use std::convert::Infallible;

use serde_json::json;

use super::*;

const SCHEMA: &str = r##"{
    "type": "object",
    "properties": {
        "dim": {"type": "integer", "minimum": 1, "default": 8},
        "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.25},
        "mode": {"enum": ["gru", "conv"], "default": "conv"},
        "path": {"type": "string", "minLength": 1},
        "limit": {"type": ["integer", "null"], "minimum": 2, "default": null},
        "widths": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "default": [3]},
        "inner": {"$ref": "#/$defs/inner", "default": {}}
    },
    "required": ["path"],
    "$defs": {
        "inner": {
            "type": "object",
            "properties": {"on": {"type": "boolean", "default": true}, "name": {"type": "string"}}
        }
    }
}"##;

fn check(config: Value) -> ConfigReport {
    check_with(config, |_, _| {})
}

fn check_with(config: Value, further: impl FnOnce(&Value, &mut ConfigReport)) -> ConfigReport {
    Options::new(SCHEMA)
        .unwrap()
        .check(&config, |filled, report| {
            further(filled, report);
            Ok::<(), Infallible>(())
        })
        .unwrap()
}

fn texts(report: &ConfigReport) -> Vec<String> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let mut texts: Vec<_> = report
        .errors
        .iter()
        .map(|p| {
            format!(
                "{}: {} | {} | {} | {}",
                p.path,
                p.message,
                text(&p.found),
                text(&p.expected),
                text(&p.help)
            )
        })
        .collect();
    texts.sort();
    texts
}

#[test]
fn defaults_are_filled_in_at_every_depth() {
    let report = check(json!({"path": "a", "inner": {"name": "n"}}));
    assert_eq!(texts(&report), [""; 0]);
    assert_eq!(
        report.config.unwrap(),
        json!({
            "dim": 8, "dropout": 0.25, "mode": "conv", "path": "a", "limit": null, "widths": [3],
            "inner": {"on": true, "name": "n"}
        })
    );
    let report = check(json!({"path": "a"}));
    assert_eq!(report.config.unwrap()["inner"], json!({"on": true}));
}

#[test]
fn everything_wrong_is_told_at_once_in_the_words_of_typed_configs() {
    let report = check(json!({
        "dim": 0, "dropout": 1, "mode": "gruu", "limit": "4", "widths": [3, 0], "inner": {"onn": true, "name": 7}, "zz": 1
    }));
    assert_eq!(
        texts(&report),
        [
            "dim: invalid value for dim | 0 | an integer of at least 1 | ",
            "dropout: invalid value for dropout | 1 | a number of at least 0 and below 1 | ",
            "inner.name: invalid value for name | 7 | a string | ",
            "inner.onn: unknown key `onn` | `onn` | one of name, on | write `on`, or remove the key",
            "limit: invalid value for limit | the string \"4\" | an integer of at least 2, or null | write 4 without quotes",
            "mode: invalid value for mode | the string \"gruu\" | one of \"gru\", \"conv\" | ",
            "path: `path` is required | no such key | a string of at least 1 character | add the key \"path\"",
            "widths[1]: invalid value for widths[1] | 0 | an integer of at least 1 | ",
            "zz: unknown key `zz` | `zz` | one of dim, dropout, inner, limit, mode, path, widths | remove the key",
        ]
    );
    let nearest = |path: &str| report.errors.iter().find(|p| p.path == path).unwrap().nearest.clone();
    assert_eq!(nearest("mode").as_deref(), Some("gru"));
    assert_eq!(nearest("inner.onn").as_deref(), Some("on"));
    assert!(report.config.is_none());
}

#[test]
fn a_number_or_a_truth_value_is_written_without_quotes() {
    let report = check(json!({"path": "a", "dropout": "0.1", "inner": {"on": "true"}}));
    assert_eq!(
        texts(&report),
        [
            "dropout: invalid value for dropout | the string \"0.1\" | a number of at least 0 and below 1 | write 0.1 without quotes",
            "inner.on: invalid value for on | the string \"true\" | true or false | write true without quotes",
        ]
    );
}

#[test]
fn an_integer_is_written_without_fraction() {
    let report = check(json!({"path": "a", "dim": 2.0}));
    assert_eq!(
        texts(&report),
        [
            "dim: invalid value for dim | 2.0 | an integer of at least 1 | write 2, without fraction and exponent"
        ]
    );
}

#[test]
fn what_the_component_adds_is_told_unless_it_only_follows() {
    let refuse = |filled: &Value, report: &mut ConfigReport| {
        let mut problem = ConfigProblem::new("dim", "invalid value for dim");
        problem.expected = Some(format!("a multiple of 3, and not {}", filled["dim"]));
        report.errors.push(problem);
        report.warning("dropout", "is high");
    };
    let report = check_with(json!({"path": "a", "dim": 4}), refuse);
    assert_eq!(texts(&report), ["dim: invalid value for dim | 4 | a multiple of 3, and not 4 | "]);
    assert_eq!(report.warnings.len(), 1);

    // Of a default, where the key is misspelt: no news.
    let report = check_with(json!({"path": "a", "dimm": 4}), refuse);
    assert_eq!(
        texts(&report),
        [
            "dimm: unknown key `dimm` | `dimm` | one of dim, dropout, inner, limit, mode, path, widths | write `dim`, or remove the key"
        ]
    );
    // And not asked at all where a key that it needs is missing.
    let report = check_with(json!({"dim": 4}), |_, _| unreachable!());
    assert_eq!(report.errors.len(), 1);
}

#[test]
fn options_where_there_are_none_and_where_there_are_any() {
    let check = |schema: &str, config: Value| {
        let options = Options::new(schema).unwrap();
        texts(&options.check(&config, |_, _| Ok::<(), Infallible>(())).unwrap())
    };
    assert_eq!(
        check(r#"{"type": "object"}"#, json!({"a": 1})),
        ["a: unknown key `a` | `a` | no key: there are no options | remove the key"]
    );
    assert_eq!(check(r#"{"type": "object", "additionalProperties": true}"#, json!({"a": 1})), [""; 0]);
    assert_eq!(
        check(r#"{"type": "object", "additionalProperties": {"type": "integer"}}"#, json!({"a": "x"})),
        ["a: invalid value for a | the string \"x\" | an integer | "]
    );
}

#[test]
fn what_is_no_schema_is_refused() {
    for (schema, part) in [
        ("{", "is no JSON"),
        ("{}", "must describe an object"),
        (r#"{"type": "object", "properties": {"a": {"type": "integr"}}}"#, "invalid at `properties.a.type`"),
        (r#"{"type": "object", "properties": {"a": {"$ref": "https://example.org/a.json"}}}"#, "invalid"),
    ] {
        let error = Options::new(schema).err().unwrap();
        assert!(error.contains(part), "{schema}: {error}");
    }
}
