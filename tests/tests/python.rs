//! What is written is read by the stock libraries of Python.

use std::fs;

use kiwi_tests::built;
use kiwi_tests::python::python;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// The blocks of Python in the documentation, in order.
fn blocks() -> Vec<String> {
    let page = fs::read_to_string(built::root().join("docs/python.md")).unwrap();
    let blocks = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

#[test]
fn the_documented_snippet_rebuilds_the_logits() {
    let Some(_) = python() else { return };
    let work = Workplace::new();
    work.write("snippet.py", &blocks()[0]);
    let two_layers = [("trainer.epochs", json!(1)), ("system.model.encoder.rnn_layers", json!(2))];
    let shared = [("trainer.epochs", json!(1)), ("system.model.encoder.share_embeddings", json!(true))];
    for (name, changes) in [("two_layers", two_layers), ("shared", shared)] {
        let system = work.train(name, &changes).best();
        let system = system.to_str().unwrap();
        let mut command = python().unwrap();
        command.args(["snippet.py", system, "valid.src", "valid.tgt"]).current_dir(work.at("."));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let scores =
            work.run(&["score", system, "--source", "valid.src", "--target", "valid.tgt"]).ends_with(0);
        let python = String::from_utf8(output.stdout).unwrap();
        assert_eq!(python.lines().count(), work.valid.target.len());
        for (python, score) in python.lines().zip(scores.stdout.lines()) {
            let python: Vec<f64> = serde_json::from_str(python).unwrap();
            let score: Value = serde_json::from_str(score).unwrap();
            let score: Vec<f64> = serde_json::from_value(score["word_nll"].clone()).unwrap();
            assert_eq!(python.len(), score.len());
            for (python, score) in python.iter().zip(&score) {
                assert!((python - score).abs() < 1e-4, "{name}: {python} and {score}");
            }
        }
    }
}

#[test]
fn features_are_read_a_pair_at_a_time() {
    let Some(mut command) = python() else { return };
    let work = Workplace::new();
    let system = work.train("run", &[("trainer.max_steps", json!(1))]).best();
    let system = system.to_str().unwrap();
    let arguments = ["--source", "valid.src", "--target", "valid.tgt", "-o", "features.safetensors"];
    let _ = work.run(&[&["features", system], &arguments[..]].concat()).ends_with(0);
    work.write("read.py", &format!("{}print(list(third.shape))\n", blocks()[1]));
    let output = command.arg("read.py").current_dir(work.at(".")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let positions = work.valid.target[2].split(' ').count() + 2;
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), format!("[{positions}, 48]"));
}
