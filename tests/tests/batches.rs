//! In which order a run goes through its pairs, and how many make a batch.

use std::collections::BTreeSet;
use std::fs;

use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::{TRAINING_PAIRS, Workplace};
use serde_json::{Value, json};

/// The figures of every step and validation, without speeds and paths.
fn figures(run: &Trained) -> Vec<String> {
    let of = |message: &String| {
        let figures = message.starts_with("epoch ").then(|| message.split(", learning rate").next())??;
        Some(figures.split(", saved as").next()?.to_owned())
    };
    run.messages().iter().filter_map(of).collect()
}

fn says(run: &Trained, part: &str) {
    assert!(run.log().contains(part), "no {part:?} in {}", run.log());
}

#[test]
fn random_orders_are_drawn_from_the_seed_alone() {
    let work = Workplace::new();
    let mut seen = BTreeSet::new();
    for order in ["corpus", "random", "bucketed"] {
        let changes = [("trainer.batch_order", json!(order))];
        let one = figures(&work.train(&format!("{order}-1"), &changes));
        let same = figures(&work.train(&format!("{order}-2"), &changes));
        assert_eq!(one, same, "{order}");
        assert!(seen.insert(one), "{order} is an order of its own");
        let buffered = [&changes[..], &[("data.buffer_size", json!(30))]].concat();
        let fresh = seen.insert(figures(&work.train(&format!("{order}-3"), &buffered)));
        assert_eq!(fresh, order != "corpus", "a buffer matters where pairs are shuffled: {order}");
        let seed = [&changes[..], &[("run.seed", json!(8))]].concat();
        assert!(seen.insert(figures(&work.train(&format!("{order}-4"), &seed))), "another seed: {order}");
    }
}

#[test]
fn an_epoch_in_random_order_has_every_pair_once() {
    let work = Workplace::new();
    // With batches of one pair each word of the epoch is counted once: the figures of the epoch are over all of them.
    let words: usize = work.train.target.iter().map(|line| line.split(' ').count()).sum();
    let pairs = json!({"train": 7, "valid": 16});
    for order in ["random", "bucketed"] {
        let run =
            work.train(order, &[("trainer.batch_order", json!(order)), ("system.batch_size", pairs.clone())]);
        let batches = TRAINING_PAIRS.div_ceil(7);
        says(&run, &format!("2 epochs of {batches} batches, {batches} optimizer steps each"));
        says(&run, &format!("{words} target words"));
    }
}

fn tokens(limit: u64, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let own = [("trainer.max_tokens_per_batch", json!(limit)), ("system.batch_size", Value::Null)];
    [&own[..], more].concat()
}

#[test]
fn tokens_size_batches() {
    let work = Workplace::new();
    let by_tokens = work.train("tokens", &tokens(100, &[]));
    let longest =
        work.train.source.iter().chain(&work.train.target).map(|line| line.split(' ').count() + 2).max();
    let least = TRAINING_PAIRS.div_ceil(100 / 7);
    let most = TRAINING_PAIRS.div_ceil(100 / longest.unwrap());
    let log = by_tokens.log();
    let batches = (least..=most).find(|n| log.contains(&format!("2 epochs of {n} batches, ")));
    assert!(batches.is_some(), "from {least} to {most} batches: {log}");

    // Both limits hold.
    let both = [
        ("trainer.max_tokens_per_batch", json!(100)),
        ("system.batch_size", json!({"train": 2, "valid": null})),
    ];
    says(&work.train("both", &both), "2 epochs of 60 batches, ");
    let bucketed = work.train("bucketed", &tokens(100, &[("trainer.batch_order", json!("bucketed"))]));
    says(&bucketed, "2 epochs of about ");

    let written: Value =
        serde_json::from_str(&fs::read_to_string(work.at("tokens/config.json")).unwrap()).unwrap();
    assert_eq!(written["system"]["batch_size"], Value::Null);
    work.try_train("few", &tokens(5, &[])).ends_with(2).says(&[
        "trainer.max_tokens_per_batch",
        "few.json:",
        "train.",
    ]);
}
