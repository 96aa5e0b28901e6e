//! The options of `trainer` and `data`, each seen in what a run does.

use std::fs;

use kiwi_tests::golden::difference;
use kiwi_tests::toy_corpus::{ToyCorpus, text};
use kiwi_tests::trained::{Trained, all_files};
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

fn steps(run: &Trained) -> Vec<(u64, u64)> {
    run.validations().iter().map(|validation| (validation.epoch, validation.step)).collect()
}

fn says(run: &Trained, part: &str) {
    assert!(run.messages().iter().any(|message| message.contains(part)), "no {part:?} in {}", run.log());
}

#[test]
fn batches_are_accumulated_and_what_is_left_makes_a_step() {
    let work = Workplace::new();
    let run = work.train(
        "run",
        &[("system.batch_size.train", json!(24)), ("trainer.gradient_accumulation_steps", json!(2))],
    );
    says(&run, "2 epochs of 5 batches, 3 optimizer steps each: 6 steps in all");
    assert_eq!(steps(&run), [(0, 3), (1, 6)]);
    let logged: Vec<_> = run.messages().into_iter().filter(|m| m.starts_with("epoch 0 step ")).collect();
    assert_eq!(logged.len(), 3, "{logged:?}");
    let whole = work.train("whole", &[("system.batch_size.train", json!(24))]);
    assert_eq!(steps(&whole), [(0, 5), (1, 10)]);
}

#[test]
fn accumulated_batches_train_as_one_batch_of_them_all() {
    let work = Workplace::new();
    let sgd = |name: &str, batch_size: usize, accumulated: usize, rate: f64| {
        let changes = [
            ("system.batch_size.train", json!(batch_size)),
            ("trainer.gradient_accumulation_steps", json!(accumulated)),
            ("system.optimizer.class_name", json!("sgd")),
            ("system.optimizer.learning_rate", json!(rate)),
        ];
        work.train(name, &changes)
    };
    // The loss of a batch is a sum over its words, and the loss of a step the mean over its batches.
    let (whole, halves) = (sgd("whole", 24, 1, 1e-4), sgd("halves", 12, 2, 2e-4));
    assert_eq!(steps(&whole), steps(&halves));
    let (whole, halves) = (whole.tensors(), halves.tensors());
    for (name, tensor) in &whole {
        let off = difference(tensor, &halves[name]);
        assert!(off < 1e-5, "{name} is off by {off}");
    }
}

#[test]
fn accumulated_means_count_by_their_words() {
    let work = Workplace::new();
    let sgd = |name: &str, batch_size: usize, accumulated: usize| {
        let changes = [
            ("system.batch_size.train", json!(batch_size)),
            ("trainer.gradient_accumulation_steps", json!(accumulated)),
            ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead", "fault": "mean_loss"})),
            ("system.optimizer.class_name", json!("sgd")),
            ("system.optimizer.learning_rate", json!(0.05)),
        ];
        work.train(name, &changes)
    };
    // The head's loss is the mean over the words of a batch: that of a step is the mean over all its words, however they are divided.
    let (whole, halves) = (sgd("whole", 24, 1), sgd("halves", 12, 2));
    assert_eq!(steps(&whole), steps(&halves));
    let (whole, halves) = (whole.tensors(), halves.tensors());
    for (name, tensor) in &whole {
        let off = difference(tensor, &halves[name]);
        assert!(off < 1e-5, "{name} is off by {off}");
    }
}

