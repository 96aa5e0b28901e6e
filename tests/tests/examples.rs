//! The plugins in `examples/`, built as their author builds them and installed as their user installs them: what they do in whole
//! runs of the program, which knows nothing of them.

use std::fs;
use std::path::Path;

use kiwi_tests::built;
use kiwi_tests::interrupted::{differences, results};
use kiwi_tests::outcome::Outcome;
use kiwi_tests::toy_corpus::text;
use kiwi_tests::trained::{Trained, tensors};
use kiwi_tests::workplace::{VALIDATION_PAIRS, Workplace};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

type Changes = Vec<(&'static str, Value)>;

/// A workplace of a user who has the example plugins.
fn workplace() -> Workplace {
    let work = Workplace::new();
    for file in built::example_plugins() {
        let name = file.file_name().unwrap().to_str().unwrap();
        work.copy(&file, &format!("home/.local/share/kiwi-host/plugins/{name}"));
    }
    work
}

fn with(own: Changes, more: Changes) -> Changes {
    [own, more].concat()
}

/// The encoder in the built-in one's place: nothing but class name and options changes.
fn expert() -> Changes {
    let options = json!({
        "hidden_size": 16, "attention_heads": 2, "source_layers": 1, "target_layers": 1, "feed_forward_size": 32, "dropout": 0.0
    });
    vec![("system.class_name", json!("Expert")), ("system.model.encoder", options)]
}

/// All four plugins beside built-in metrics.
fn all_four() -> Changes {
    let optimizer = json!({"class_name": "lion", "learning_rate": 0.003, "options": {"weight_decay": 0.1}});
    let own = vec![
        ("system.model.tlm_outputs", json!({"class_name": "LabelSmoothing", "smoothing": 0.1})),
        ("system.metrics", json!(["WordAccuracy", "NLL"])),
        ("system.optimizer", optimizer),
        ("trainer.main_metric", json!("target_WordAccuracy")),
    ];
    with(expert(), own)
}

#[track_caller]
fn of_validation_pairs(work: &Workplace, command: &str, system: &Path, more: &[&str]) -> Outcome {
    let fixed = [command, system.to_str().unwrap(), "--source", "valid.src", "--target", "valid.tgt"];
    work.run(&[&fixed[..], &["--threads", "1"], more].concat()).ends_with(0)
}

/// The figures that `evaluate` prints, by name.
fn figures(outcome: &Outcome) -> Vec<(String, String)> {
    let lines = outcome.stdout.lines().map(|line| line.split_once(char::is_whitespace).unwrap());
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// That the losses of a run fall and its perplexity is half of what a model has that knows nothing of sentences.
#[track_caller]
fn has_learned(work: &Workplace, run: &Trained) {
    let validations = run.validations();
    let (first, last) = (&validations[0], validations.last().unwrap());
    assert!(last.value("val_loss") < 0.8 * first.value("val_loss"), "{validations:?}");
    let unigram = work.train.unigram_perplexity(&work.valid);
    assert!(last.value("val_target_PERP") < unigram / 2.0, "against {unigram}: {last:?}");
    assert!(last.value("val_target_CORRECT") > first.value("val_target_CORRECT"), "{validations:?}");
}

#[test]
fn another_encoder_takes_the_built_in_ones_place_by_class_name_and_options() {
    let work = workplace();
    let run = work.train("run", &with(expert(), vec![("trainer.epochs", json!(6))]));
    assert!(!run.outcome.stderr.contains("warning"), "{}", run.outcome);
    has_learned(&work, &run);
    let best = run.validations().into_iter().rfind(|validation| validation.best).unwrap();

    // Evaluated and scored, whatever the batches.
    for size in ["1", "7", "16"] {
        let outcome = of_validation_pairs(&work, "evaluate", &run.best(), &["--batch-size", size]);
        for (name, value) in figures(&outcome).iter().filter(|(name, _)| name.starts_with("target_")) {
            let (value, expected): (f64, f64) = (value.parse().unwrap(), best.value(&format!("val_{name}")));
            assert!(
                (value - expected).abs() <= 1e-3 * expected,
                "{name} at batches of {size}: {value}, not {expected}"
            );
        }
    }
    let scores = of_validation_pairs(&work, "score", &run.best(), &[]);
    let lines: Vec<Value> = scores.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), VALIDATION_PAIRS);
    let nll: f64 = lines.iter().map(|line| line["nll"].as_f64().unwrap()).sum();
    let words: usize = lines.iter().map(|line| line["words"].as_array().unwrap().len()).sum();
    let (found, expected) = ((nll / words as f64).exp(), best.value("val_target_PERP"));
    assert!((found - expected).abs() < 1e-3 * expected, "{found}, not {expected}");

    // What quality estimation reads, at each pair's own length and independent of its neighbours.
    for (size, output) in [("16", "many.safetensors"), ("1", "ones.safetensors")] {
        let _ = of_validation_pairs(&work, "features", &run.best(), &["-o", output, "--batch-size", size]);
    }
    let (many, ones) = (tensors(&work.at("many.safetensors")), tensors(&work.at("ones.safetensors")));
    let positions: i64 = work.valid.target.iter().map(|line| line.split(' ').count() as i64 + 2).sum();
    assert_eq!(many["features"].size(), [positions, 3 * 16]);
    assert_eq!(many["offsets"], ones["offsets"]);
    let moved = (&many["features"] - &ones["features"]).abs().max().double_value(&[]);
    assert!(moved < 1e-4, "{moved}");
    assert!(many["features"].std(true).double_value(&[]) > 0.1);
}

