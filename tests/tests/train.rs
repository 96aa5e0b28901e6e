//! `kiwi-host train` as a user sees it: what it leaves on disk, that it learns, and what it refuses.

use std::fs;

use kiwi_tests::toy_corpus::text;
use kiwi_tests::trained::{Trained, all_files};
use kiwi_tests::workplace::{TRAINING_PAIRS, Workplace};
use serde_json::{Value, json};

#[test]
fn a_run_leaves_its_config_its_log_and_its_best_system() {
    let work = Workplace::new();
    let run = work.train("run", &[]);
    assert_eq!(run.outcome.stdout, "", "a run has no data to print");

    let file = |name: &str| run.directory.join(name);
    let best = run.index()["best"].as_str().unwrap().to_owned();
    let names = [
        ".lock",
        "config.json",
        "events.jsonl",
        "output.log",
        "optimizer.safetensors",
        "summary.json",
        "checkpoints/index.json",
        &best,
        "resume/after-16-batches.safetensors",
    ];
    let mut expected = names.map(file).to_vec();
    // Of points that follow fast upon each other only the last is sure to be written.
    expected.extend(Some(file("resume/after-8-batches.safetensors")).filter(|point| point.exists()));
    let events = all_files(&file("tensorboard"));
    assert_eq!(events.len(), 1, "{events:?}");
    expected.extend(events);
    expected.sort();
    assert_eq!(all_files(&run.directory), expected, "nothing else, nothing half-written");
    assert!(best.starts_with("checkpoints/model_epoch=01-val_target_PERP="), "{best}");

    // The log: each line with a time, and the way of the run from the components to the end.
    for line in run.log().lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        let digits = |c: char| c.is_ascii_digit() || "-T:Z".contains(c);
        assert!(time.len() == "2026-11-25T05:00:00Z".len() && time.chars().all(digits), "{line}");
        assert!(["INFO ", "WARNING "].iter().any(|level| rest.starts_with(level)), "{line}");
    }
    let log = run.log();
    for part in [
        "experiment default, run ",
        "encoder PredictorEncoder of plugin kiwi-encoders 0.1.0",
        "head TLMOutputs of plugin kiwi-heads",
        "optimizer adam of plugin kiwi-optimizers",
        "training corpus: 120 pairs",
        "validation corpus: 40 pairs",
        "2 epochs of 8 batches, 8 optimizer steps each: 16 steps in all",
        "epoch 0 step 1: loss ",
        "epoch 0 done at step 8: loss ",
        "epoch 1 validation at step 16: val_loss ",
        "finished: all epochs are done; 2 epochs, 16 optimizer steps",
        "best system: ",
    ] {
        assert!(log.contains(part), "no {part:?} in {log}");
        assert!(run.outcome.stderr.contains(part), "no {part:?} on standard error: {}", run.outcome);
    }

    // The index tells what is saved, and what for.
    let (index, validations) = (run.index(), run.validations());
    assert_eq!(index["main_metric"], "val_target_PERP");
    assert_eq!(index["ordering"], "min");
    assert_eq!(index["kept"].as_array().unwrap().len(), 1);
    assert_eq!((&index["kept"][0]["epoch"], &index["kept"][0]["step"]), (&json!(1), &json!(16)));
    let told = validations[1].value("val_target_PERP");
    assert!((index["best_value"].as_f64().unwrap() / told - 1.0).abs() < 1e-4, "{index} {told}");
}

