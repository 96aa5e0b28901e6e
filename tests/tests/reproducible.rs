//! Runs with the same seed give the same files, whatever does not belong to the model; another seed gives others.

use std::fs;

use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

fn bytes(run: &Trained) -> Vec<u8> {
    fs::read(run.best()).unwrap()
}

/// The log without what differs from run to run: times, speed, paths.
fn figures(run: &Trained) -> Vec<String> {
    let cut = |message: String| {
        let end = [", saved as ", " words/s"].iter().filter_map(|mark| message.find(mark)).min();
        let text = &message[..end.unwrap_or(message.len())];
        text.rsplit_once(", ")
            .filter(|_| message.contains("words/s"))
            .map_or(text, |(before, _)| before)
            .to_owned()
    };
    run.messages().into_iter().filter(|message| message.starts_with("epoch ")).map(cut).collect()
}

#[test]
fn the_same_seed_gives_the_same_system_and_the_same_figures() {
    let work = Workplace::new();
    let first = work.train("first", &[]);
    // In another directory, with other numbers of threads that prepare batches.
    for (name, workers) in [("again", 1), ("none", 0), ("three", 3)] {
        let other = work.train(name, &[("system.num_data_workers", json!(workers))]);
        assert_eq!(bytes(&first), bytes(&other), "{workers} workers");
        assert_eq!(figures(&first), figures(&other), "{workers} workers");
        assert_eq!(first.index(), other.index());
    }
    let other = work.train("seed", &[("run.seed", json!(8))]);
    assert_ne!(bytes(&first), bytes(&other));
    assert_ne!(figures(&first), figures(&other));
}

#[test]
fn dropout_and_lower_precision_are_reproducible_too() {
    let work = Workplace::new();
    let mut systems = Vec::new();
    for precision in [json!(32), json!("bf16")] {
        let changes: [(&str, Value); 5] = [
            ("trainer.epochs", json!(1)),
            ("trainer.precision", precision.clone()),
            ("system.model.encoder.rnn_layers", json!(2)),
            ("system.model.encoder.dropout", json!(0.3)),
            ("system.model.encoder.embeddings.target.dropout", json!(0.2)),
        ];
        let one = work.train(&format!("one-{precision}").replace('"', ""), &changes);
        let other = work.train(&format!("other-{precision}").replace('"', ""), &changes);
        assert_eq!(bytes(&one), bytes(&other), "precision {precision}");
        systems.push(bytes(&one));
    }
    assert_ne!(systems[0], systems[1]);
}

#[test]
fn validating_more_often_does_not_change_what_is_learned() {
    let work = Workplace::new();
    let dropout = ("system.model.encoder.embeddings.source.dropout", json!(0.3));
    let once = work.train("once", std::slice::from_ref(&dropout));
    let often = work.train("often", &[dropout, ("trainer.checkpoint.validation_steps", json!(2))]);
    assert_eq!(often.validations().len(), 8);
    assert_eq!(once.validations().last().unwrap().values, often.validations().last().unwrap().values);
}
