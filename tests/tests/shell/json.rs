//! The JSON that commands print: each object has the number of its format, and its fields are in `docs/json.md`.

use std::collections::BTreeMap;
use std::fs;

use kiwi_core::data_format;
use kiwi_tests::built;
use kiwi_tests::workplace::{Workplace, config};
use serde_json::{Value, json};

use super::{commands, help};

/// Commands whose objects are looked at where what they need is made up.
const ELSEWHERE: [&str; 1] = ["mlflow sync"];

/// What each command printed, an object a line.
fn printed(work: &Workplace) -> BTreeMap<&'static str, Vec<Value>> {
    let run = work.train("run", &[("trainer.epochs", json!(1))]);
    let system = run.best();
    let system = system.to_str().unwrap();
    work.write("config.json", &config().to_string());
    let sweep = json!({
        "config": "config.json", "method": "grid", "output_dir": "swept",
        "parameters": {"trainer.epochs": {"values": [1]}},
    });
    work.write("sweep.json", &sweep.to_string());
    work.copy(&built::swapped_optimizer(), "hidden/libhidden.so");
    work.copy(&built::plugin_file("metrics"), "hidden/libmetrics.so");
    work.write("hidden/libbroken.so", "no library");
    let corpus = ["--source", "valid.src", "--target", "valid.tgt", "--threads", "1"];
    let of_system: Vec<Vec<&str>> =
        ["evaluate", "score"].iter().map(|command| [&[*command, system][..], &corpus].concat()).collect();
    let of_page = [&["report", system, "-o", "page.html"][..], &corpus].concat();
    let all: [(&str, Vec<&str>); 16] = [
        ("evaluate", of_system[0].clone()),
        ("score", of_system[1].clone()),
        ("check", vec!["check", "config.json", "--output-dir", "next", "--threads", "1"]),
        ("inspect", vec!["inspect", system]),
        ("plugins list", vec!["plugins", "list", "--verbose"]),
        ("plugins list", vec!["plugins", "list", "--plugin-dir", "hidden"]),
        ("plugins list --why", vec!["plugins", "list", "--why", "adam"]),
        ("plugins list --why", vec!["plugins", "list", "--why", "nothing"]),
        ("plugins inspect", vec!["plugins", "inspect", "kiwi-heads"]),
        ("plugins check", vec!["plugins", "check", "kiwi-metrics", "--class", "NLL", "--threads", "1"]),
        ("plugins lock", vec!["plugins", "lock", "config.json"]),
        ("doctor", vec!["doctor"]),
        ("report", vec!["report", "run"]),
        ("report", of_page),
        ("explain", vec!["explain", "E0101", "E0103"]),
        ("sweep", vec!["sweep", "sweep.json"]),
    ];
    let mut printed = BTreeMap::new();
    for (command, arguments) in all {
        let outcome = work.run(&[&arguments[..], &["--format", "json"]].concat());
        assert!(!outcome.stdout.is_empty(), "{outcome}");
        let objects = outcome.stdout.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}: {outcome}"))
        });
        printed.entry(command).or_insert_with(Vec::new).extend(objects);
    }
    printed
}

#[test]
fn every_object_has_the_number_of_its_format_and_documented_fields() {
    let work = Workplace::new();
    let page = fs::read_to_string(built::root().join("docs/json.md")).unwrap();
    let number = format!("`{}` is {} ", data_format::KEY, data_format::VERSION);
    assert!(page.contains(&number), "the page says {number:?}");
    let sections: BTreeMap<_, _> =
        page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let printed = printed(&work);
    for (command, objects) in &printed {
        let section = sections.get(format!("`{command}`").as_str());
        let section = section.unwrap_or_else(|| panic!("no section of {command} in docs/json.md"));
        for object in objects {
            assert_eq!(object[data_format::KEY], data_format::VERSION, "{command}: {object}");
            for field in object.as_object().unwrap().keys().filter(|field| *field != data_format::KEY) {
                assert!(
                    section.contains(&format!("| `{field}` |")),
                    "{command} has a field `{field}`: {object}"
                );
            }
        }
        // And nothing is documented that is never printed.
        for field in section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")) {
            let is_field = |object: &Value| at(object, field.0).is_some();
            assert!(objects.iter().any(is_field), "{command} prints no `{}`", field.0);
        }
    }
    // A command that takes `--format` is among them.
    for command in commands(&work) {
        if help(&work, &command.split(' ').collect::<Vec<_>>()).contains("--format ") {
            let is_known = printed.contains_key(command.as_str()) || ELSEWHERE.contains(&command.as_str());
            assert!(is_known, "{command} prints JSON: add it here and to docs/json.md");
        }
    }
    for command in ELSEWHERE {
        assert!(sections.contains_key(format!("`{command}`").as_str()), "no section of {command}");
    }
}

/// The value of a documented field: `a.b` of an object in an object, `a[].b` of each in a list.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = object.get(first.trim_end_matches("[]"))?;
    match (rest, first.ends_with("[]")) {
        (None, _) => Some(value),
        (Some(rest), false) => at(value, rest),
        (Some(rest), true) => value.as_array()?.iter().find_map(|one| at(one, rest)),
    }
}

#[test]
fn objects_are_whole_lines_whatever_the_terminal() {
    let work = Workplace::new();
    let mut command = work.command(&["plugins", "list", "--format", "json"]);
    let narrow = kiwi_tests::outcome::Outcome::of(command.env("COLUMNS", "40")).ends_with(0);
    for line in narrow.stdout.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}