#[test]
fn the_config_in_the_run_directory_makes_the_same_run_again() {
    let work = Workplace::new();
    let run = work.train("first", &[("trainer.epochs", json!(1))]);
    let config: Value =
        serde_json::from_str(&fs::read_to_string(run.directory.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["trainer"]["epochs"], 1);
    assert_eq!(config["trainer"]["gradient_max_norm"], 0.0, "defaults are written out");
    let again = ["train", "first/config.json", "--output-dir", "second", "--threads", "1"];
    let outcome = work.run(&again).ends_with(0);
    let again = Trained { outcome, directory: work.at("second") };
    assert_eq!(fs::read(run.best()).unwrap(), fs::read(again.best()).unwrap());
}

#[test]
fn perplexity_falls_from_epoch_to_epoch_and_far_below_that_of_unigrams() {
    let work = Workplace::new();
    let run = work.train("run", &[("trainer.epochs", json!(12))]);
    let perplexities: Vec<f64> = run.validations().iter().map(|v| v.value("val_target_PERP")).collect();
    assert_eq!(perplexities.len(), 12);
    assert!(perplexities[..6].windows(2).all(|pair| pair[1] < pair[0]), "{perplexities:?}");
    let unigrams = work.train.unigram_perplexity(&work.valid);
    let last = perplexities[11];
    assert!(last < unigrams / 5.0, "{last}, and unigrams {unigrams}");
    let correct: Vec<f64> = run.validations().iter().map(|v| v.value("val_target_CORRECT")).collect();
    assert!(correct[11] > 0.6 && correct[11] > correct[0], "{correct:?}");
    let training: Vec<f64> = run
        .messages()
        .iter()
        .filter(|message| message.contains(" done at step "))
        .map(|message| message.split("loss ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap())
        .collect();
    assert!(training.windows(2).take(6).all(|pair| pair[1] < pair[0]), "{training:?}");
}

#[test]
fn a_directory_in_use_is_refused_and_left_as_it_is() {
    let work = Workplace::new();
    work.write("run/notes.txt", "mine");
    let refused = work.try_train("run", &[]).ends_with(2);
    let refused =
        refused.says(&["the directory of the run is in use already", "run.output_dir", "--output-dir"]);
    assert_eq!(refused.stdout, "");
    assert_eq!(all_files(&work.at("run")), [work.at("run/notes.txt")]);
    assert_eq!(fs::read_to_string(work.at("run/notes.txt")).unwrap(), "mine");

    let first = work.train("first", &[("trainer.epochs", json!(1))]);
    let before: Vec<_> = all_files(&first.directory).iter().map(|file| fs::read(file).unwrap()).collect();
    let _ = work.try_train("first", &[]).ends_with(2).says(&["is in use already"]);
    let after: Vec<_> = all_files(&first.directory).iter().map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(before, after);

    work.write("file", "no directory");
    for name in ["file", "file/below"] {
        let _ = work
            .run(&["train", "first.json", "--output-dir", name])
            .ends_with(2)
            .says(&["run.output_dir", name]);
    }
    assert_eq!(fs::read_to_string(work.at("file")).unwrap(), "no directory");

    fs::create_dir(work.at("empty")).unwrap();
    let _ = work.train("empty", &[("trainer.epochs", json!(1))]);
}

#[test]
fn values_are_set_on_the_command_line() {
    let work = Workplace::new();
    work.write("config.json", &kiwi_tests::workplace::config().to_string());
    let set = ["--set", "trainer.epochs=1", "--set", "trainer.max_steps=2", "--set", "run.output_dir=there"];
    let outcome = work.run(&[&["train", "config.json", "--threads", "1"], &set[..]].concat()).ends_with(0);
    let run = Trained { outcome, directory: work.at("there") };
    assert_eq!(run.validations().len(), 1);
    assert_eq!(run.validations()[0].step, 2);

    let wrong =
        ["train", "config.json", "--set", "trainer.epoch=1", "--set", "system.optimizer.learning_rate=fast"];
    let _ = work.run(&wrong).ends_with(2).says(&[
        "--set",
        "did you mean `epochs`?",
        "system.optimizer.learning_rate",
    ]);
}

#[test]
fn without_an_output_directory_each_run_gets_its_own() {
    let work = Workplace::new();
    work.write(
        "config.json",
        &kiwi_tests::workplace::config_with(&[("trainer.max_steps", json!(1))]).to_string(),
    );
    for _ in 0..2 {
        let _ = work.run(&["train", "config.json", "--threads", "1"]).ends_with(0);
    }
    let runs: Vec<_> = fs::read_dir(work.at("runs/0")).unwrap().map(|run| run.unwrap().path()).collect();
    assert_eq!(runs.len(), 2);
    for run in runs {
        let id = run.file_name().unwrap().to_string_lossy().into_owned();
        assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
        assert!(run.join("checkpoints/index.json").is_file());
    }
}

#[test]
fn a_run_id_names_the_directory() {
    let work = Workplace::new();
    let id = "0123456789abcdef0123456789abcdef";
    let changes = [
        ("trainer.max_steps", json!(1)),
        ("run.run_id", json!(id)),
        ("run.experiment_name", json!("gender of nouns")),
    ];
    work.write("config.json", &kiwi_tests::workplace::config_with(&changes).to_string());
    let train = ["train", "config.json", "--threads", "1"];
    let _ = work.run(&train).ends_with(0).says(&["experiment gender of nouns, run ", id]);
    assert!(work.at("runs/0").join(id).join("checkpoints/index.json").is_file());
    // Once only: a second run has no directory of its own.
    let _ = work.run(&train).ends_with(2).says(&["is in use already", id]);
}

#[test]
fn everything_wrong_with_a_config_is_told_at_once_and_nothing_is_begun() {
    let work = Workplace::new();
    let changes = [
        ("trainer.epochs", json!(0)),
        ("system.model.encoder.hiden_size", json!(8)),
        ("system.model.tlm_outputs.fine_tune", json!(true)),
        ("system.optimizer.options.betas", json!([0.9, 1.5])),
    ];
    let _ = work.try_train("run", &changes).ends_with(2).says(&["trainer.epochs"]);
    // What plugins check is told together as well.
    let refused = work.try_train("run", &changes[1..]).ends_with(2).says(&[
        "run.json:",
        "system.model.encoder.hiden_size",
        "did you mean `hidden_size`?",
        "system.model.tlm_outputs.fine_tune",
        "system.optimizer.options.betas[1]",
        "a number in [0, 1)",
    ]);
    assert_eq!(refused.stdout, "");
    assert!(!work.at("run").exists());
}

#[test]
fn corpora_that_do_not_fit_are_refused_before_anything_is_begun() {
    let work = Workplace::new();
    work.write("short.tgt", &text(&work.train.target[1..]));
    let refused = work.try_train("run", &[("data.train.input.target", json!("short.tgt"))]).ends_with(2);
    let _ = refused.says(&["train.src", "short.tgt", &TRAINING_PAIRS.to_string(), "119"]);
    let _ =
        work.try_train("run", &[("data.train.input.source", json!("no.src"))]).ends_with(2).says(&["no.src"]);
    fs::write(work.at("latin.src"), b"caf\xe9\n".repeat(TRAINING_PAIRS)).unwrap();
    let refused = work.try_train("run", &[("data.train.input.source", json!("latin.src"))]).ends_with(2);
    let _ = refused.says(&["latin.src", "UTF-8", "run.json:", "data.train.input.source"]);
    fs::write(work.at("packed.src"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03").unwrap();
    let refused = work.try_train("run", &[("data.train.input.source", json!("packed.src"))]).ends_with(2);
    let _ = refused.says(&["packed.src is compressed by gzip", "gunzip --keep"]);

    // Nothing is learned from a corpus without words, nor judged by it.
    let blank = "\n".repeat(3);
    work.write("blank.src", &blank);
    work.write("blank.tgt", &blank);
    for (of, which) in [("training", "data.train.input"), ("validation", "data.valid.input")] {
        let input = json!({"source": "blank.src", "target": "blank.tgt"});
        let refused = work.try_train("run", &[(which, input)]).ends_with(2);
        let _ = refused.says(&[&format!("the {of} corpus has no word on its target side"), "3 pairs"]);
    }
    let rare = ("system.data_processing", json!({"vocab": {"min_frequency": 100_000}}));
    let _ = work.try_train("run", &[rare]).ends_with(2).says(&[
        "no word of the training corpus is left for the source vocabulary",
        "system.data_processing.vocab.min_frequency",
    ]);
    assert!(!work.at("run").exists());
}

#[test]
fn quiet_runs_say_nothing_and_still_log() {
    let work = Workplace::new();
    let run = work.train("run", &[("quiet", json!(true)), ("trainer.epochs", json!(1))]);
    assert_eq!(run.outcome.stderr, "");
    assert_eq!(run.validations().len(), 1);
}

#[test]
fn several_files_a_side_are_one_corpus() {
    let work = Workplace::new();
    for (side, lines) in [("src", &work.train.source), ("tgt", &work.train.target)] {
        work.write(&format!("one.{side}"), &text(&lines[..50]));
        work.write(&format!("two.{side}"), &text(&lines[50..]));
    }
    let short = ("trainer.max_steps", json!(5));
    let whole = work.train("whole", std::slice::from_ref(&short));
    let parts = work.train(
        "parts",
        &[
            short,
            ("data.train.input.source", json!(["one.src", "two.src"])),
            ("data.train.input.target", json!(["one.tgt", "two.tgt"])),
        ],
    );
    assert_eq!(fs::read(whole.best()).unwrap(), fs::read(parts.best()).unwrap());
}
