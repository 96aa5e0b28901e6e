//! `kiwi-host init`: whatever the corpus, the config that is written passes `check` and trains.

#![expect(clippy::unwrap_used, reason = "functions beside the tests")]

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

const TRAIN: [&str; 4] = ["--train-source", "train.src", "--train-target", "train.tgt"];

fn init(work: &Workplace, more: &[&str]) -> Outcome {
    work.run(&[&["init"], &TRAIN[..], &["--device", "cpu"], more].concat())
}

fn config(work: &Workplace, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(work.at(name)).unwrap()).unwrap()
}

/// Checks the config that was written, and trains a few steps by it; what `check` found.
fn holds(work: &Workplace, name: &str) -> Value {
    let path = format!("{name}.json");
    let more = ["--format", "json", "--threads", "1", "--output-dir", name];
    let checked = work.run(&[&["check", &path], &more[..]].concat()).ends_with(0);
    assert!(!checked.stderr.contains("error"), "{checked}");
    let steps = ["--set", "trainer.max_steps=3", "--threads", "1", "--output-dir", name];
    let _ = work.run(&[&["train", &path], &steps[..]].concat()).ends_with(0);
    assert!(work.at(name).join("checkpoints/index.json").is_file());
    let found: Value = serde_json::from_str(&checked.stdout).unwrap();
    // The document tells the number of parameters that the system really has.
    let document = fs::read_to_string(work.at(&format!("{name}.md"))).unwrap();
    let parameters = format!("; {} parameters.", found["parameters"]["trainable"]);
    assert!(
        document.replace(',', "").contains(&parameters.replace(',', "")),
        "no {parameters:?} in {document}"
    );
    found
}

