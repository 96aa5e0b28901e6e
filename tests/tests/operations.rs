//! The fused operations of a run against libtorch's own, which `KIWI_OPERATIONS=plain` asks for.

use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::json;

/// The losses of the single steps of a run.
fn losses(run: &Trained) -> Vec<f64> {
    let of_step = |message: &String| message.contains(" step ") && message.contains(": loss ");
    let loss = |message: String| -> f64 {
        message.split(": loss ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().parse().unwrap()
    };
    let messages = run.messages().into_iter();
    messages.filter(of_step).filter(|message| !message.contains("done at")).map(loss).collect()
}

#[test]
fn a_hundred_steps_have_the_losses_of_plain_operations() {
    let work = Workplace::new();
    let config = config_with(&[
        ("trainer.epochs", json!(13)),
        ("trainer.max_steps", json!(100)),
        ("trainer.log_interval", json!(1)),
        ("trainer.gradient_max_norm", json!(5.0)),
        ("system.model.encoder.dropout", json!(0.5)),
        ("system.model.encoder.rnn_layers", json!(3)),
        ("system.model.encoder.embeddings.source.dropout", json!(0.2)),
        ("system.model.encoder.embeddings.target.use_position_embeddings", json!(true)),
    ]);
    let file = work.write("config.json", &config.to_string());
    let run = |name: &str, operations: &str| {
        let arguments = ["train", file.to_str().unwrap(), "--output-dir", name, "--threads", "1"];
        let outcome = Outcome::of(work.command(&arguments).env("KIWI_OPERATIONS", operations)).ends_with(0);
        Trained { outcome, directory: work.at(name) }
    };
    let (fused, plain) = (run("fused", "fused"), run("plain", "plain"));
    let (found, expected) = (losses(&fused), losses(&plain));
    assert_eq!(found.len(), 100, "{}", fused.log());
    assert!(expected[99] < 0.9 * expected[0], "something is learned: {expected:?}");
    for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= 1e-4 * expected, "step {step}: {found}, plainly {expected}");
    }
    // They are different computations, which the last bits of the weights show.
    assert_ne!(fused.tensors(), plain.tensors(), "the variable has an effect");
}