#[test]
fn what_is_left_at_an_epochs_end_is_divided_by_its_own_number() {
    let work = Workplace::new();
    for (side, lines) in [("src", &work.train.source), ("tgt", &work.train.target)] {
        work.write(&format!("first.{side}"), &text(&lines[..80]));
        work.write(&format!("rest.{side}"), &text(&lines[80..]));
    }
    let sgd = |rate: f64, batch_size: usize| {
        vec![
            ("system.optimizer.class_name", json!("sgd")),
            ("system.optimizer.learning_rate", json!(rate)),
            ("system.batch_size.train", json!(batch_size)),
            ("trainer.epochs", json!(1)),
        ]
    };
    let train = |name: &str, corpus: &str, mut changes: Vec<(&'static str, Value)>| {
        let file = |side: &str| json!(format!("{corpus}.{side}"));
        changes.push(("data.train.input", json!({"source": file("src"), "target": file("tgt")})));
        work.train(name, &changes)
    };
    // A step of two batches of 40 pairs, and one of the batch that is left.
    let mut accumulating = sgd(2e-4, 40);
    accumulating.push(("trainer.gradient_accumulation_steps", json!(2)));
    let accumulated = train("accumulated", "train", accumulating);
    assert_eq!(steps(&accumulated), [(0, 2)]);
    // The same by hand: the mean of two batches is half of their sum, and one batch is its own mean.
    let mut first = sgd(1e-4, 80);
    first.push(("system.load_vocabs", json!(accumulated.best())));
    let first = train("first", "first", first);
    let mut rest = sgd(2e-4, 40);
    rest.extend([
        ("system.load", json!(first.best())),
        ("system.class_name", json!(null)),
        ("system.model", json!(null)),
    ]);
    let rest = train("rest", "rest", rest);
    let (accumulated, first, rest) = (accumulated.tensors(), first.tensors(), rest.tensors());
    let mut moved = 0.0_f64;
    for (name, tensor) in &accumulated {
        let off = difference(tensor, &rest[name]);
        assert!(off < 1e-5, "{name} is off by {off}");
        moved = moved.max(difference(&first[name], &rest[name]));
    }
    assert!(moved > 1e-3, "the step of what is left moves something: {moved}");
}

#[test]
fn validations_are_a_share_of_the_epoch_or_a_number_of_batches() {
    let work = Workplace::new();
    let at = |name: &str, steps_between| {
        let changes = [("trainer.epochs", json!(1)), ("trainer.checkpoint.validation_steps", steps_between)];
        work.train(name, &changes)
    };
    // 8 batches an epoch.
    let share = at("share", json!(0.5));
    assert_eq!(steps(&share), [(0, 4), (0, 8)]);
    says(&share, "a validation every 4 batches");
    assert_eq!(steps(&at("whole", json!(1.0))), [(0, 8)]);
    assert_eq!(steps(&at("three", json!(3))), [(0, 3), (0, 6), (0, 8)], "and one at the end of the epoch");
    assert_eq!(steps(&at("each", json!(1))).len(), 8, "the integer 1 is every batch");
    let changes = [("trainer.checkpoint.validation_steps", json!(9))];
    let refused = work.try_train("long", &changes).ends_with(2);
    let _ =
        refused.says(&["trainer.checkpoint.validation_steps", "longer than an epoch, which has 8 batches"]);
    for (name, wrong) in [("zero", json!(0)), ("over", json!(1.5)), ("below", json!(-1))] {
        let changes = [("trainer.checkpoint.validation_steps", wrong)];
        let _ = work.try_train(name, &changes).ends_with(2).says(&["trainer.checkpoint.validation_steps"]);
    }
}

#[test]
fn early_stopping_ends_a_run_that_no_longer_improves() {
    let work = Workplace::new();
    // With this rate nothing is learned, nor does the printed value change: every validation after the first is no improvement.
    let changes = |patience: u64| {
        [
            ("trainer.epochs", json!(6)),
            ("trainer.checkpoint.early_stop_patience", json!(patience)),
            ("system.optimizer.learning_rate", json!(1e-30)),
        ]
    };
    let run = work.train("patient", &changes(2));
    assert_eq!(run.validations().len(), 3);
    assert_eq!(run.validations().iter().filter(|validation| validation.best).count(), 1);
    says(&run, "finished: the main metric no longer improves (early stopping); 3 epochs");
    let run = work.train("off", &changes(0));
    assert_eq!(run.validations().len(), 6);
    says(&run, "finished: all epochs are done");
}

