//! What is said about configs of all sorts.

use schemars::JsonSchema;

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
        report.require(config.hidden_size > 0, "hidden_size", config.hidden_size, "an integer of at least 1");
    }
}

fn errors(json: &str) -> Vec<ConfigProblem> {
    check::<Example>(json).1.errors
}

fn found(problem: &ConfigProblem) -> (&str, &str, Option<&str>, Option<&str>, Option<&str>) {
    let ConfigProblem { path, message, found, expected, help, .. } = problem;
    (path, message, found.as_deref(), expected.as_deref(), help.as_deref())
}

#[test]
fn unknown_keys_are_all_reported_with_the_nearest() {
    let errors = errors(r#"{"hiden_size": 4, "inner": {"dim": 3, "drop_out": 0.1, "zz": 1}}"#);
    assert_eq!(
        errors.iter().map(found).collect::<Vec<_>>(),
        [
            (
                "hiden_size",
                "unknown key `hiden_size`",
                Some("`hiden_size`"),
                Some("one of hidden_size, inner"),
                Some("write `hidden_size`, or remove the key")
            ),
            (
                "inner.drop_out",
                "unknown key `drop_out`",
                Some("`drop_out`"),
                Some("one of dim, dropout"),
                Some("write `dropout`, or remove the key")
            ),
            (
                "inner.zz",
                "unknown key `zz`",
                Some("`zz`"),
                Some("one of dim, dropout"),
                Some("remove the key")
            ),
        ],
        "and nothing of the default 0 of hidden_size, which is not what was meant"
    );
    assert_eq!(errors[0].nearest.as_deref(), Some("hidden_size"));
}

#[test]
fn a_key_in_capitals_is_no_other_key() {
    let errors = errors(r#"{"hidden_size": 1, "INNER": {}}"#);
    assert_eq!((errors[0].path.as_str(), errors[0].nearest.as_deref()), ("INNER", Some("inner")));
}

#[test]
fn options_where_there_are_none() {
    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Nothing {}
    let read = read::read::<Nothing>(r#"{"size": 1}"#).unwrap();
    assert_eq!(
        found(&read.problems[0]),
        (
            "size",
            "unknown key `size`",
            Some("`size`"),
            Some("no key: there are no options"),
            Some("remove the key")
        )
    );
}

#[test]
fn a_default_that_makes_no_sense_is_refused() {
    let errors = errors("{}");
    assert_eq!(
        found(&errors[0]),
        ("hidden_size", "invalid value for hidden_size", Some("0"), Some("an integer of at least 1"), None)
    );
}

#[test]
fn one_value_of_the_wrong_type_hides_no_other() {
    let errors =
        errors(r#"{"hidden_size": 2.0, "unknown": 1, "inner": {"dim": "8", "dropout": true, "of": 1}}"#);
    assert_eq!(
        errors.iter().map(found).collect::<Vec<_>>(),
        [
            (
                "hidden_size",
                "invalid value for hidden_size",
                Some("2.0"),
                Some("an integer"),
                Some("write 2, without fraction and exponent")
            ),
            (
                "inner.dim",
                "invalid value for dim",
                Some("the string \"8\""),
                Some("an integer"),
                Some("write 8 without quotes")
            ),
            ("inner.dropout", "invalid value for dropout", Some("true"), Some("a number"), None),
            (
                "inner.of",
                "unknown key `of`",
                Some("`of`"),
                Some("one of dim, dropout"),
                Some("remove the key")
            ),
            (
                "unknown",
                "unknown key `unknown`",
                Some("`unknown`"),
                Some("one of hidden_size, inner"),
                Some("remove the key")
            ),
        ]
    );
}

#[test]
fn numbers_are_never_coerced() {
    for (value, shown) in [
        ("2.5", "2.5"),
        ("1e0", "1.0"),
        ("\"8\"", "the string \"8\""),
        ("true", "true"),
        ("null", "null"),
        ("[3]", "an array of 1"),
        ("{}", "an empty object"),
    ] {
        let errors = errors(&format!(r#"{{"hidden_size": {value}}}"#));
        assert_eq!(errors.len(), 1, "{value}: {errors:?}");
        assert_eq!(errors[0].path, "hidden_size");
        assert_eq!(errors[0].found.as_deref(), Some(shown));
        assert_eq!(errors[0].expected.as_deref(), Some("an integer"));
    }
    // A whole number is a number like any other.
    assert_eq!(errors(r#"{"hidden_size": 1, "inner": {"dim": 1, "dropout": 0}}"#), []);
}

#[test]
fn null_is_offered_where_it_may_stand() {
    let errors = errors(r#"{"hidden_size": 1, "inner": 7}"#);
    assert_eq!(
        found(&errors[0]),
        ("inner", "invalid value for inner", Some("7"), Some("an object, or null"), None)
    );
}

#[test]
fn what_is_no_object_is_refused_as_a_whole() {
    let errors = errors("[1]");
    assert_eq!(errors.len(), 1);
    assert_eq!(found(&errors[0]).0, "");
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
        #[serde(default)]
        steps: Option<u8>,
    }
    let read = read::read::<Choice>(r#"{"mode": "linaer", "steps": 300}"#).unwrap();
    assert_eq!(
        read.problems.iter().map(found).collect::<Vec<_>>(),
        [
            (
                "mode",
                "invalid value for mode",
                Some("the string \"linaer\""),
                Some("one of \"linear\", \"cosine\""),
                None
            ),
            (
                "steps",
                "invalid value for steps",
                Some("300"),
                Some("an integer from 0 to 255, or null"),
                None
            ),
        ]
    );
    assert_eq!(read.problems[0].nearest.as_deref(), Some("linear"));
    assert!(read.config.is_none(), "mode is required, and was taken out");
}

#[test]
fn lists_and_strict_types_are_read_likewise() {
    #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Strict {
        betas: Vec<f64>,
        name: String,
    }
    let read = read::read::<Strict>(r#"{"betas": [0.9, "x"], "nmae": "a", "name": 3}"#).unwrap();
    let paths: Vec<&str> = read.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["betas[1]", "name", "nmae"]);
    assert_eq!(read.problems[2].nearest.as_deref(), Some("name"));
}

#[test]
fn a_missing_key_has_its_own_path() {
    let found = errors(r#"{"hidden_size": 2, "inner": {}}"#);
    assert_eq!(found[0].path, "inner.dim");
    assert_eq!(found[0].message, "`dim` is required");
    assert_eq!(found[0].help.as_deref(), Some("add the key \"dim\""));
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

#[test]
fn arrays_and_objects_are_read_where_the_schema_has_them_only() {
    #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        #[default]
        Linear,
        /// With a description, the schema has another form.
        Cosine,
    }
    #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Part {
        dim: i64,
    }
    #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Whole {
        part: Part,
        parts: Vec<Option<Part>>,
        mode: Mode,
        free: serde_json::Value,
        by_name: std::collections::BTreeMap<String, Part>,
    }
    let sound =
        r#"{"part": {}, "parts": [{}, null], "mode": "linear", "free": [{}], "by_name": {"a": {"dim": 1}}}"#;
    assert_eq!(read::read::<Whole>(sound).unwrap().problems, []);
    for (json, path, expected) in [
        (r#"{"part": []}"#, "part", "an object"),
        (r#"{"part": [3]}"#, "part", "an object"),
        (r#"{"parts": [{}, []]}"#, "parts[1]", "an object, or null"),
        (r#"{"mode": {"linear": null}}"#, "mode", "a string"),
        (r#"{"by_name": {"a": [1]}}"#, "by_name.a", "an object"),
        ("[]", "", "an object"),
    ] {
        let problems = read::read::<Whole>(json).unwrap().problems;
        assert_eq!(problems.len(), 1, "{json}: {problems:?}");
        assert_eq!(
            (problems[0].path.as_str(), problems[0].expected.as_deref()),
            (path, Some(expected)),
            "{json}"
        );
    }
}