#[test]
fn all_four_train_together_and_the_largest_accuracy_is_the_best() {
    let work = workplace();
    let often = vec![("trainer.epochs", json!(8)), ("trainer.checkpoint.validation_steps", json!(4))];
    let run = work.train("run", &with(all_four(), often));
    assert!(!run.outcome.stderr.contains("warning"), "{}", run.outcome);
    has_learned(&work, &run);

    let validations = run.validations();
    let mut largest = f64::NEG_INFINITY;
    for validation in &validations {
        let accuracy = validation.value("val_target_WordAccuracy");
        assert!((0.0..=1.0).contains(&accuracy), "{validation:?}");
        assert_eq!(validation.best, accuracy > largest, "{accuracy} after {largest}: {validations:?}");
        largest = largest.max(accuracy);
        // What is learned from smoothed labels is told without.
        let (nll, perplexity) = (validation.value("val_target_NLL"), validation.value("val_target_PERP"));
        assert!((nll.exp() - perplexity).abs() < 1e-3 * perplexity, "{validation:?}");
    }
    assert!(validations[0].value("val_target_WordAccuracy") < largest);
    let index = run.index();
    assert_eq!(index["main_metric"], "val_target_WordAccuracy");
    assert_eq!(index["ordering"], "max");
    let best = index["best_value"].as_f64().unwrap();
    assert!((best - largest).abs() < 1e-4, "{best}, not {largest}");

    // The accuracy does not depend on which sentences lie in a batch.
    let of = |size: &str| {
        let more = ["--batch-size", size, "--set", "system.metrics=[\"WordAccuracy\"]"];
        let outcome = of_validation_pairs(&work, "evaluate", &run.best(), &more);
        let found = figures(&outcome).into_iter().find(|(name, _)| name == "target_WordAccuracy");
        found.unwrap().1.parse::<f64>().unwrap()
    };
    for size in ["1", "3", "40"] {
        assert!((of(size) - best).abs() < 1e-4, "at batches of {size}: {}, not {best}", of(size));
    }
}

