//! The schema's own shape: with no plugins, with plugins that say odd things, and that each key is described. Agreement with the program
//! is tested with the built-in plugins at hand (`tests/tests/config_schema`).

use std::collections::BTreeSet;

use jsonschema::Validator;
use tempfile::TempDir;

use super::*;
use crate::config::tests::{FULL, load_text};
use crate::plugins::search::{SearchPath, Sources};
use crate::plugins::testing::{component, library, metadata, system};
use kiwi_plugin_metadata::reader::PluginMetadata;

struct Answers(Vec<ProbedComponent>);

impl Probed for Answers {
    fn component(&self, _plugin: &str, kind: &str, class: &str) -> Option<&ProbedComponent> {
        self.0.iter().find(|one| one.kind == kind && one.class == class)
    }
}

fn answer(kind: &str, class: &str, schema: Value) -> ProbedComponent {
    let (kind, class) = (kind.to_owned(), class.to_owned());
    ProbedComponent { kind, class, schema, accepts_no_options: true, has_schedule: false }
}

fn registry(plugins: &[PluginMetadata]) -> (TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    for plugin in plugins {
        library(folder.path(), &format!("lib{}.so", plugin.name), plugin);
    }
    let options = [folder.path().to_owned()];
    let registry = Registry::discover(&SearchPath::new(Sources { options: &options, ..Sources::default() }));
    (folder, registry)
}

fn parts() -> PluginMetadata {
    let components =
        [("encoder", "Bag"), ("encoder", "Sack"), ("head", "Out"), ("optimizer", "adam"), ("metric", "NLL")];
    PluginMetadata {
        components: components.iter().map(|(kind, class)| component(kind, class)).collect(),
        systems: vec![system("Bags", "Bag", "Out")],
        ..metadata("my-parts")
    }
}

/// The schema with one plugin whose `Bag` has options of this schema, and what could not be used.
fn with_options(options: Value) -> (Validator, Vec<Unusable>) {
    let (_folder, registry) = registry(&[parts()]);
    let mut unusable = Vec::new();
    let schema = compose(&registry, &Answers(vec![answer("encoder", "Bag", options)]), &mut unusable);
    (jsonschema::draft202012::new(&schema).unwrap(), unusable)
}

fn config(encoder: Value) -> Value {
    json!({
        "data": {"train": {"input": {"source": "a", "target": "b"}}, "split": 0.5},
        "system": {"class_name": "Bags", "model": {"encoder": encoder}, "optimizer": {"class_name": "adam", "learning_rate": 1}},
    })
}

#[test]
fn without_plugins_it_is_a_sound_schema_that_no_name_satisfies() {
    let schema = compose(&Registry::default(), &Answers(Vec::new()), &mut Vec::new());
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    assert!(!validator.is_valid(&config(json!({}))));
}

#[test]
fn options_are_those_of_the_class_that_is_named_or_meant() {
    let size = json!({"type": "object", "properties": {"size": {"$ref": "#/$defs/Size"}}, "additionalProperties": false,
        "$defs": {"Size": {"type": "integer"}}});
    let (validator, unusable) = with_options(size);
    assert_eq!(unusable, []);
    for (encoder, valid) in [
        (json!({}), true),
        (json!({"size": 3}), true),
        (json!({"size": "3"}), false),
        (json!({"sise": 3}), false),
        (json!({"class_name": null, "size": "3"}), false),
        (json!({"class_name": "Bag", "size": 3}), true),
        (json!({"class_name": "my-parts::Bag", "size": "3"}), false),
        (json!({"class_name": "my_parts::Bag", "size": "3"}), false),
        (json!({"class_name": "my_parts::Bag", "size": 3}), true),
        (json!({"class_name": "other::Bag", "size": 3}), false),
        // Of this one nothing is known.
        (json!({"class_name": "Sack", "size": "3"}), true),
        (json!({"class_name": "Out"}), false),
    ] {
        assert_eq!(validator.is_valid(&config(encoder.clone())), valid, "{encoder}");
    }
}

#[test]
fn class_name_may_stand_beside_options_of_any_form() {
    for options in [
        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        json!({"type": "object", "propertyNames": {"pattern": "^s"}}),
        json!({"oneOf": [{"type": "object", "properties": {"size": {}}, "additionalProperties": false}]}),
        json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "maxProperties": 1}}}),
        json!({"type": "object", "properties": {"size": {}}, "unevaluatedProperties": false}),
        json!(true),
    ] {
        let (validator, unusable) = with_options(options.clone());
        assert_eq!(unusable, [], "{options}");
        assert!(validator.is_valid(&config(json!({"class_name": "Bag", "size": 3}))), "{options}");
    }
}