#[test]
fn as_many_systems_are_kept_as_asked_for() {
    let work = Workplace::new();
    let run = |name: &str, k: i64| {
        work.train(name, &[("trainer.epochs", json!(4)), ("trainer.checkpoint.save_top_k", json!(k))])
    };
    let none = run("none", 0);
    assert!(none.saved_files().is_empty());
    assert!(none.outcome.stderr.contains("save_top_k is 0"), "{}", none.outcome);
    says(&none, "no system was saved");

    for (name, k, kept) in [("one", 1, 1), ("two", 2, 2), ("all", -1, 4)] {
        let run = run(name, k);
        let files = run.saved_files();
        assert_eq!(files.len(), kept, "{files:?}");
        let index = run.index();
        let ranked: Vec<f64> =
            index["kept"].as_array().unwrap().iter().map(|one| one["value"].as_f64().unwrap()).collect();
        assert_eq!(ranked.len(), kept);
        assert!(ranked.windows(2).all(|pair| pair[0] < pair[1]), "best first: {ranked:?}");
        for one in index["kept"].as_array().unwrap() {
            assert!(run.directory.join(one["file"].as_str().unwrap()).is_file());
        }
        assert_eq!(index["best"], index["kept"][0]["file"]);
        assert_eq!(index["last"], index["best"], "each was better than those before");
    }
    // Where nothing is learned all are equal: the first stays the best.
    let changes = [
        ("trainer.checkpoint.save_top_k", json!(-1)),
        ("trainer.epochs", json!(3)),
        ("system.optimizer.learning_rate", json!(1e-30)),
    ];
    let index = work.train("equal", &changes).index();
    assert_eq!(index["best"], index["kept"][0]["file"]);
    assert_eq!((&index["kept"][0]["epoch"], &index["kept"][2]["epoch"]), (&json!(0), &json!(2)));
    assert_eq!(index["last"], index["kept"][2]["file"], "{index}");
    let _ = work
        .try_train("wrong", &[("trainer.checkpoint.save_top_k", json!(-2))])
        .ends_with(2)
        .says(&["trainer.checkpoint.save_top_k"]);
}

#[test]
fn another_main_metric_decides_what_is_best() {
    let work = Workplace::new();
    let run = work.train("run", &[("trainer.main_metric", json!("target_CORRECT"))]);
    let index = run.index();
    assert_eq!((&index["main_metric"], &index["ordering"]), (&json!("val_target_CORRECT"), &json!("max")));
    let best = run.validations().iter().map(|v| v.value("val_target_CORRECT")).fold(0.0, f64::max);
    assert!((index["best_value"].as_f64().unwrap() - best).abs() < 1e-4);
    let sum = work.train("sum", &[("trainer.main_metric", json!(["target_PERP", "target_ExpErr"]))]);
    assert_eq!(sum.index()["main_metric"], "val_target_PERP+target_ExpErr");
    let sums = sum.validations();
    let sums = sums.iter().map(|v| v.value("val_target_PERP") + v.value("val_target_ExpErr"));
    let best = sums.fold(f64::INFINITY, f64::min);
    assert!((sum.index()["best_value"].as_f64().unwrap() / best - 1.0).abs() < 1e-3, "{best}");

    let changes = [("trainer.main_metric", json!("target_PREP"))];
    let _ = work.try_train("unknown", &changes).ends_with(2).says(&[
        "`target_PREP` is none of the system's metrics",
        "target_PERP, target_ExpErr, target_CORRECT",
        "did you mean `target_PERP`?",
    ]);
    let changes = [("trainer.main_metric", json!(["target_PERP", "target_CORRECT"]))];
    let refused = work.try_train("mixed", &changes).ends_with(2);
    let _ = refused.says(&["different orderings", "target_PERP (min) + target_CORRECT (max)"]);
    assert!(!work.at("unknown").exists() && !work.at("mixed").exists());
}

#[test]
fn metrics_are_added_by_class() {
    let work = Workplace::new();
    let run = work
        .train("run", &[("system.metrics", json!(["NLL"])), ("trainer.main_metric", json!("target_NLL"))]);
    for validation in run.validations() {
        let (nll, perplexity) = (validation.value("val_target_NLL"), validation.value("val_target_PERP"));
        assert!((nll.exp() / perplexity - 1.0).abs() < 1e-3, "{validation:?}");
    }
}