#[test]
fn a_killed_run_of_all_four_resumes_to_the_same_bytes() {
    let work = workplace();
    let lively = || {
        with(
            all_four(),
            vec![
                ("trainer.epochs", json!(3)),
                ("trainer.batch_order", json!("bucketed")),
                ("trainer.gradient_accumulation_steps", json!(2)),
                ("trainer.gradient_max_norm", json!(1.0)),
                ("trainer.checkpoint.validation_steps", json!(3)),
                ("system.model.encoder.dropout", json!(0.2)),
                ("system.model.encoder.attention_dropout", json!(0.1)),
                ("system.model.encoder.positions", json!("learned")),
                ("system.model.encoder.max_positions", json!(20)),
            ],
        )
    };
    let whole = work.train("whole", &lively());
    assert!(results(&whole.directory).len() >= 3, "{:?}", results(&whole.directory).keys());
    let optimizer = tensors(&whole.directory.join("optimizer.safetensors"));
    assert!(optimizer.keys().any(|name| name.ends_with(".momentum")), "{:?}", optimizer.keys());
    for (steps, signal, code) in [(2, "KILL", -9), (5, "TERM", 75), (8, "KILL", -9)] {
        let name = format!("stopped-{steps}");
        let mut running = work.begin(&name, &lively(), &[]);
        running.wait_for(&format!(" step {steps}:"));
        running.signal(signal);
        let ended = running.end();
        // It may be faster than the signal.
        assert!(ended == code || ended == 0, "{ended}: {}", running.said());
        let mut resumed = work.begin(&name, &lively(), &["--resume"]);
        assert_eq!(resumed.end(), 0, "{}", resumed.said());
        assert_eq!(differences(&whole.directory, &work.at(&name)), [""; 0], "{signal} after {steps} steps");
    }
}

#[test]
fn a_smoothing_of_nothing_trains_as_the_built_in_head_does() {
    let work = workplace();
    let head = |options: Value| vec![("system.model.tlm_outputs", options), ("trainer.epochs", json!(1))];
    let own = work.train("own", &head(json!({"class_name": "LabelSmoothing", "smoothing": 0.0})));
    let built_in = work.train("built_in", &head(json!({"class_name": "TLMOutputs"})));
    let smoothed = work.train("smoothed", &head(json!({"class_name": "LabelSmoothing"})));
    let largest = |one: &Trained, other: &Trained| {
        let (one, other) = (one.tensors(), other.tensors());
        assert!(one.keys().eq(other.keys()));
        let difference = |(a, b): (&Tensor, &Tensor)| (a - b).abs().max().double_value(&[]);
        one.values().zip(other.values()).map(difference).fold(0.0, f64::max)
    };
    assert_eq!(largest(&own, &built_in), 0.0);
    assert!(largest(&smoothed, &built_in) > 1e-3);
}

#[test]
fn post_edits_are_learned_by_encoder_and_head() {
    let work = workplace();
    for (name, corpus) in [("train", &work.train), ("valid", &work.valid)] {
        let reversed = |line: &String| line.split(' ').rev().collect::<Vec<_>>().join(" ");
        work.write(&format!("{name}.pe"), &text(&corpus.target.iter().map(reversed).collect::<Vec<_>>()));
    }
    let post_edits = vec![
        ("system.model.tlm_outputs.fine_tune", json!(true)),
        ("data.train.input.pe", json!("train.pe")),
        ("data.valid.input.pe", json!("valid.pe")),
        ("trainer.main_metric", Value::Null),
        ("trainer.epochs", json!(5)),
    ];
    let run = work.train("run", &with(all_four(), post_edits));
    let validations = run.validations();
    let (first, last) = (&validations[0], validations.last().unwrap());
    for name in ["val_target_PERP", "val_pe_PERP"] {
        assert!(last.value(name) < 0.7 * first.value(name), "{name}: {validations:?}");
    }
    assert!(last.values.contains_key("val_pe_WordAccuracy"), "{last:?}");
}

#[test]
fn bfloat16_trains_the_encoder_too() {
    let work = workplace();
    let half = vec![("trainer.precision", json!("bf16")), ("trainer.epochs", json!(5))];
    let run = work.train("run", &with(all_four(), half));
    let validations = run.validations();
    let (first, last) = (&validations[0], validations.last().unwrap());
    assert!(last.value("val_target_PERP") < 0.7 * first.value("val_target_PERP"), "{validations:?}");
    assert!(run.tensors().values().all(|tensor| tensor.kind() == Kind::Float));
}