#[test]
fn a_schema_that_no_validator_reads_is_left_out_and_told() {
    let deep = (0..100).fold(json!({}), |inner, _| json!({"items": inner}));
    for (options, said) in [
        (json!({"type": "obj"}), "`type` at `` of its schema is no type of JSON"),
        (
            json!({"properties": {"a": {"minimum": "1"}}}),
            "`minimum` at `/properties/a` of its schema is no number",
        ),
        (json!({"anyOf": []}), "`anyOf` at `` of its schema is no array of schemas"),
        (json!({"properties": 3}), "`properties` at `` of its schema is no object of schemas"),
        (json!({"$ref": "https://example.org/schema"}), "refers to `https://example.org/schema`"),
        (json!({"$ref": "#/$defs/Absent"}), "refers to `#/$defs/Absent`"),
        (json!({"$ref": "#anchor"}), "refers to `#anchor`"),
        (json!(3), "its schema is neither an object nor true or false"),
        (deep, "its schema is neither an object nor true or false"),
    ] {
        let (validator, unusable) = with_options(options.clone());
        let reasons: Vec<String> = unusable.iter().map(|one| one.reason.to_string()).collect();
        assert!(reasons.len() == 1 && reasons[0].contains(said), "{options}: {reasons:?}");
        assert!(validator.is_valid(&config(json!({"anything": [1]}))), "{options}");
    }
}

#[test]
fn a_class_of_two_plugins_is_named_with_its_plugin_only() {
    let other = PluginMetadata { name: "other".to_owned(), systems: Vec::new(), ..parts() };
    let (_folder, registry) = registry(&[parts(), other]);
    let schema = compose(&registry, &Answers(Vec::new()), &mut Vec::new());
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let with = |class: &str| {
        let mut config = config(json!({"class_name": "other::Bag"}));
        config["system"]["model"]["tlm_outputs"] = json!({"class_name": "other::Out"});
        config["system"]["optimizer"]["class_name"] = json!(class);
        validator.is_valid(&config)
    };
    assert!(!with("adam") && with("other::adam") && with("my-parts::adam") && with("my_parts::adam"));
}

/// Each object of the host's own part, with its path.
fn sections<'a>(schema: &'a Value, at: &str, found: &mut Vec<(String, &'a Map<String, Value>)>) {
    for keyword in ["then", "else", "items"] {
        if let Some(part) = schema.get(keyword) {
            sections(part, at, found);
        }
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        found.push((at.to_owned(), properties));
        for (key, part) in properties {
            sections(part, &crate::config::path::join(at, key), found);
        }
    }
}

#[test]
fn every_key_of_a_section_is_known_and_described_and_no_other() {
    let (_folder, registry) = registry(&[parts()]);
    let schema = compose(&registry, &Answers(Vec::new()), &mut Vec::new());
    let mut found = Vec::new();
    sections(&schema, "", &mut found);
    for (at, properties) in &found {
        if at == "system.model" {
            continue;
        }
        for (key, property) in *properties {
            let is_section = property.get("properties").is_some() || property.get("else").is_some();
            let described = property.get("description").or_else(|| property.get("$ref"));
            assert!(is_section || described.is_some(), "{at}.{key} is not described");
        }
    }
    // What the program knows of each section, by what it says about a key that it does not know.
    for section in [
        "",
        "run",
        "trainer",
        "trainer.checkpoint",
        "data",
        "system",
        "system.data_processing",
        "system.data_processing.vocab",
        "system.optimizer",
    ] {
        let path = crate::config::path::join(section, "zzzz");
        let errors = load_text(FULL, &[(&path, "1")]).unwrap_err();
        let expected =
            errors.iter().find_map(|one| one.expected.as_deref()?.strip_prefix("one of ").map(str::to_owned));
        let known: BTreeSet<String> = expected.unwrap().split(", ").map(str::to_owned).collect();
        let of_schema: BTreeSet<String> =
            found.iter().filter(|(at, _)| at == section).flat_map(|(_, keys)| keys.keys().cloned()).collect();
        assert_eq!(of_schema, known, "{section}");
    }
}

#[test]
fn what_the_schema_does_not_say_is_on_the_page() {
    let page = include_str!("../../../../../docs/configuration.md");
    for rule in unsaid::RULES {
        assert!(page.contains(rule.meaning), "docs/configuration.md does not have: {}", rule.meaning);
    }
}