#[test]
fn debug_is_one_batch_of_each() {
    let work = Workplace::new();
    let run = work.train("run", &[("debug", json!(true)), ("trainer.checkpoint.validation_steps", json!(4))]);
    assert_eq!(steps(&run), [(0, 1)]);
    says(&run, "finished: debug asks for one batch only");
    // The one batch of validation has its first 16 pairs, that of training its first 15.
    for (side, lines) in [("src", &work.valid.source), ("tgt", &work.valid.target)] {
        work.write(&format!("batch.{side}"), &text(&lines[..16]));
    }
    let valid = ("data.valid.input", json!({"source": "batch.src", "target": "batch.tgt"}));
    let short = work.train("short", &[valid, ("trainer.max_steps", json!(1))]);
    assert_eq!(run.validations()[0].values, short.validations()[0].values);
}

#[test]
fn a_run_ends_after_max_steps_with_a_validation() {
    let work = Workplace::new();
    let run = work.train("run", &[("trainer.max_steps", json!(11)), ("trainer.epochs", json!(9))]);
    assert_eq!(steps(&run), [(0, 8), (1, 11)]);
    says(&run, "finished: trainer.max_steps is reached; 2 epochs, 11 optimizer steps");
}

#[test]
fn a_part_of_the_training_corpus_is_validated_on() {
    let work = Workplace::new();
    let changes = |seed: u64| {
        [
            ("data.valid", json!(null)),
            ("data.split", json!(0.75)),
            ("run.seed", json!(seed)),
            ("trainer.epochs", json!(1)),
        ]
    };
    let run = work.train("run", &changes(7));
    says(&run, "split 0.75 of 120 pairs, seed 7: 90 for training, 30 for validation");
    says(&run, "training corpus: 90 pairs");
    says(&run, "validation corpus: 30 pairs");
    let again = work.train("again", &changes(7));
    assert_eq!(fs::read(run.best()).unwrap(), fs::read(again.best()).unwrap());
    let neither = work.try_train("neither", &[("data.valid", json!(null))]).ends_with(2);
    let _ = neither.says(&["data.valid", "data.split"]);
    let _ = work.try_train("both", &[("data.split", json!(0.5))]).ends_with(2).says(&["data.split"]);
}

#[test]
fn training_goes_on_from_a_saved_system() {
    let work = Workplace::new();
    let first = work.train("first", &[]);
    let saved = first.best();
    let from = |name: &str, learning_rate: f64| {
        work.train(
            name,
            &[
                ("system.load", json!(saved)),
                ("system.class_name", json!(null)),
                ("system.model", json!(null)),
                ("system.optimizer.learning_rate", json!(learning_rate)),
                ("trainer.epochs", json!(1)),
            ],
        )
    };
    // At a rate that changes nothing, the first validation is the saved system's own.
    let same = from("same", 1e-30);
    assert_eq!(first.validations().last().unwrap().values, same.validations()[0].values);
    let (one, other) = (first.tensors(), same.tensors());
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert!(one.iter().all(|(name, tensor)| tensor.equal(&other[name])));

    let further = from("further", 0.01);
    let perplexity = |run: &Trained| run.validations().last().unwrap().value("val_target_PERP");
    assert!(perplexity(&further) < perplexity(&first));
    // What was loaded is untouched, and another class than its own is refused.
    let changes =
        [("system.load", json!(saved)), ("system.model", json!(null)), ("system.class_name", json!("Other"))];
    let _ =
        work.try_train("other", &changes).ends_with(2).says(&["`Other`", "`Predictor`", "system.class_name"]);
}

#[test]
fn bf16_learns_too() {
    let work = Workplace::new();
    let run = work.train("run", &[("trainer.precision", json!("bf16")), ("trainer.epochs", json!(5))]);
    let losses: Vec<f64> = run.validations().iter().map(|v| v.value("val_loss")).collect();
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    assert!(
        run.tensors().values().all(|tensor| tensor.kind() == tch::Kind::Float),
        "saved in full precision"
    );
}

