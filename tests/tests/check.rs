//! `kiwi-host check`: what a run would be, told before it is one.

use std::fs;

use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

/// Checks a config with these values in place of its own.
fn check(work: &Workplace, changes: &[(&str, Value)], more: &[&str]) -> kiwi_tests::outcome::Outcome {
    work.write("check.json", &format!("{:#}\n", config_with(changes)));
    work.run(&[&["check", "check.json", "--threads", "1"], more].concat())
}

#[test]
fn everything_that_a_run_would_say_is_said_and_nothing_is_left() {
    let work = Workplace::new();
    let changes = [("trainer.gradient_accumulation_steps", json!(3)), ("system.metrics", json!(["NLL"]))];
    let before = fs::read_dir(work.at(".")).unwrap().count();
    let checked = check(&work, &changes, &["--output-dir", "out"]).ends_with(0);
    assert_eq!(checked.stderr, "");
    for line in [
        "encoder    PredictorEncoder of plugin kiwi-encoders",
        "source vocabulary: ",
        "training corpus: 120 pairs, ",
        "validation corpus: 40 pairs, ",
        "2 epochs of 8 batches, 3 optimizer steps each: 6 steps in all; a validation every 8 batches (validation_steps is \
         read as a share of 1 of an epoch)",
        "learning rate 0.01 for the whole run",
        "target_PERP, target_ExpErr, target_CORRECT, target_NLL (main metric val_target_PERP, min)",
        "cpu, 1 thread",
        "MiB at the peak, measured by training on 12 batches of all sizes",
        "model      ",
        "saving     the best system by the main metric",
        "a point to resume from after each validation, at the end and on a signal",
        "stopping   after the last epoch, never before",
        " of training, validations not counted: ",
        "output     out",
    ] {
        assert!(checked.stdout.contains(line), "{line:?} is missing: {checked}");
    }
    // The config was written, and nothing else.
    assert_eq!(fs::read_dir(work.at(".")).unwrap().count(), before + 1);

    let json = check(&work, &changes, &["--output-dir", "out", "--format", "json"]).ends_with(0);
    let found: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(found["training"]["optimizer_steps"], 6);
    assert_eq!(found["training"]["batches_per_epoch"], 8);
    assert_eq!(found["corpora"][0]["pairs"], 120);
    assert_eq!(found["warnings"], json!([]));
    let batch = found["time"]["batch_seconds"].as_f64().unwrap();
    let training = found["time"]["training_seconds"].as_f64().unwrap();
    assert!(batch > 0.0 && (training / batch - 16.0).abs() < 1e-6, "16 batches: {found}");
    assert_eq!(found["saving"]["save_top_k"], 1);
    assert_eq!(found["main_metric"], json!({"name": "val_target_PERP", "ordering": "min"}));
    let parameters: u64 = found["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["parameters"]["trainable"].as_u64().unwrap_or(0))
        .sum();
    let run = work.train("run", &changes);
    let trained = format!("{parameters} parameters to train, 0 frozen");
    assert!(run.log().contains(&trained), "{trained} is what the run says too");
    // What check tells of the data is what the run tells, word for word.
    for line in
        checked.stdout.lines().filter(|line| line.contains(" corpus: ") || line.contains(" vocabulary: "))
    {
        let told = line.trim_start_matches("data").trim_start();
        assert!(run.log().contains(told), "{told}");
    }
}

#[test]
fn the_memory_that_is_told_is_what_a_run_takes() {
    let work = Workplace::new();
    // Large enough for the parameters to matter beside libtorch itself.
    let changes = [
        ("trainer.max_steps", json!(12)),
        ("system.model.encoder.hidden_size", json!(512)),
        ("system.model.encoder.rnn_layers", json!(2)),
    ];
    let checked = check(&work, &changes, &["--format", "json", "--output-dir", "out"]).ends_with(0);
    let found: Value = serde_json::from_str(&checked.stdout).unwrap();
    let told = found["memory"]["peak_bytes"].as_f64().expect("Linux tells");

    work.write("run.json", &format!("{:#}\n", config_with(&changes)));
    let mut child = work
        .command(&["train", "run.json", "--output-dir", "run", "--threads", "1", "--quiet"])
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0.0) * 1024.0);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!((told / peak - 1.0).abs() < 0.2, "told {told}, took {peak}");
}

#[test]
fn what_is_wrong_is_told_as_training_would() {
    let work = Workplace::new();
    let wrong = [
        ("trainer.epoch", json!(3)),
        ("system.model.encoder.hiden_size", json!(8)),
        ("system.optimizer.class_name", json!("adamm")),
        ("system.batch_size", json!("8")),
    ];
    let checked = check(&work, &wrong, &[]).ends_with(2).says(&[
        "unknown key `epoch`",
        "did you mean `epochs`?",
        "no optimizer named `adamm` is registered",
        "did you mean `adam`?",
        // Only the component knows its options.
        "system.model.encoder.hiden_size",
        "did you mean `hidden_size`?",
        "invalid value for batch_size",
    ]);
    let trained = work.try_train("run", &wrong).ends_with(2);
    let said = |outcome: &str| {
        let (all, last) = outcome.trim_end().rsplit_once('\n').unwrap();
        assert!(last.contains("failed with exit code 2: invalid value for batch_size (and "), "{last}");
        all.replace("check.json", "run.json")
    };
    assert_eq!(said(&checked.stderr), said(&trained.stderr));
    let places: Vec<usize> = checked
        .stderr
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--> check.json:")?.split(':').next()?.parse().ok())
        .collect();
    assert!(places.len() >= 4 && places.is_sorted(), "in the order of the file: {places:?}");

    let files = [
        ("data.train.input.source", json!("trian.src")),
        ("data.valid.input.target", json!("absent/valid.tgt")),
        ("system.model.encoder.dropout", json!(2)),
    ];
    check(&work, &files, &[]).ends_with(2).says(&[
        "data.train.input.source",
        "did you mean train.src?",
        "data.valid.input.target",
        "nor does its folder",
        "system.model.encoder.dropout",
    ]);
    check(&work, &[("trainer.checkpoint.validation_steps", json!(9))], &[])
        .ends_with(2)
        .says(&["longer than an epoch, which has 8 batches"]);
    check(&work, &[("trainer.main_metric", json!("target_BLEU"))], &[])
        .ends_with(2)
        .says(&["check.json:", "one of target_PERP, target_ExpErr, target_CORRECT"]);
    let run = work.train("used", &[("trainer.epochs", json!(1))]);
    check(&work, &[], &["--output-dir", "used"]).ends_with(2).says(&["is in use already"]);
    assert!(run.best().exists());
}
