//! Saved systems as an operator meets them: looked into, run with other values, damaged, loaded into another config.

use std::fs;
use std::path::Path;

use kiwi_core::saved_system::{SavedSystem, SystemHeader, TensorData, write};
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

fn trained(work: &Workplace) -> std::path::PathBuf {
    work.train("run", &[("trainer.epochs", json!(1))]).best()
}

fn evaluate(work: &Workplace, system: &Path, more: &[&str]) -> Outcome {
    let fixed = ["evaluate", system.to_str().unwrap(), "--source", "valid.src", "--target", "valid.tgt"];
    work.run(&[&fixed[..], &["--threads", "1"], more].concat())
}

#[test]
fn a_system_is_looked_into_without_plugins_and_libtorch() {
    let work = Workplace::new();
    let system = trained(&work);
    let name = system.to_str().unwrap();
    // Alone in a folder: no plugin, no engine, no libtorch.
    let alone = work.copy(&kiwi_tests::built::program(), "alone/kiwi-host");
    let inspect = |more: &[&str]| {
        let mut command = std::process::Command::new(&alone);
        command.env_clear().env("HOME", work.at("home")).args([&["inspect", name], more].concat());
        Outcome::of(&mut command).ends_with(0)
    };
    let human = inspect(&[]);
    for part in [
        "system        Predictor",
        "PredictorEncoder of plugin kiwi-encoders",
        "hidden_size = 16",
        "TLMOutputs of plugin kiwi-heads",
        "share_input_fields_encoders = false",
        "optimizer.class_name = \"adam\"",
        "batch_size.train = 15",
        "encoder.encode_target.W2",
        "F32 [16, 16]",
    ] {
        assert!(human.stdout.contains(part), "{part:?} is missing: {human}");
    }
    let found: Value = serde_json::from_str(&inspect(&["--format", "json"]).stdout).unwrap();
    assert_eq!(found["class_name"], "Predictor");
    assert_eq!(found["encoder"]["config"]["hidden_size"], 16);
    assert_eq!(found["training"]["optimizer"]["learning_rate"], 0.01);
    let saved = SavedSystem::open(&system).unwrap();
    assert_eq!(found["vocabularies"]["target"], saved.header().target_vocabulary.len());
    assert_eq!(found["tensors"].as_array().unwrap().len(), saved.tensors().len());

    work.run(&["inspect", "train.src"]).ends_with(2).says(&["train.src"]);
    work.run(&["inspect", "absent"]).ends_with(2).says(&["absent"]);
}