#[test]
fn the_rate_is_lowered_when_nothing_improves() {
    let work = Workplace::new();
    let run = work.train(
        "run",
        &[
            ("trainer.epochs", json!(5)),
            ("system.optimizer.learning_rate", json!(1e-7)),
            ("system.optimizer.learning_rate_decay", json!(0.5)),
            ("system.optimizer.learning_rate_decay_start", json!(0)),
        ],
    );
    says(&run, "learning rate lowered from 0.0000001 to 0.00000005");
}

#[test]
fn gradients_are_clipped() {
    let work = Workplace::new();
    let sgd = |norm: f64| {
        [
            ("trainer.max_steps", json!(4)),
            ("trainer.gradient_max_norm", json!(norm)),
            ("system.optimizer.class_name", json!("sgd")),
            ("system.optimizer.learning_rate", json!(0.01)),
        ]
    };
    let (free, clipped, tiny) =
        (work.train("free", &sgd(0.0)), work.train("clipped", &sgd(1.0)), work.train("tiny", &sgd(1e-9)));
    let last = |run: &Trained| run.validations().last().unwrap().value("val_loss");
    // A step of a norm of at most 1e-11 moves nothing that is printed.
    assert!(last(&clipped) < last(&tiny));
    assert_ne!(last(&free), last(&clipped));
}

#[test]
fn a_run_whose_validations_give_no_number_says_that_it_leaves_no_system() {
    let work = Workplace::new();
    let changes = [
        ("system.optimizer.class_name", json!("sgd")),
        ("system.optimizer.learning_rate", json!(1e30)),
        ("trainer.max_steps", json!(1)),
    ];
    let run = work.train("run", &changes);
    let said = ["val_loss NaN", "warning[W0601]: the run has ended without a system", "plugins check"];
    let _ = run.outcome.says(&said);
    let none = work.train("none", &[&changes[..], &[("trainer.checkpoint.save_top_k", json!(0))]].concat());
    assert!(!none.outcome.stderr.contains("W0601"), "{}", none.outcome);
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run() {
    let work = Workplace::new();
    // Adam's steps are as long as its rate, whatever the gradients: it takes a larger one until something overflows.
    for (name, rate) in [("adam", 1e12), ("sgd", 1e6)] {
        let changes = [
            ("system.optimizer.class_name", json!(name)),
            ("system.optimizer.learning_rate", json!(rate)),
            // What the last step makes of the system is validated before the next batch finds out.
            ("trainer.checkpoint.validation_steps", json!(1)),
            ("trainer.checkpoint.save_top_k", json!(-1)),
        ];
        let failed = work.try_train(name, &changes).ends_with(1).says(&[
            "the loss is not finite: ",
            " in epoch ",
            " optimizer steps",
            "train.tgt:",
            "lower system.optimizer.learning_rate",
        ]);
        assert!(failed.stderr.contains("val_loss NaN") && !failed.stderr.contains("finished:"), "{failed}");
        let log = fs::read_to_string(work.at(name).join("output.log")).unwrap();
        assert!(log.lines().last().unwrap().contains(" ERROR the loss is not finite"), "{log}");
        for file in all_files(&work.at(name)) {
            let path = file.display().to_string();
            assert!(!path.ends_with(".partial") && !path.contains("nan") && !path.contains("NaN"), "{path}");
            if path.ends_with(".safetensors") {
                for (tensor, values) in kiwi_tests::trained::tensors(&file) {
                    assert!(bool::try_from(values.isfinite().all()).unwrap(), "{tensor} in {path}");
                }
            }
        }
    }
}

#[test]
fn words_that_training_never_saw_are_told_of() {
    let work = Workplace::new();
    let other = ToyCorpus {
        source: vec!["the zebra sees a lamp .".to_owned()],
        target: vec!["la zebruta una lumita vidat .".to_owned()],
    };
    work.write("odd.src", &kiwi_tests::toy_corpus::text(&other.source));
    work.write("odd.tgt", &kiwi_tests::toy_corpus::text(&other.target));
    let run = work.train(
        "run",
        &[
            ("trainer.epochs", json!(1)),
            ("data.valid.input", json!({"source": "odd.src", "target": "odd.tgt"})),
        ],
    );
    says(&run, "validation corpus: 1 pair, 6 source words (16.67 % <unk>), 6 target words (16.67 % <unk>)");
}