/// Lines of so many words each, drawn from `types` words, some of them seldom.
fn lines(lengths: impl Iterator<Item = usize>, types: usize, prefix: &str) -> String {
    let mut text = String::new();
    let mut number = 1_usize;
    for length in lengths {
        for place in 0..length {
            number = (number * 1_103_515_245 + 12_345) % 2_147_483_648;
            let separator = if place == 0 { "" } else { " " };
            let _ = write!(text, "{separator}{prefix}{}", (number >> 8) % types);
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_corpus_of_two_pairs_is_enough() {
    let work = Workplace::new();
    work.write("train.src", "a red apple\na green tree\n");
    work.write("train.tgt", "ein roter Apfel\nein grüner Baum\n");
    let told = init(&work, &["-o", "tiny.json"]).ends_with(0).says(&[
        "2 pairs: 6 and 6 words",
        "wrote tiny.json, and tiny.md with the reasons for each choice",
        "kiwi-host check tiny.json",
    ]);
    assert_eq!(told.stdout, "");
    let config = config(&work, "tiny.json");
    assert_eq!(config["data"]["split"], 0.5);
    assert_eq!(config["system"]["data_processing"]["vocab"]["min_frequency"], 1);
    let found = holds(&work, "tiny");
    assert_eq!(found["corpora"][0]["pairs"], 1);
    // One pair cannot be divided.
    work.write("train.src", "a red apple\n");
    work.write("train.tgt", "ein roter Apfel\n");
    let _ = init(&work, &["-o", "one.json"]).ends_with(2).says(&["error[E0204]: ", "of 1 pairs"]);
    assert!(!work.at("one.json").exists() && !work.at("one.md").exists());
}

#[test]
fn a_few_long_lines_are_left_out_and_long_lines_throughout_are_not() {
    let work = Workplace::new();
    let outliers = || (0..600).map(|line| if line == 77 { 700 } else { 3 + line % 12 });
    work.write("train.src", &lines(outliers(), 50, "s"));
    work.write("train.tgt", &lines(outliers(), 50, "t"));
    let _ = init(&work, &["-o", "outliers.json"]).ends_with(0).says(&["1 left out for more than 20 words"]);
    assert_eq!(config(&work, "outliers.json")["data"]["max_length"], 20);
    let document = fs::read_to_string(work.at("outliers.md")).unwrap();
    assert!(document.contains("train.src, line 78") || document.contains("train.src:78"), "{document}");
    let found = holds(&work, "outliers");
    // Here the pair is either left out or among those that are held out.
    assert!(found["largest_batch"]["source_positions"].as_u64().unwrap() <= 22, "{found}");

    let throughout = || (0..40).map(|line| 300 + line);
    work.write("train.src", &lines(throughout(), 50, "s"));
    work.write("train.tgt", &lines(throughout(), 50, "t"));
    let _ = init(&work, &["-o", "long.json"]).ends_with(0);
    assert_eq!(config(&work, "long.json")["data"]["max_length"], Value::Null);
    let _ = holds(&work, "long");
}

#[test]
fn a_large_vocabulary_is_limited() {
    let work = Workplace::new();
    let lengths = || (0..30_000).map(|line| 4 + line % 5);
    work.write("train.src", &lines(lengths(), 30_000, "s"));
    work.write("train.tgt", &lines(lengths(), 900, "t"));
    let valid = ["--valid-source", "valid.src", "--valid-target", "valid.tgt"];
    let _ = init(&work, &[&["-o", "wide.json"], &valid[..]].concat()).ends_with(0);
    let config = config(&work, "wide.json");
    let vocab = &config["system"]["data_processing"]["vocab"];
    assert_eq!(vocab, &json!({"min_frequency": 2, "max_size": {"source": 20_000, "target": null}}));
    assert_eq!(config["data"]["split"], Value::Null);
    assert_eq!(config["data"]["valid"]["input"]["source"], "valid.src");
    let found = holds(&work, "wide");
    assert_eq!(found["vocabularies"][0]["entries"], 20_005);
}

#[test]
fn every_size_and_a_test_corpus_are_written_as_asked_for() {
    let work = Workplace::new();
    let test = ["--test-source", "valid.src", "--test-target", "valid.tgt"];
    for (size, hidden) in [("small", 128), ("base", 400), ("large", 800)] {
        let name = format!("{size}.json");
        let _ = init(&work, &[&["-o", &name, "--size", size], &test[..]].concat()).ends_with(0);
        let config = config(&work, &name);
        assert_eq!(config["system"]["model"]["encoder"]["hidden_size"], hidden);
        assert_eq!(config["data"]["test"]["input"]["target"], "valid.tgt");
    }
    let _ = holds(&work, "small");
    // A GPU that is not here is asked for all the same, with a warning.
    if !work.at("/dev/nvidia0").exists() {
        let arguments = [&["init"], &TRAIN[..], &["--device", "cuda", "-o", "gpu.json"]].concat();
        let _ = work.run(&arguments).ends_with(0).says(&["warning[W0506]: `kiwi-host check` will refuse"]);
        assert_eq!(config(&work, "gpu.json")["trainer"]["gpus"], 1);
    }
}

#[test]
fn wrong_corpora_are_told_as_training_tells_them() {
    let work = Workplace::new();
    let whole = fs::read_to_string(work.at("train.tgt")).unwrap();
    let _ = init(&work, &[]).ends_with(0);
    for (text, code) in [
        (&b"one line\n"[..], "error[E0203]: "),
        (&b""[..], "error[E0204]: "),
        (&b"caf\xe9\n"[..], "error[E0202]: "),
    ] {
        fs::write(work.at("train.tgt"), text).unwrap();
        let refused = init(&work, &["-o", "wrong.json"]).ends_with(2);
        let trained = work.run(&["check", "config.json"]).ends_with(2);
        let line = |told: &Outcome| told.stderr.lines().find(|line| line.contains(code)).map(str::to_owned);
        assert!(line(&refused).is_some(), "{refused}");
        assert_eq!(line(&refused), line(&trained), "{refused}{trained}");
        assert!(!work.at("wrong.json").exists() && !work.at("wrong.md").exists());
    }
    work.write("train.tgt", &whole);
    // All that is wrong at once.
    let gone = [
        "--valid-source",
        "gone.src",
        "--valid-target",
        "gone.tgt",
        "--test-source",
        "no",
        "--test-target",
        "no",
    ];
    let told = init(&work, &[&["-o", "wrong.json"], &gone[..]].concat()).ends_with(2);
    assert_eq!(told.stderr.matches("error[E0201]: ").count(), 2, "{told}");
}

#[test]
fn nothing_is_replaced_unless_it_is_said_and_nobody_is_asked_in_a_script() {
    let work = Workplace::new();
    let _ = init(&work, &[]).ends_with(0);
    let before = fs::read_to_string(work.at("config.json")).unwrap();
    work.write("config.md", "mine\n");
    let _ = init(&work, &["--size", "base"]).ends_with(2).says(&[
        "error[E0801]: config.json is there already",
        "error[E0801]: config.md is there already",
        "--force",
    ]);
    assert_eq!(fs::read_to_string(work.at("config.json")).unwrap(), before);
    assert_eq!(fs::read_to_string(work.at("config.md")).unwrap(), "mine\n");
    let _ = init(&work, &["--size", "base", "--force"]).ends_with(0);
    assert_ne!(fs::read_to_string(work.at("config.json")).unwrap(), before);

    // A corpus can never be written over.
    for name in ["train.src", "config.md", "config"] {
        let _ = init(&work, &["-o", name, "--force"]).ends_with(2).says(&["error[E0803]: ", ".json"]);
    }
    let corpus = fs::read_to_string(work.at("train.src")).unwrap();
    for name in ["corpus.json", "corpus.md"] {
        let file = work.write(name, &corpus);
        let told = work.run(&[
            "init",
            "--train-source",
            name,
            "--train-target",
            "train.tgt",
            "-o",
            "./corpus.json",
            "--force",
        ]);
        let _ = told.ends_with(2).says(&[&format!("error[E0803]: {name} is a file of the corpus")]);
        assert_eq!(fs::read_to_string(&file).unwrap(), corpus);
        fs::remove_file(&file).unwrap();
    }
    let _ = init(&work, &["-o", "absent/config.json"])
        .ends_with(2)
        .says(&["error[E0802]: there is no folder absent"]);

    let mut command = work.command(&["init"]);
    let outcome = Outcome::of(command.stdin(Stdio::null())).ends_with(2);
    let _ = outcome.says(&["error[E0807]: the training corpus is not named", "--train-source FILE"]);
    let _ = work.run(&["init", "--train-source", "train.src"]).ends_with(2).says(&["--train-target"]);

    // An editor is pointed to the schema that lies beside the config.
    work.write("kiwi-host.schema.json", "{}");
    let _ = init(&work, &["--force"]).ends_with(0);
    assert_eq!(config(&work, "config.json")["$schema"], "kiwi-host.schema.json");
}