#[test]
fn values_are_set_where_a_system_is_run() {
    let work = Workplace::new();
    let system = trained(&work);
    let figures = |more: &[&str]| -> Value {
        let outcome = evaluate(&work, &system, &[more, &["--format", "json"]].concat()).ends_with(0);
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    let plain = figures(&[]);
    let added = figures(&["--set", r#"system.metrics=["NLL"]"#, "--set", "system.batch_size=7"]);
    let nll = added["metrics"]["target_NLL"].as_f64().unwrap();
    let perplexity = plain["metrics"]["target_PERP"].as_f64().unwrap();
    assert!((nll.exp() / perplexity - 1.0).abs() < 1e-5, "{nll}, {perplexity}");
    let low = figures(&["--set", "trainer.precision=bf16"])["metrics"]["target_PERP"].as_f64().unwrap();
    assert!(low != perplexity && (low / perplexity - 1.0).abs() < 0.05, "{low}, {perplexity}");

    evaluate(&work, &system, &["--set", "trainer.epochs=3", "--device", "gpu"]).ends_with(2).says(&[
        "unknown key `epochs`",
        "expected: one of precision",
        "set by --set trainer.epochs",
        "no device is named `gpu`",
    ]);
    evaluate(&work, &system, &["--set", "system.model.encoder.hidden_size=0"])
        .ends_with(2)
        .says(&["system.model.encoder.hidden_size", "set by --set"]);
    let said = evaluate(&work, &system, &["--set", "system.model.encoder.hidden_size=17"]).ends_with(2);
    let said = said.says(&[
        "does not fit the system",
        "F32 of shape [64, 16]",
        "F32 of shape [68, 16]",
        "more tensors",
    ]);
    assert!(said.stderr.lines().count() < 40, "{said}");
}

#[test]
fn scores_are_printed_for_people_too() {
    let work = Workplace::new();
    let system = trained(&work);
    let arguments = ["--source", "valid.src", "--target", "valid.tgt", "--format", "human"];
    let human = work.run(&[&["score", system.to_str().unwrap()], &arguments[..]].concat()).ends_with(0);
    let lines: Vec<_> = human.stdout.lines().collect();
    assert_eq!(lines.len(), 1 + work.valid.target.len());
    assert!(lines[0].contains("perplexity"), "{human}");
    for (line, target) in lines[1..].iter().zip(&work.valid.target) {
        assert!(line.ends_with(target.as_str()), "{line}");
    }
}

/// The system in `from` with some change, written to `to`.
fn changed(
    from: &Path,
    to: &Path,
    header: impl Fn(&mut SystemHeader),
    tensors: impl Fn(TensorData<'_>) -> Option<(String, Vec<usize>, Vec<u8>)>,
) {
    let saved = SavedSystem::open(from).unwrap();
    let mut new = saved.header().clone();
    header(&mut new);
    let kept: Vec<_> = saved.tensors().filter_map(|tensor| Some((tensor.dtype, tensors(tensor)?))).collect();
    let kept = kept.iter().map(|(dtype, (name, shape, bytes))| TensorData {
        name: name.clone(),
        dtype: *dtype,
        shape: shape.clone(),
        bytes,
    });
    write(to, &new, kept).unwrap();
}

fn same(tensor: TensorData<'_>) -> Option<(String, Vec<usize>, Vec<u8>)> {
    Some((tensor.name.clone(), tensor.shape.clone(), tensor.bytes.to_vec()))
}

#[test]
fn a_damaged_system_is_told_by_what_is_wrong_with_it() {
    let work = Workplace::new();
    let system = trained(&work);
    let table = "encoder.embeddings.target.embedding.weight";

    let one_row_less = work.at("row.safetensors");
    changed(
        &system,
        &one_row_less,
        |_| (),
        |tensor| {
            let (name, mut shape, mut bytes) = same(tensor)?;
            if name == table {
                let row = bytes.len() / shape[0];
                shape[0] -= 1;
                bytes.truncate(bytes.len() - row);
            }
            Some((name, shape, bytes))
        },
    );
    let missing = work.at("missing.safetensors");
    changed(&system, &missing, |_| (), |tensor| same(tensor).filter(|(name, _, _)| name != table));
    let renamed = work.at("renamed.safetensors");
    changed(
        &system,
        &renamed,
        |_| (),
        |tensor| {
            let (name, shape, bytes) = same(tensor)?;
            Some((name.replace("target.embedding.weight", "target.embeding.weight"), shape, bytes))
        },
    );
    let smaller = work.at("vocabulary.safetensors");
    changed(&system, &smaller, |header| drop(header.target_vocabulary.pop()), same);
    let truncated = work.at("truncated.safetensors");
    let bytes = fs::read(&system).unwrap();
    fs::write(&truncated, &bytes[..bytes.len() - 100]).unwrap();
    let text = work.write("text.safetensors", "this is no system\n");

    let entries = SavedSystem::open(&system).unwrap().header().target_vocabulary.len();
    let vocabulary = format!("target {entries} entries");
    let shapes = (format!("F32 of shape [{}, 16]", entries - 1), format!("F32 of shape [{entries}, 16]"));
    let cases: [(&Path, &[&str]); 6] = [
        (&one_row_less, &[table, &shapes.0, &shapes.1, &vocabulary, "nothing was loaded"]),
        (&missing, &["has no tensor", table, &shapes.1]),
        (&renamed, &["target.embeding.weight", "which the system has not", "did you mean", table]),
        (&smaller, &["does not fit the system", &shapes.0, &shapes.1]),
        (&truncated, &["truncated.safetensors"]),
        (&text, &["text.safetensors"]),
    ];
    for (file, said) in cases {
        evaluate(&work, file, &[]).ends_with(2).says(said);
        // Loading it into a run fails likewise, and nothing is begun.
        let load =
            [("system.class_name", Value::Null), ("system.model", Value::Null), ("system.load", json!(file))];
        work.try_train("refused", &load).ends_with(2).says(said);
        assert!(!work.at("refused").exists());
    }
}

#[test]
fn vocabularies_are_taken_over_and_the_other_system_is_then_not_needed() {
    let work = Workplace::new();
    let other = trained(&work);
    let words = SavedSystem::open(&other).unwrap().header().clone();
    // Text with other words, which the taken-over vocabularies lack.
    let lines: String = (0..30).map(|i| format!("new{} words here\n", i % 5)).collect();
    work.write("new.src", &lines);
    work.write("new.tgt", &lines);
    let changes = [
        ("system.load_vocabs", json!(other)),
        ("data.train.input.source", json!("new.src")),
        ("data.train.input.target", json!("new.tgt")),
    ];
    let run = work.train("taken", &changes);
    assert!(run.log().contains("taken over from"), "{}", run.log());
    let best = run.best();
    let header = SavedSystem::open(&best).unwrap().header().clone();
    assert_eq!(header.source_vocabulary, words.source_vocabulary);
    assert_eq!(header.target_vocabulary, words.target_vocabulary);
    fs::remove_dir_all(work.at("run")).unwrap();
    let _ = evaluate(&work, &best, &[]).ends_with(0);

    work.try_train("gone", &changes).ends_with(2).says(&["system.load_vocabs", "gone.json:"]);
    let shared = [
        ("system.load_vocabs", json!(best)),
        ("system.data_processing", json!({"share_input_fields_encoders": true})),
    ];
    work.try_train("shared", &shared).ends_with(2).says(&[
        "system.load_vocabs",
        "has a vocabulary for each side",
        "share_input_fields_encoders",
    ]);
}

#[test]
fn a_loaded_system_keeps_its_vocabularies_whatever_it_is_trained_on() {
    let work = Workplace::new();
    let first = trained(&work);
    let lines: String = (0..30).map(|i| format!("new{} words here\n", i % 5)).collect();
    work.write("new.src", &lines);
    work.write("new.tgt", &lines);
    let changes = [
        ("system.load", json!(first)),
        ("system.class_name", Value::Null),
        ("system.model", Value::Null),
        ("data.train.input.source", json!("new.src")),
        ("data.train.input.target", json!("new.tgt")),
        ("system.optimizer.class_name", json!("sgd")),
        ("system.optimizer.learning_rate", json!(1e-30)),
        ("system.batch_size.train", json!(10)),
        ("trainer.epochs", json!(1)),
    ];
    let run = work.train("on", &changes);
    // Corpus, batches and optimizer are the config's.
    for part in ["training corpus: 30 pairs", "1 epoch of 3 batches", "optimizer sgd of plugin"] {
        assert!(run.log().contains(part), "no {part:?} in {}", run.log());
    }
    // None of the new words is known, or would be.
    assert!(run.log().contains("90 target words (100.00 % <unk>)"), "{}", run.log());
    let (before, after) = (SavedSystem::open(&first).unwrap(), SavedSystem::open(&run.best()).unwrap());
    assert_eq!(before.header().source_vocabulary, after.header().source_vocabulary);
    assert_eq!(before.header().target_vocabulary, after.header().target_vocabulary);
    assert_eq!(before.header().encoder.config, after.header().encoder.config);
}

#[test]
fn a_loaded_system_brings_its_own_class() {
    let work = Workplace::new();
    let system = trained(&work);
    let load = [
        ("system.class_name", json!("Estimator")),
        ("system.model", Value::Null),
        ("system.load", json!(system)),
    ];
    work.try_train("other", &load).ends_with(2).says(&[
        "system.class_name",
        "asks for a `Estimator`, and the system it loads is a `Predictor`",
        "remove `class_name`",
    ]);
}
