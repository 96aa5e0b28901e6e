//! Runs that are stopped and resumed end in the same bytes as runs that never were, and what cannot be resumed is refused with the
//! reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiwi_tests::interrupted::{differences, results};
use kiwi_tests::trained::{Trained, all_files, tensors};
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// Everything random on, steps of several batches, validations in the midst of a step, more than one system kept.
fn lively() -> Vec<(&'static str, Value)> {
    vec![
        ("trainer.epochs", json!(4)),
        ("trainer.batch_order", json!("bucketed")),
        ("trainer.gradient_accumulation_steps", json!(3)),
        ("trainer.gradient_max_norm", json!(1.0)),
        ("trainer.checkpoint.validation_steps", json!(5)),
        ("trainer.checkpoint.save_top_k", json!(2)),
        ("system.model.encoder.rnn_layers", json!(2)),
        ("system.model.encoder.dropout", json!(0.3)),
        ("system.model.encoder.embeddings.source.dropout", json!(0.2)),
    ]
}

fn with(own: &[(&'static str, Value)], more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    [own, more].concat()
}

/// The lines of the log that tell of validations, without times and paths, the last of each.
fn validations(work: &Workplace, name: &str) -> Vec<String> {
    let log = fs::read_to_string(work.at(name).join("output.log")).unwrap();
    let mut found: Vec<String> = Vec::new();
    for line in log.lines().filter(|line| line.contains(" validation at step ")) {
        let text = line.splitn(3, ' ').nth(2).unwrap().split(", saved as").next().unwrap().to_owned();
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

#[test]
fn a_run_stopped_anywhere_and_resumed_ends_in_the_same_bytes() {
    let work = Workplace::new();
    // 8 batches an epoch in 3 steps: 12 steps in all.
    let whole = work.train("whole", &lively());
    assert!(results(&whole.directory).len() >= 4, "{:?}", results(&whole.directory).keys());
    for (steps, signal, code) in
        [(1, "KILL", -9), (3, "TERM", 75), (5, "INT", 75), (7, "USR1", 75), (10, "KILL", -9)]
    {
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
        assert_eq!(validations(&work, "whole"), validations(&work, &name));
    }
}

/// The epochs whose ends a run's record tells, and the learning rates of its entries.
fn told(work: &Workplace, name: &str) -> (Vec<u64>, Vec<f64>) {
    let text = fs::read_to_string(work.at(name).join("events.jsonl")).unwrap();
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect();
    let of = |kind: &'static str| events.iter().filter(move |event| event["kind"] == kind);
    let epochs = of("epoch_ended").map(|event| event["epoch"].as_u64().unwrap()).collect();
    let mut rates: Vec<_> = of("logged").chain(of("epoch_ended")).collect();
    rates.sort_by_key(|event| event["step"].as_u64());
    let rate = |event: &&Value| event["learning_rates"]["learning rate"].as_f64().unwrap();
    (epochs, rates.iter().map(rate).collect())
}

#[test]
fn the_end_of_each_epoch_is_told_once_with_the_rate_of_its_last_step() {
    let work = Workplace::new();
    let noam = ("system.optimizer", json!({"class_name": "noam", "learning_rate": 1.0, "warmup_steps": 5}));
    let three = [noam.clone(), ("trainer.epochs", json!(3))];
    let _ = work.train("whole", &three);
    let (epochs, rates) = told(&work, "whole");
    assert_eq!(epochs, [0, 1, 2]);
    // Two epochs, then one more; then nothing.
    let _ = work.train("more", &[noam]);
    for _ in 0..2 {
        let mut resumed = work.begin("more", &three, &["--resume"]);
        assert_eq!(resumed.end(), 0, "{}", resumed.said());
    }
    assert_eq!(told(&work, "more"), (epochs.clone(), rates.clone()));
    // Interrupted in the validation at an epoch's end.
    let line = |side: &str| format!("{}\n", [side; 6].join(" ")).repeat(6000);
    work.write("valid.src", &line("s1"));
    work.write("valid.tgt", &line("t1"));
    let mut running = work.begin("stopped", &three, &[]);
    running.wait_for("epoch 2 step 24");
    running.signal("TERM");
    assert_eq!(running.end(), 75, "{}", running.said());
    let mut resumed = work.begin("stopped", &three, &["--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    assert_eq!(told(&work, "stopped"), (epochs, rates));
}

#[test]
fn another_main_metric_ranks_anew() {
    let work = Workplace::new();
    let run = work.train("run", &[]);
    let other = [("trainer.main_metric", json!("target_CORRECT")), ("trainer.epochs", json!(3))];
    let mut resumed = work.begin("run", &other, &["--resume"]);
    assert_eq!(resumed.end(), 2, "{}", resumed.said());
    let mut resumed = work.begin("run", &other, &["--resume", "--allow-changed"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    let index = run.index();
    assert_eq!(
        (index["main_metric"].as_str(), index["ordering"].as_str()),
        (Some("val_target_CORRECT"), Some("max"))
    );
    assert!(index["best_value"].as_f64().unwrap() < 1.0, "{index}");
    assert_eq!(index["kept"].as_array().unwrap().len(), 1);
}

#[test]
fn a_change_that_does_not_fit_is_refused_before_anything_is_touched() {
    let work = Workplace::new();
    let run = work.train("run", &[]);
    let before: Vec<_> = all_files(&run.directory).iter().map(|file| fs::read(file).unwrap()).collect();
    let wider = [("system.model.encoder.hidden_size", json!(20)), ("trainer.epochs", json!(3))];
    let mut resumed = work.begin("run", &wider, &["--resume", "--allow-changed"]);
    assert_eq!(resumed.end(), 2, "{}", resumed.said());
    let after: Vec<_> = all_files(&run.directory).iter().map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(before, after);
}

#[test]
fn a_run_ended_while_it_makes_its_directory_leaves_one_that_can_be_used() {
    let work = Workplace::new();
    for folder in ["run/checkpoints", "run/resume"] {
        fs::create_dir_all(work.at(folder)).unwrap();
    }
    work.write("run/config.partial", "{");
    work.write("run/.lock", "");
    let _ = work.train("run", &[]);
    assert!(!work.at("run/config.partial").exists());
}

#[test]
fn a_run_killed_before_its_first_resume_point_begins_anew() {
    let work = Workplace::new();
    let whole = work.train("whole", &[]);
    // As a kill leaves it between its first system and its first resume point.
    let killed = work.train("killed", &[("trainer.epochs", json!(1))]);
    for file in all_files(&killed.directory.join("resume")) {
        fs::remove_file(file).unwrap();
    }
    fs::remove_file(killed.directory.join("summary.json")).unwrap();
    let mut resumed = work.begin("killed", &[], &["--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    assert!(resumed.said().contains("begins anew"), "{}", resumed.said());
    assert_eq!(differences(&whole.directory, &killed.directory), [""; 0]);

    // The time until the first one may be long.
    let rarely = [("trainer.epochs", json!(20)), ("trainer.checkpoint.resume_interval", json!(100_000))];
    let mut running = work.begin("rarely", &rarely, &[]);
    running.wait_for("epoch 2 validation");
    running.signal("KILL");
    assert_eq!(running.end(), -9);
    work.write("rarely/resume/.after-3-batches.safetensors.x.partial", "half");
    let mut resumed = work.begin("rarely", &[("trainer.epochs", json!(2))], &["--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    assert_eq!(
        differences(&whole.directory, &work.at("rarely")),
        [""; 0],
        "and nothing is left of what went further"
    );
}

#[test]
fn every_kind_of_schedule_goes_on_where_it_was() {
    let work = Workplace::new();
    let optimizer = |name: &str, section: Value| (name.to_owned(), section);
    let list = json!([
        {"class_name": "sparse_adam", "learning_rate": 0.01, "parameters": ["encoder.embeddings.*"]},
        {"class_name": "adam", "learning_rate": 0.01, "parameters": ["encoder.encode_*", "encoder.output_*", "encoder.*_PreQEFV"]},
    ]);
    for (name, section) in [
        optimizer("noam", json!({"class_name": "noam", "learning_rate": 1.0, "warmup_steps": 5})),
        optimizer("adamw", json!({"class_name": "adamw", "learning_rate": 0.01, "warmup_steps": 0.25})),
        optimizer(
            "plateau",
            json!({"class_name": "sgd", "learning_rate": 0.3, "learning_rate_decay": 0.5, "learning_rate_decay_start": 0}),
        ),
        optimizer("averaged", json!({"class_name": "averaged_sgd", "learning_rate": 0.05})),
        optimizer("list", list),
    ] {
        let mut changes = with(&lively(), &[("system.optimizer", section)]);
        if name == "list" {
            changes.push(("system.model.encoder.embeddings.source.sparse_embeddings", json!(true)));
            changes.push(("system.model.encoder.embeddings.target.sparse_embeddings", json!(true)));
            changes.push(("trainer.gradient_max_norm", json!(0.0)));
        }
        let whole = work.train(&format!("{name}-whole"), &changes);
        let stopped = format!("{name}-stopped");
        let mut running = work.begin(&stopped, &changes, &[]);
        running.wait_for("epoch 1 validation");
        running.signal("TERM");
        assert_eq!(running.end(), 75, "{}", running.said());
        let mut resumed = work.begin(&stopped, &changes, &["--resume"]);
        assert_eq!(resumed.end(), 0, "{}", resumed.said());
        assert_eq!(differences(&whole.directory, &work.at(&stopped)), [""; 0], "{name}");
        assert_eq!(validations(&work, &format!("{name}-whole")), validations(&work, &stopped), "{name}");
    }
}

#[test]
fn a_finished_run_goes_on_if_there_is_more_to_do_and_else_says_what_to_change() {
    let work = Workplace::new();
    let first = work.train("run", &[]);
    let before = fs::read_to_string(first.directory.join("config.json")).unwrap();
    let resume = |more: &[&str]| {
        work.run(
            &[&["train", "run.json", "--output-dir", "run", "--threads", "1", "--resume"][..], more].concat(),
        )
    };
    let kept = results(&first.directory);
    let _ = resume(&[])
        .ends_with(0)
        .says(&["nothing to do: trainer.epochs 2 is reached; raise it to go on", "best system: run/"]);
    assert_eq!(results(&first.directory), kept);

    let _ = resume(&["--set", "trainer.epochs=3"])
        .ends_with(0)
        .says(&["goes on after 16 optimizer steps", "epoch 2 done at step 24"]);
    let longer = work.train("longer", &[("trainer.epochs", json!(3))]);
    assert_eq!(differences(&longer.directory, &first.directory), [""; 0]);
    // What the run was begun with is kept beside.
    assert_eq!(fs::read_to_string(first.directory.join("config.1.json")).unwrap(), before);

    let early = ("trainer.checkpoint.early_stop_patience", json!(1));
    let steep = ("system.optimizer.learning_rate", json!(3.0));
    let _ = work.train(
        "early",
        &[early, steep, ("trainer.epochs", json!(30)), ("trainer.gradient_max_norm", json!(1.0))],
    );
    let outcome = work.run(&["train", "early.json", "--output-dir", "early", "--threads", "1", "--resume"]);
    let _ = outcome
        .ends_with(0)
        .says(&["nothing to do: the run stopped early, with early_stop_patience 1; raise it"]);
    let _ = work.train("few", &[("trainer.max_steps", json!(3))]);
    let outcome = work.run(&["train", "few.json", "--output-dir", "few", "--threads", "1", "--resume"]);
    let _ = outcome
        .ends_with(0)
        .says(&["nothing to do: trainer.max_steps 3 is reached, after 3 optimizer steps; raise it to go on"]);
}

#[test]
fn what_cannot_be_resumed_is_said_with_where_it_was_looked_for() {
    let work = Workplace::new();
    let config = kiwi_tests::workplace::config_with(&[("trainer.resume", json!(true))]);
    work.write("run.json", &config.to_string());
    let to = |directory: &str| work.run(&["train", "run.json", "--output-dir", directory]);
    let _ = to("nowhere")
        .ends_with(2)
        .says(&["error[E0408]: there is nothing to resume", "nowhere: No such file"]);
    work.write("other/file", "");
    let _ = to("other").ends_with(2).says(&["other: a directory without a config.json"]);
    let _ = work
        .run(&["train", "run.json"])
        .ends_with(2)
        .says(&["which run is to be resumed is not said", "no run was found in runs/0"]);
    let earlier = work.train("runs/0/0123456789abcdef0123456789abcdef", &[]);
    assert!(earlier.directory.join("config.json").is_file());
    let _ = work
        .run(&["train", "run.json"])
        .ends_with(2)
        .says(&["did you mean `runs/0/0123456789abcdef0123456789abcdef"]);
    let _ = work
        .run(&["train", "run.json", "--set", "trainer.resume=false", "--allow-changed"])
        .ends_with(2)
        .says(&["--resume"]);

    // Two do not train in one directory.
    let mut running = work.begin("busy", &[("trainer.epochs", json!(300))], &[]);
    running.wait_for("epoch 1 step");
    let busy = work.run(&["train", "busy.json", "--output-dir", "busy", "--resume"]).ends_with(2);
    let _ = busy.says(&["another process is at work in the directory of the run", "busy/.lock is locked"]);
    running.signal("KILL");
    assert_eq!(running.end(), -9);

    // What another program has left is not taken over, and loses nothing.
    work.write("bert/config.json", r#"{"model_type": "bert"}"#);
    work.write("bert/download.partial", "half");
    let _ = to("bert").ends_with(2).says(&["bert: a directory whose config.json is none of a run"]);
    assert!(work.at("bert/download.partial").is_file());

    // Without --resume a run's directory is refused, with the way on.
    let run = work.train("done", &[]);
    let before = all_files(&run.directory);
    let _ = work.try_train("done", &[]).ends_with(2).says(&["is in use already", "by --resume"]);
    assert_eq!(all_files(&run.directory), before);
}

#[test]
fn a_run_that_is_not_the_same_any_more_is_refused_and_named() {
    let work = Workplace::new();
    let run = work.train("run", &[]);
    let kept = results(&run.directory);
    let arguments = [
        "train",
        "run.json",
        "--output-dir",
        "run",
        "--threads",
        "1",
        "--resume",
        "--set",
        "trainer.epochs=3",
    ];
    let resume = |more: &[&str]| work.run(&[&arguments[..], more].concat());
    let outcome =
        resume(&["--set", "run.seed=8", "--set", "system.optimizer.learning_rate=0.1"]).ends_with(2);
    let _ = outcome.says(&[
        "`run.seed` has changed since the run began",
        "found: 8",
        "expected: 7",
        "`system.optimizer.learning_rate` has changed",
        "--allow-changed",
    ]);
    let text = fs::read_to_string(work.at("train.src")).unwrap();
    work.write("train.src", &text.replacen(' ', "  more ", 1));
    let _ =
        resume(&[]).ends_with(2).says(&["error[E0409]: the training corpus has changed since the run began"]);
    assert_eq!(results(&run.directory), kept, "nothing is touched");
    work.write("train.src", &text);
    // Where files lie does not matter, what is in them does.
    for side in ["src", "tgt"] {
        fs::rename(work.at(&format!("train.{side}")), work.at(&format!("moved.{side}"))).unwrap();
    }
    let moved = ["--set", "data.train.input.source=moved.src", "--set", "data.train.input.target=moved.tgt"];
    let _ = resume(&[&moved[..], &["--set", "run.seed=8", "--allow-changed"]].concat())
        .ends_with(0)
        .says(&["warning[W0409]: `run.seed` has changed", "epoch 2 done at step 24"]);
}

#[test]
fn another_build_of_a_plugin_is_refused() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "optimizers", "metrics"]);
    let _ = work.train("run", &[]);
    let plugin = work.at("bin/libkiwi_encoders.so");
    let mut bytes = fs::read(&plugin).unwrap();
    // After the end of what is loaded: the same code in another file.
    bytes.extend_from_slice(b"another build");
    fs::remove_file(&plugin).unwrap();
    fs::write(&plugin, bytes).unwrap();
    let resume = [
        "train",
        "run.json",
        "--output-dir",
        "run",
        "--threads",
        "1",
        "--resume",
        "--set",
        "trainer.epochs=3",
    ];
    let said = ["the plugin of the encoder `PredictorEncoder` has changed since the run began", "SHA-256"];
    let _ = work.run(&resume).ends_with(2).says(&said);
    let _ = work.run(&[&resume[..], &["--allow-changed"]].concat()).ends_with(0).says(&said);
}

/// How many batches a run had done when it wrote this resume point.
fn batches_before(point: &Path) -> u64 {
    let name = point.file_name().unwrap().to_string_lossy();
    name.split('-').nth(1).unwrap().parse().unwrap()
}

/// The resume points of a run, the oldest first.
fn resume_points(run: &Path) -> Vec<PathBuf> {
    let mut points = all_files(&run.join("resume"));
    points.retain(|point| point.extension().is_some_and(|extension| extension == "safetensors"));
    points.sort_by_key(|point| batches_before(point));
    points
}

#[test]
fn broken_resume_points_are_passed_over_and_the_last_good_one_is_taken() {
    let work = Workplace::new();
    let of_epochs =
        |epochs| [("trainer.checkpoint.validation_steps", json!(2)), ("trainer.epochs", json!(epochs))];
    let run = work.train("run", &of_epochs(1));
    // Of points that follow fast upon each other some are never written, but the last of a run always is: so there are two now.
    assert_eq!(work.begin("run", &of_epochs(2), &["--resume"]).end(), 0);
    let longer = of_epochs(3);
    let whole = work.train("whole", &longer);
    let points = resume_points(&run.directory);
    let batches: Vec<u64> = points.iter().map(|file| batches_before(file)).collect();
    assert_eq!(batches.len(), 2, "{points:?}");
    assert!(batches[0] >= 8 && batches[1] == 16, "{points:?}");
    let newest = fs::read(&points[1]).unwrap();
    fs::write(&points[1], &newest[..newest.len() / 2]).unwrap();
    fs::write(run.directory.join("resume/.after-18-batches.safetensors.abc.partial"), "half").unwrap();
    let mut resumed = work.begin("run", &longer, &["--resume"]);
    assert_eq!(resumed.end(), 0);
    let goes_on = format!("goes on after {} optimizer steps", batches[0]);
    for part in ["after-16-batches.safetensors", &goes_on, "1 incomplete file"] {
        assert!(resumed.said().contains(part), "no {part}: {}", resumed.said());
    }
    assert_eq!(differences(&whole.directory, &run.directory), [""; 0]);
    let resume = ["train", "run.json", "--output-dir", "run", "--threads", "1", "--resume"];
    fs::rename(run.directory.join("resume"), work.at("moved")).unwrap();
    let _ = work.run(&resume).ends_with(2).says(&["there is no resume point that can be used"]);
    fs::rename(work.at("moved"), run.directory.join("resume")).unwrap();
    // A change that no length shows.
    let points = resume_points(&run.directory);
    let [older, newest] = &points[..] else { panic!("{points:?}") };
    assert!(newest.ends_with("after-24-batches.safetensors"), "{points:?}");
    let goes_on = format!("goes on after {} optimizer steps", batches_before(older));
    let mut bytes = fs::read(newest).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    fs::write(newest, bytes).unwrap();
    let outcome = work.run(&resume).ends_with(0).says(&["its tensors are not those that were written"]);
    let _ = outcome.says(&[&goes_on]);
    for point in all_files(&run.directory.join("resume")) {
        fs::write(point, "text").unwrap();
    }
    let outcome =
        work.run(&["train", "run.json", "--output-dir", "run", "--threads", "1", "--resume"]).ends_with(2);
    let _ = outcome.says(&["there is no resume point that can be used", "after-24-batches.safetensors"]);
    assert_eq!(differences(&whole.directory, &run.directory), [""; 0]);
}

#[test]
fn state_that_is_carried_from_batch_to_batch_is_resumed_from_where_there_is_none() {
    let work = Workplace::new();
    let changes = [
        ("trainer.epochs", json!(40)),
        ("trainer.truncated_bptt_steps", json!(2)),
        ("trainer.gradient_accumulation_steps", json!(2)),
        ("trainer.checkpoint.resume_interval", json!(1)),
        (
            "system.model.encoder",
            json!({"class_name": "MisbehavingEncoder", "dim": 8, "carries": true, "counts": true}),
        ),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead"})),
    ];
    let whole = work.train("whole", &changes);
    let mut running = work.begin("stopped", &changes, &[]);
    running.wait_for("epoch 9 step");
    let _ = running.ends_within(Duration::from_millis(3));
    running.signal("TERM");
    assert_eq!(running.end(), 75, "{}", running.said());
    let mut resumed = work.begin("stopped", &changes, &["--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    assert_eq!(differences(&whole.directory, &work.at("stopped")), [""; 0]);
}

#[test]
fn state_that_an_encoder_can_save_is_resumed_within_an_epoch() {
    let work = Workplace::new();
    let changes = |steps: u64, saves: bool| {
        let encoder =
            json!({"class_name": "MisbehavingEncoder", "dim": 8, "carries": true, "saves_carried": saves});
        [
            ("trainer.epochs", json!(9)),
            ("trainer.max_steps", json!(steps)),
            ("trainer.truncated_bptt_steps", json!(2)),
            ("trainer.gradient_accumulation_steps", json!(2)),
            ("system.model.encoder", encoder),
            ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead"})),
        ]
    };
    let last = |run: &Trained| tensors(&run.directory.join(run.index()["last"].as_str().unwrap()));
    for saves in [true, false] {
        let whole = work.train(&format!("whole-{saves}"), &changes(11, saves));
        let name = format!("stopped-{saves}");
        // 8 batches an epoch make 4 steps: the end lies within an epoch.
        let stopped = work.train(&name, &changes(6, saves));
        let mut resumed = work.begin(&name, &changes(11, saves), &["--resume"]);
        assert_eq!(resumed.end(), 0, "{}", resumed.said());
        let place = if saves {
            "after 6 optimizer steps: epoch 1, after 4 batches"
        } else {
            "after 4 optimizer steps: epoch 0, after 8"
        };
        assert!(resumed.said().contains(place), "{}", resumed.said());
        for (tensor_name, tensor) in last(&whole) {
            assert!(tensor.equal(&last(&stopped)[&tensor_name]), "{tensor_name}");
        }
    }
}