#[test]
fn options_are_refused_all_at_once_with_their_places() {
    let work = workplace();
    let wrong = vec![
        ("system.model.encoder.attention_heads", json!(3)),
        ("system.model.encoder.dropuot", json!(0.1)),
        ("system.model.encoder.positions", json!("rotary")),
        ("system.model.tlm_outputs.smoothing", json!(1.0)),
        ("system.optimizer.options.betas", json!([0.9, 1.0])),
    ];
    let refused = work.try_train("run", &with(all_four(), wrong)).ends_with(2).says(&[
        "system.model.encoder.dropuot",
        "did you mean `dropout`?",
        "system.model.encoder.positions",
        "system.model.tlm_outputs.smoothing",
        "a number in [0, 1)",
        "system.optimizer.options.betas",
    ]);
    assert!(!refused.stderr.contains("panic"), "{refused}");
    let heads = vec![("system.model.encoder.attention_heads", json!(3))];
    let _ = work.try_train("run", &with(all_four(), heads)).ends_with(2).says(&[
        "the heads cannot divide the hidden size among them",
        "system.model.encoder.attention_heads",
        "a divisor of hidden_size, which is 16",
        "set attention_heads to 2",
    ]);
    assert!(!work.at("run").exists());
}

#[test]
fn long_sentences_and_sparse_gradients_are_refused_before_training() {
    let work = workplace();
    let short = vec![("system.model.encoder.max_positions", json!(8))];
    let _ = work
        .try_train("short", &with(expert(), short))
        .ends_with(2)
        .says(&["system.model.encoder.max_positions", "train.tgt"]);
    let sparse = vec![
        ("system.model.encoder.embeddings.source.sparse_embeddings", json!(true)),
        ("system.optimizer", json!({"class_name": "lion", "learning_rate": 0.001})),
    ];
    let _ = work.try_train("sparse", &sparse).ends_with(2).says(&["sparse", "`lion`"]);
}

#[test]
fn what_is_installed_is_listed_without_running_it() {
    let plain = Workplace::new();
    let folder = built::example_plugins()[0].parent().unwrap().to_str().unwrap().to_owned();
    let installed = workplace().run(&["plugins", "list"]).ends_with(0);
    let named = plain.run(&["plugins", "list", "--plugin-dir", &folder]).ends_with(0);
    for listed in [&installed, &named] {
        for class in ["ExpertEncoder", "Expert ", "LabelSmoothing", "lion", "WordAccuracy"] {
            assert!(listed.stdout.contains(class), "{class}: {listed}");
        }
    }
    assert!(!plain.run(&["plugins", "list"]).ends_with(0).stdout.contains("ExpertEncoder"));
}

#[test]
fn the_configs_of_the_examples_run_and_one_changes_nothing_but_the_encoder() {
    let work = workplace();
    let read = |path: &str| fs::read_to_string(built::root().join(path)).unwrap();
    let mut expert: Value = serde_json::from_str(&read("examples/configs/expert.json")).unwrap();
    let demo: Value = serde_json::from_str(&read("configs/demo.json")).unwrap();
    assert_ne!(expert, demo);
    for path in ["/system/class_name", "/system/model/encoder"] {
        *expert.pointer_mut(path).unwrap() = demo.pointer(path).unwrap().clone();
    }
    assert_eq!(expert, demo);

    for side in ["train", "valid"] {
        work.write(&format!("demo/{side}.en"), &text(&work.train.source));
        work.write(&format!("demo/{side}.de"), &text(&work.train.target));
    }
    for name in ["expert.json", "four_plugins.json"] {
        work.write(name, &read(&format!("examples/configs/{name}")));
        let output = format!("out/{name}");
        let arguments = ["train", name, "--set", "debug=true", "--output-dir", &output, "--threads", "1"];
        let outcome = work.run(&arguments).ends_with(0);
        assert!(!outcome.stderr.contains("warning"), "{name}: {outcome}");
        assert!(work.at(&output).join("checkpoints/index.json").exists(), "{name}");
    }
}

#[test]
fn the_check_of_plugins_finds_nothing_wrong() {
    let work = workplace();
    for file in built::example_plugins() {
        let checked = work.run(&["plugins", "check", file.to_str().unwrap(), "--quiet"]).ends_with(0);
        assert!(checked.stdout.contains(" 0 failed") || checked.stdout.is_empty(), "{checked}");
    }
}
