//! Encoders that carry state from batch to batch, and how far their gradients reach back.

use kiwi_tests::trained::{Trained, tensors};
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// A run of the test plugin's encoder, which carries state, with these values in place of its own.
fn train(work: &Workplace, name: &str, changes: &[(&'static str, Value)]) -> Trained {
    let own = [
        ("trainer.epochs", json!(2)),
        ("trainer.gradient_accumulation_steps", json!(4)),
        ("trainer.checkpoint.save_top_k", json!(-1)),
        ("system.model.encoder", json!({"class_name": "MisbehavingEncoder", "dim": 8, "carries": true})),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead"})),
        ("system.optimizer", json!({"class_name": "sgd", "learning_rate": 0.01})),
    ];
    work.train(name, &[&own[..], changes].concat())
}

/// The training losses of each step.
fn losses(run: &Trained) -> Vec<String> {
    let step = |message: &String| {
        let rest = message.strip_prefix("epoch ")?.split_once(": loss ")?;
        rest.0.contains(" step ").then(|| rest.1.split(',').next().unwrap_or_default().to_owned())
    };
    run.messages().iter().filter(|message| !message.contains("validation")).filter_map(step).collect()
}

#[test]
fn state_goes_from_batch_to_batch_and_gradients_no_further_than_asked_for() {
    let work = Workplace::new();
    let alone = train(&work, "alone", &[]);
    let by = |steps: u64, name: &str| train(&work, name, &[("trainer.truncated_bptt_steps", json!(steps))]);
    let (one, two, four) = (by(1, "one"), by(2, "two"), by(4, "four"));
    // The same forward until the first step, whatever is cut; another than that of batches that stand alone.
    let first = |run: &Trained| losses(run)[0].clone();
    assert_ne!(first(&alone), first(&one));
    assert_eq!(first(&one), first(&two));
    assert_eq!(first(&one), first(&four));
    // What was learned through more batches is something else.
    let later = |run: &Trained| losses(run)[1..].to_vec();
    assert!(later(&one) != later(&two) && later(&two) != later(&four) && later(&one) != later(&four));
    for run in [&one, &two, &four] {
        let validations = run.validations();
        assert!(
            validations[1].value("val_loss") < validations[0].value("val_loss"),
            "it learns: {validations:?}"
        );
    }
    // Validating more often does not disturb what is carried in training.
    let often =
        [("trainer.truncated_bptt_steps", json!(2)), ("trainer.checkpoint.validation_steps", json!(1))];
    let often = train(&work, "often", &often);
    assert_eq!(losses(&often), losses(&two));
    let last = |run: &Trained| tensors(&run.directory.join(run.index()["last"].as_str().unwrap()));
    for (name, tensor) in last(&two) {
        assert!(tensor.equal(&last(&often)[&name]), "{name}");
    }
    // A saved system carries nothing from pair to pair, however it was trained.
    let system = two.best();
    let nll = |source: &str, target: &str| {
        let arguments = ["--source", source, "--target", target, "--batch-size", "1"];
        let scored = work.run(&[&["score", system.to_str().unwrap()], &arguments[..]].concat()).ends_with(0);
        let of_line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["nll"].as_f64().unwrap();
        scored.stdout.lines().map(of_line).collect::<Vec<_>>()
    };
    work.write("alone.src", &format!("{}\n", work.valid.source[9]));
    work.write("alone.tgt", &format!("{}\n", work.valid.target[9]));
    let (among, alone) = (nll("valid.src", "valid.tgt")[9], nll("alone.src", "alone.tgt")[0]);
    assert!((among - alone).abs() < 1e-5, "{among}, {alone}");
}

#[test]
fn an_encoder_without_state_is_refused() {
    let work = Workplace::new();
    work.try_train("run", &[("trainer.truncated_bptt_steps", json!(1))]).ends_with(2).says(&[
        "the encoder `PredictorEncoder` carries no state from batch to batch",
        "trainer.truncated_bptt_steps",
        "run.json:",
        "remove the key",
    ]);
    assert!(!work.at("run").exists());
}
