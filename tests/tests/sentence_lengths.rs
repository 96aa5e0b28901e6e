//! Sentences that are longer than the encoder can take are refused before the first step, with file, line, length and limit: in every
//! corpus and on every side, for the built-in encoder and for others.

use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

fn positions(field: &'static str, most: i64) -> [(String, Value); 2] {
    let path = |key: &str| format!("system.model.encoder.embeddings.{field}.{key}");
    [(path("use_position_embeddings"), json!(true)), (path("max_position_embeddings"), json!(most))]
}

/// The workplace with one long line on one side of a corpus.
fn with_long_line(file: &str, line: usize, words: usize) -> Workplace {
    let work = Workplace::new();
    let text = std::fs::read_to_string(work.at(file)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[line - 1] = vec!["la"; words].join(" ");
    work.write(file, &format!("{}\n", lines.join("\n")));
    work
}

#[track_caller]
fn try_train(work: &Workplace, changes: &[(String, Value)]) -> kiwi_tests::outcome::Outcome {
    let changes: Vec<_> = changes.iter().map(|(path, value)| (path.as_str(), value.clone())).collect();
    work.try_train("run", &changes)
}

#[test]
fn file_line_length_and_limit_are_named() {
    let work = with_long_line("train.tgt", 3, 12);
    let refused = try_train(&work, &positions("target", 10)).ends_with(2).says(&[
        "train.tgt:3 has 12 words, 14 positions with <bos> and <eos>, more than max_position_embeddings=10",
        "system.model.encoder.embeddings.target.max_position_embeddings",
        "found: 14 positions",
        "expected: at most 10",
        "to 14, or leave out pairs with more than 8 target words",
    ]);
    assert_eq!(refused.stderr.matches("error[E").count(), 1, "{refused}");
    assert!(!work.at("run").exists(), "nothing was begun");
    // A table that is just long enough.
    let mut enough = positions("target", 14).to_vec();
    enough.push(("trainer.max_steps".to_owned(), json!(1)));
    let _ = try_train(&work, &enough).ends_with(0);
}

#[test]
fn every_corpus_and_every_side_is_looked_at() {
    let work = with_long_line("valid.src", 7, 30);
    work.write("train.pe", &"la katuta .\n".repeat(120));
    work.write("valid.pe", &format!("{}la katuta vidat .\n", "la katuta .\n".repeat(39)));
    let mut changes = positions("source", 20).to_vec();
    changes.extend(positions("target", 5));
    changes.extend([
        ("system.model.tlm_outputs.fine_tune".to_owned(), json!(true)),
        ("data.train.input.pe".to_owned(), json!("train.pe")),
        ("data.valid.input.pe".to_owned(), json!("valid.pe")),
    ]);
    // All targets of the toy corpus have six words and more.
    let refused = try_train(&work, &changes).ends_with(2).says(&[
        "train.tgt:1 has",
        "120 of 120 target sentences are too long, the longest with 10 positions at train.tgt:",
        "valid.src:7 has 30 words, 32 positions",
        "valid.pe:40 has 4 words, 6 positions with <bos> and <eos>, more than max_position_embeddings=5",
        "40 of 40 target sentences",
    ]);
    assert_eq!(refused.stderr.matches("error[E").count(), 4, "{refused}");
}

#[test]
fn a_saved_system_keeps_its_limit() {
    let work = Workplace::new();
    let mut changes = positions("target", 12).to_vec();
    changes.push(("trainer.max_steps".to_owned(), json!(1)));
    let _ = try_train(&work, &changes).ends_with(0);
    let system = std::fs::read_dir(work.at("run/checkpoints")).unwrap().flatten().map(|entry| entry.path());
    let system =
        system.into_iter().find(|path| path.extension().is_some_and(|e| e == "safetensors")).unwrap();
    work.write("long.src", "the cat\n");
    work.write("long.tgt", "la la la la la la la la la la la\n");
    for command in ["evaluate", "score"] {
        let arguments = [command, system.to_str().unwrap(), "--source", "long.src", "--target", "long.tgt"];
        let refused = work.run(&arguments).ends_with(2).says(&[
            "long.tgt:1 has 11 words, 13 positions with <bos> and <eos>, more than max_position_embeddings=12",
            "help: leave out pairs with more than 10 target words",
        ]);
        assert_eq!(refused.stdout, "");
    }
}

#[test]
fn encoders_of_other_plugins_say_what_they_need_too() {
    let work = with_long_line("train.tgt", 5, 20);
    let encoder = |options: Value| {
        let mut section = json!({"class_name": "MisbehavingEncoder", "dim": 8});
        section.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        [
            ("system.model.encoder".to_owned(), section),
            ("system.model.tlm_outputs".to_owned(), json!({"class_name": "MisbehavingHead"})),
            ("trainer.max_steps".to_owned(), json!(1)),
        ]
    };
    let refused = try_train(&work, &encoder(json!({"longest": 16}))).ends_with(2);
    let _ = refused.says(&[
        "train.tgt:5 has 20 words, 22 positions with <bos> and <eos>, more than longest=16",
        "set system.model.encoder.longest to 22",
    ]);
    let refused = try_train(&work, &encoder(json!({"reads": "pe"}))).ends_with(2);
    let _ = refused.says(&[
        "`MisbehavingEncoder` with reads needs post-edits, and data.train.input.pe is missing",
        "data.valid.input.pe is missing",
    ]);
    let refused = try_train(&work, &encoder(json!({"reads": "images"}))).ends_with(2);
    let _ = refused.says(&[
        "`MisbehavingEncoder` with reads reads the field `images`, which this host does not know",
        "expected: one of source, target, pe",
    ]);
    let _ = try_train(&work, &encoder(json!({"longest": 22}))).ends_with(0);
}
