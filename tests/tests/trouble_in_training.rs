//! Batches that cannot be used: a loss or a gradient that is not finite, and too little memory.

use std::fs;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// A run of the test plugin's encoder with these options, and these values besides.
fn run(work: &Workplace, name: &str, encoder: &Value, changes: &[(&'static str, Value)]) -> Outcome {
    let mut options = json!({"class_name": "MisbehavingEncoder", "dim": 8});
    if let (Some(all), Some(own)) = (options.as_object_mut(), encoder.as_object()) {
        all.extend(own.clone());
    }
    let own = [
        ("trainer.epochs", json!(2)),
        ("system.model.encoder", options),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead"})),
        ("system.optimizer", json!({"class_name": "adam", "learning_rate": 0.01})),
    ];
    work.try_train(name, &[&own[..], changes].concat())
}

fn system(work: &Workplace, name: &str) -> Vec<u8> {
    let index = fs::read_to_string(work.at(name).join("checkpoints/index.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    fs::read(work.at(name).join(index["best"].as_str().unwrap())).unwrap()
}

#[test]
fn a_loss_or_gradient_that_is_not_finite_stops_the_run_and_names_the_batch() {
    let work = Workplace::new();
    // 8 batches of 15 pairs an epoch: batch 10 is the third of the second epoch.
    for (option, figure) in [("loss_not_finite", "the loss"), ("gradient_not_finite", "the gradient")] {
        let outcome = run(&work, option, &json!({option: [10]}), &[]).ends_with(1);
        let _ = outcome.says(&[
            &format!("error[E0601]: {figure} is not finite: NaN in epoch 1, after 10 optimizer steps"),
            "the batch holds train.tgt:31, train.tgt:32,",
            "train.tgt:45",
            "go on from the last resume point: kiwi-host train",
        ]);
        assert!(!system(&work, option).is_empty(), "what was good before is kept");
    }
}

#[test]
fn a_few_batches_that_are_not_finite_are_skipped_if_asked_for() {
    let work = Workplace::new();
    let skip = ("trainer.on_nonfinite", json!("skip"));
    for option in ["loss_not_finite", "gradient_not_finite"] {
        let outcome = run(&work, option, &json!({option: [3, 10]}), std::slice::from_ref(&skip)).ends_with(0);
        let outcome = outcome.says(&[
            "warning[W0681]: a batch is skipped, 1 so far",
            "warning[W0681]: a batch is skipped, 2 so far",
            "the batch holds train.tgt:46,",
        ]);
        assert!(!outcome.stderr.contains("3 so far"), "{outcome}");
        let summary = fs::read_to_string(work.at(option).join("summary.json")).unwrap();
        let summary: Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["skipped"], json!({"not_finite": 2}));
        assert_eq!(summary["steps"], 16, "a step that is skipped is a step");
    }
    // Without a good batch there is nothing to learn from.
    let all: Vec<u64> = (0..16).collect();
    for option in ["loss_not_finite", "gradient_not_finite"] {
        let name = format!("all-{option}");
        let outcome = run(&work, &name, &json!({option: all}), std::slice::from_ref(&skip)).ends_with(1);
        let _ = outcome.says(&["11 batches in a row were skipped, more than 10"]);
    }
}

#[test]
fn a_batch_that_does_not_fit_into_memory_names_its_longest_pair() {
    let work = Workplace::new();
    let longest = |side: &[String]| side[..15].iter().map(|line| line.split(' ').count()).max().unwrap();
    let words = longest(&work.train.source).max(longest(&work.train.target));
    let said = [
        "a batch does not fit into memory: 15 pairs, in epoch 0, after 0 optimizer steps",
        &format!("with {words} words"),
        "its longest pair is train.src:",
        "found: asked for 2.50 GiB, free 1.25 GiB",
    ];
    let outcome = run(&work, "stop", &json!({"out_of_memory": [0]}), &[]).ends_with(1);
    let _ = outcome.says(&said).says(&["lower system.batch_size"]);

    let skip = ("trainer.on_oom", json!("skip"));
    let accumulate = ("trainer.gradient_accumulation_steps", json!(3));
    let outcome =
        run(&work, "skip", &json!({"out_of_memory": [0, 5]}), &[skip.clone(), accumulate]).ends_with(0);
    let _ = outcome.says(&said).says(&["a batch is skipped, 2 so far"]);
    let all: Vec<u64> = (0..16).collect();
    let outcome = run(&work, "all", &json!({"out_of_memory": all}), &[skip]).ends_with(1);
    let _ = outcome.says(&["11 batches in a row were skipped"]);
}

#[test]
fn an_infinite_perplexity_is_printed_and_the_run_ends_at_the_loss() {
    let work = Workplace::new();
    let rate = ("system.optimizer.learning_rate", json!(1e6));
    let outcome = work.try_train("steep", &[rate, ("trainer.epochs", json!(6))]);
    let log = fs::read_to_string(work.at("steep/output.log")).unwrap();
    assert!(log.contains("target_PERP inf"), "{log}");
    match outcome.code {
        Some(0) => {}
        _ => drop(outcome.ends_with(1).says(&["is not finite"])),
    }
}
