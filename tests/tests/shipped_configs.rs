//! Every config that is shipped runs as it is, once the files that it names are there.

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_tests::built;
use kiwi_tests::toy_corpus::text;
use kiwi_tests::workplace::Workplace;
use serde_json::Value;

/// The files that a config's section `data` names, with the key of each.
fn files(data: &Value, key: &str, found: &mut Vec<(String, PathBuf)>) {
    match data {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| files(value, key, found)),
        Value::Array(values) => values.iter().for_each(|value| files(value, key, found)),
        Value::String(file) => found.push((key.to_owned(), PathBuf::from(file))),
        _ => {}
    }
}

#[test]
fn every_config_runs_with_debug() {
    let work = Workplace::new();
    let folder = built::root().join("configs");
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| !name.to_string_lossy().ends_with(".schema.json") && name != "sweep.json");
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let name = name.to_str().unwrap();
        let config = fs::read_to_string(folder.join(name)).unwrap();
        let parsed: Value = serde_json::from_str(&config).unwrap();
        let mut named = Vec::new();
        files(&parsed["data"], "data", &mut named);
        assert!(!named.is_empty(), "{name}");
        for (key, file) in named {
            let lines = if key == "source" { &work.train.source } else { &work.train.target };
            work.write(file.to_str().unwrap(), &text(lines));
        }
        work.write(name, &config);
        let output = format!("out/{name}");
        let arguments = ["train", name, "--set", "debug=true", "--output-dir", &output, "--threads", "1"];
        let outcome = work.run(&arguments).ends_with(0);
        assert!(!outcome.stderr.contains("warning"), "{name}: {outcome}");
        assert!(Path::new(&work.at(&output)).join("checkpoints/index.json").exists(), "{name}");
    }
}

#[test]
fn the_sweep_file_is_one() {
    let work = Workplace::new();
    for name in ["example.json", "sweep.json"] {
        work.write(name, &fs::read_to_string(built::root().join("configs").join(name)).unwrap());
    }
    let outcome = work.run(&["sweep", "sweep.json", "--dry-run"]).ends_with(0);
    assert_eq!(outcome.stderr, "");
    assert!(outcome.stdout.ends_with("8 trials in sweeps/sweep\n"), "{outcome}");
    let printed = work.run(&["sweep", "--example"]).ends_with(0);
    assert_eq!(printed.stdout, fs::read_to_string(work.at("sweep.json")).unwrap());
}
