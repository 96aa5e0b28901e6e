//! Training in several processes: the same as in one, whatever the shares; and what becomes of the others when one fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use kiwi_tests::interrupted::differences;
use kiwi_tests::ranks::{Ranks, assert_same_figures, free_port, variables};
use kiwi_tests::trained::tensors;
use kiwi_tests::workplace::{Workplace, config_with};
use rustix::process::Signal;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

/// All ranks of a run that a cause has ended are gone within this time.
const SOON: Duration = Duration::from_secs(30);

fn write_config(work: &Workplace, name: &str, changes: &[(&str, Value)]) {
    work.write(&format!("{name}.json"), &format!("{:#}\n", config_with(changes)));
}

/// The largest difference of two tensors, relative to the largest element.
fn difference(one: &Tensor, other: &Tensor) -> f64 {
    let (one, other) = (one.to_kind(Kind::Double), other.to_kind(Kind::Double));
    if one.numel() == 0 {
        return 0.0;
    }
    let scale = one.abs().max().double_value(&[]).max(1e-3);
    (one - other).abs().max().double_value(&[]) / scale
}

/// The system that a run kept last.
fn last(run: &Path) -> BTreeMap<String, Tensor> {
    let index: Value =
        serde_json::from_str(&fs::read_to_string(run.join("checkpoints/index.json")).unwrap()).unwrap();
    tensors(&run.join(index["last"].as_str().unwrap()))
}

#[track_caller]
fn assert_alike(one: &Path, other: &Path, tolerance: f64) {
    let (one, other) = (last(one), last(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, tensor) in one {
        let found = difference(&tensor, &other[&name]);
        assert!(found < tolerance, "{name} differs by {found}");
    }
}

/// An optimizer whose steps are as exact as its gradients. Those of Adam are not where a gradient is nothing but rounding, as that of
/// the bias of attention's scores, which it scales up to others' size.
fn descent() -> (&'static str, Value) {
    ("system.optimizer", json!({"class_name": "sgd", "learning_rate": 0.003}))
}

/// 50 steps over batches that no number of ranks divides, the last of them smaller, without dropout.
fn fifty_steps() -> Vec<(&'static str, Value)> {
    vec![
        ("trainer.epochs", json!(10)),
        ("trainer.max_steps", json!(50)),
        ("trainer.batch_order", json!("random")),
        ("trainer.gradient_max_norm", json!(5.0)),
        ("trainer.checkpoint.save_top_k", json!(-1)),
        ("trainer.checkpoint.validation_steps", json!(3)),
        ("system.batch_size", json!({"train": 7, "valid": 13})),
        descent(),
        ("system.model.encoder.dropout", json!(0.0)),
    ]
}

#[test]
fn two_and_four_processes_train_as_one_does() {
    let work = Workplace::new();
    let alone = work.train("alone", &fifty_steps());
    for ranks in [2, 4] {
        let output = format!("by-{ranks}");
        let said = work.train_ranks(ranks, "alone", &output, &[]);
        assert!(said.contains(&format!("{ranks} processes train together, started by torchrun")), "{said}");
        assert!(said.contains("batches are of 7 in all"), "{said}");
        assert_alike(&alone.directory, &work.at(&output), 1e-5);
        assert_same_figures(&alone.directory, &work.at(&output));
    }
}

#[test]
fn gradients_of_several_batches_and_losses_that_are_means_are_divided_as_in_one_process() {
    let work = Workplace::new();
    let mut sums = fifty_steps();
    sums.extend([("trainer.gradient_accumulation_steps", json!(3)), ("trainer.max_steps", json!(12))]);
    let mut means = sums.clone();
    means.extend([
        ("system.model.encoder", json!({"class_name": "MisbehavingEncoder", "dim": 8, "masks": true})),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead", "fault": "mean_loss"})),
    ]);
    means.retain(|(path, _)| *path != "system.model.encoder.dropout");
    for (name, changes) in [("sums", sums), ("means", means)] {
        let alone = work.train(name, &changes);
        let output = format!("{name}-by-3");
        let _ = work.train_ranks(3, name, &output, &[]);
        assert_alike(&alone.directory, &work.at(&output), 1e-5);
        assert_same_figures(&alone.directory, &work.at(&output));
    }
}

#[test]
fn sparse_gradients_and_few_rows_of_large_tables_are_summed_by_their_rows() {
    let work = Workplace::new();
    // Words enough that most rows of the tables are untouched by a batch.
    let lines = |offset: usize| -> String {
        let line =
            |line: usize| (0..8).map(|word| format!("w{} ", line * 8 + word + offset)).collect::<String>();
        (0..120).map(|number| line(number).trim_end().to_owned() + "\n").collect()
    };
    for side in ["src", "tgt"] {
        work.write(&format!("train.{side}"), &lines(3));
    }
    for sparse in [false, true] {
        let changes = [
            ("trainer.checkpoint.save_top_k", json!(-1)),
            ("system.model.encoder.dropout", json!(0.0)),
            ("system.model.encoder.embeddings.source.sparse_embeddings", json!(sparse)),
            ("system.model.encoder.embeddings.target.sparse_embeddings", json!(sparse)),
            ("system.model.encoder.embeddings.source.dim", json!(128)),
            ("system.model.encoder.embeddings.target.dim", json!(128)),
            // Plain gradient descent, which adds gradients of any layout.
            ("system.optimizer", json!({"class_name": "MisbehavingOptimizer", "learning_rate": 0.003})),
        ];
        let name = format!("sparse-{sparse}");
        let alone = work.train(&name, &changes);
        let output = format!("{name}-by-2");
        let said = work.train_ranks(2, &name, &output, &[]);
        assert_alike(&alone.directory, &work.at(&output), 1e-5);
        let told = said.lines().find(|line| line.starts_with("gradients: ")).unwrap_or_default();
        let numbers: Vec<f64> = told.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // Half of the gradients are those of the two tables, of which a batch uses an eighth.
        assert!(numbers.len() == 3 && numbers[0] < 0.75 * numbers[2], "{told:?}: {numbers:?}");
    }
}

#[test]
fn ranks_without_a_pair_do_not_keep_the_others_waiting() {
    let work = Workplace::new();
    let changes = [
        ("trainer.checkpoint.save_top_k", json!(-1)),
        ("system.batch_size", json!({"train": 50, "valid": 2})),
        descent(),
        ("system.model.encoder.dropout", json!(0.0)),
    ];
    // 120 pairs: the last batch has 20. Validation batches of 2 leave two of four ranks nothing.
    let alone = work.train("alone", &changes);
    let _ = work.train_ranks(4, "alone", "by-4", &[]);
    assert_alike(&alone.directory, &work.at("by-4"), 1e-5);
    assert_same_figures(&alone.directory, &work.at("by-4"));
    // And in training, with a note what to do.
    let changes = [("system.batch_size.train", json!(2)), ("trainer.epochs", json!(1))];
    write_config(&work, "small", &changes);
    let said = work.train_ranks(3, "small", "small", &[]);
    assert!(said.contains("3 processes divide batches of 2: 1 of them have nothing to do"), "{said}");
}

/// Runs whose dropout differs by rank, which resume in the bytes of the run that nothing happened to.
fn resumable() -> Vec<(&'static str, Value)> {
    vec![
        ("trainer.epochs", json!(6)),
        ("trainer.batch_order", json!("bucketed")),
        ("trainer.gradient_accumulation_steps", json!(2)),
        ("trainer.checkpoint.resume_interval", json!(1)),
        ("system.model.encoder.dropout", json!(0.3)),
    ]
}

#[test]
fn a_signal_to_any_rank_ends_all_and_the_run_is_resumed_exactly() {
    let work = Workplace::new();
    write_config(&work, "run", &resumable());
    let _ = work.train_ranks(2, "run", "whole", &[]);
    for (rank, signal) in [(0, Signal::TERM), (1, Signal::USR1)] {
        let output = format!("stopped-{rank}");
        let mut running = work.begin_ranks(2, "run", &output, &[]);
        running.wait_for(0, "epoch 2 step");
        running.signal(rank, signal);
        assert_eq!(running.end_within(SOON), [75, 75], "{}", running.all_said());
        let said = running.said(0);
        assert!(said.contains("received SIG") && said.contains("to go on: "), "{said}");
        assert_eq!(running.said(1), "", "what is the same for all one rank says");
        let _ = work.train_ranks(2, "run", &output, &["--resume"]);
        assert_eq!(differences(&work.at("whole"), &work.at(&output)), [""; 0]);
    }
}

#[test]
fn state_from_batch_to_batch_is_each_ranks_own_and_resumed_from_where_there_is_none() {
    let work = Workplace::new();
    let encoder =
        json!({"class_name": "MisbehavingEncoder", "dim": 8, "carries": true, "saves_carried": true});
    let changes = [
        ("trainer.epochs", json!(400)),
        ("trainer.truncated_bptt_steps", json!(2)),
        ("trainer.gradient_accumulation_steps", json!(2)),
        ("trainer.checkpoint.resume_interval", json!(1)),
        ("trainer.max_steps", json!(400)),
        ("system.model.encoder", encoder),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead"})),
    ];
    write_config(&work, "run", &changes);
    let _ = work.train_ranks(2, "run", "whole", &[]);
    let endless = ["--set", "trainer.max_steps=3200"];
    let mut running = work.begin_ranks(2, "run", "stopped", &endless);
    running.wait_for(0, "epoch 3 step");
    running.signal(1, Signal::TERM);
    assert_eq!(running.end_within(SOON), [75, 75], "{}", running.all_said());
    // 8 batches an epoch.
    let said = work.train_ranks(2, "run", "stopped", &["--resume"]);
    assert!(said.contains(", after 8 batches"), "{said}");
    assert_eq!(differences(&work.at("whole"), &work.at("stopped")), [""; 0]);
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let work = Workplace::new();
    let mut changes = fifty_steps();
    changes.push(("trainer.checkpoint.resume_interval", json!(1)));
    let alone = work.train("alone", &changes);
    // One, four, two and one again, each for some steps.
    let steps =
        ["trainer.max_steps=9", "trainer.max_steps=21", "trainer.max_steps=38", "trainer.max_steps=50"];
    for (index, (ranks, steps)) in [1, 4, 2, 1].into_iter().zip(steps).enumerate() {
        let resume = if index == 0 { None } else { Some("--resume") };
        let arguments: Vec<&str> = ["--set", steps].into_iter().chain(resume).collect();
        let said = work.train_ranks(ranks, "alone", "elastic", &arguments);
        let changed = said.contains("the number of processes was");
        assert_eq!(changed, index > 0, "{said}");
    }
    assert_alike(&alone.directory, &work.at("elastic"), 1e-5);
}

#[test]
fn when_a_rank_is_killed_or_stopped_the_others_end_and_name_it() {
    let work = Workplace::new();
    let mut endless = resumable();
    endless.push(("trainer.epochs", json!(100_000)));
    write_config(&work, "run", &endless);
    for (ranks, lost, signal, cause) in [
        (2, 1, Signal::KILL, "rank 1 ended without a word"),
        (2, 0, Signal::KILL, "rank 0 ended without a word"),
        (3, 1, Signal::STOP, "rank 1 has not answered for"),
    ] {
        let output = format!("{ranks}-{lost}-{signal:?}").replace(['(', ')', ' '], "");
        let mut running = work.begin_ranks(ranks, "run", &output, &[]);
        running.wait_for(0, "epoch 1 step");
        running.signal(lost, signal);
        std::thread::sleep(Duration::from_secs(1));
        let others = (0..ranks as usize).filter(|rank| *rank != lost);
        for rank in others {
            running.wait_for(rank, cause);
        }
        if signal == Signal::STOP {
            running.signal(lost, Signal::KILL);
        }
        let codes = running.end_within(SOON);
        for (rank, code) in codes.into_iter().enumerate() {
            assert_eq!(code, if rank == lost { -9 } else { 1 }, "{}", running.all_said());
        }
        if lost != 0 {
            let log = fs::read_to_string(work.at(&output).join("output.log")).unwrap();
            assert!(log.contains(cause), "{log}");
        }
        let more = ["--resume", "--set", "trainer.max_steps=200"];
        let _ = work.train_ranks(ranks, "run", &output, &more);
    }
}

#[test]
fn what_one_rank_fails_by_all_say_and_none_waits() {
    let work = Workplace::new();
    write_config(
        &work,
        "run",
        &[("system.optimizer.learning_rate", json!(1e20)), ("trainer.epochs", json!(50))],
    );
    let mut running = work.begin_ranks(2, "run", "run", &[]);
    assert_eq!(running.end_within(SOON), [1, 1], "{}", running.all_said());
    assert!(running.said(0).contains("is not finite"), "{}", running.all_said());
}

#[test]
fn ranks_that_differ_are_refused_by_name() {
    let work = Workplace::new();
    write_config(&work, "run", &[]);
    write_config(&work, "other", &[("system.optimizer.learning_rate", json!(0.02))]);
    let start = |configs: [&str; 2], output: &str| {
        let port = free_port();
        let commands = configs.iter().zip(0..).map(|(config, rank)| {
            let config = format!("{config}.json");
            let mut command = work.command(&["train", &config, "--output-dir", output, "--threads", "1"]);
            command.envs(variables(rank, 2, "127.0.0.1", port));
            command
        });
        Ranks::start(commands.collect(), &work, output)
    };
    let mut running = start(["run", "other"], "configs");
    assert_eq!(running.end_within(SOON), [2, 2], "{}", running.all_said());
    for part in [
        "`system.optimizer.learning_rate` is not the same on all ranks",
        "on rank 1: 0.02",
        "as on rank 0: 0.01",
    ] {
        assert!(running.said(0).contains(part), "{}", running.all_said());
    }
    assert!(!work.at("configs").exists(), "nothing was begun");
    // What is wrong on all of them is said once.
    write_config(&work, "gone", &[("data.valid.input.source", json!("gone.src"))]);
    let mut running = start(["gone", "gone"], "gone");
    assert_eq!(running.end_within(SOON), [2, 2], "{}", running.all_said());
    assert_eq!(
        running.all_said().matches("error[E0201]: gone.src does not exist").count(),
        1,
        "{}",
        running.all_said()
    );
    // What is wrong on one all learn.
    write_config(&work, "missing", &[("data.valid.input.source", json!("nowhere.src"))]);
    let mut running = start(["run", "missing"], "missing");
    let codes = running.end_within(SOON);
    assert!(codes[1] == 2 && codes[0] != 0, "{codes:?} {}", running.all_said());
    assert!(running.said(0).contains("rank 1 failed: "), "{}", running.all_said());
    assert!(running.said(1).contains("nowhere.src"), "{}", running.all_said());
}

#[test]
fn batches_that_one_rank_cannot_use_all_skip() {
    let work = Workplace::new();
    for (option, choice, reason) in [
        ("loss_not_finite", "trainer.on_nonfinite", "not_finite"),
        ("gradient_not_finite", "trainer.on_nonfinite", "not_finite"),
        ("out_of_memory", "trainer.on_oom", "out_of_memory"),
    ] {
        let encoder = |rank: Value| json!({"class_name": "MisbehavingEncoder", "dim": 8, "masks": true, option: [3, 10], "only_on_rank": rank});
        let changes = |rank: Value| {
            [
                ("trainer.epochs", json!(2)),
                ("trainer.gradient_accumulation_steps", json!(2)),
                ("trainer.checkpoint.save_top_k", json!(-1)),
                (choice, json!("skip")),
                ("system.model.encoder", encoder(rank)),
                ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead"})),
                descent(),
            ]
        };
        // What all ranks skip of a batch is what one process skips.
        let alone = work.train(option, &changes(Value::Null));
        let by_two = format!("{option}-by-2");
        write_config(&work, &by_two, &changes(json!(1)));
        let said = work.train_ranks(2, &by_two, &by_two, &[]);
        assert!(said.contains("a batch is skipped, 2 so far"), "{said}");
        assert!(option == "gradient_not_finite" || said.contains("on rank 1"), "{said}");
        let summary = fs::read_to_string(work.at(&by_two).join("summary.json")).unwrap();
        let summary: Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["skipped"], json!({reason: 2}), "{said}");
        assert_alike(&alone.directory, &work.at(&by_two), 1e-5);
    }
}

#[test]
fn the_program_starts_processes_itself_two_runs_at_once_and_after_a_killed_one() {
    let work = Workplace::new();
    let alone = work.train("run", &[]);
    let start = |output: &str, more: &[&str]| {
        let own = ["train", "run.json", "--output-dir", output, "--nproc", "2"];
        Ranks::start(vec![work.command(&[&own[..], more].concat())], &work, output)
    };
    let (mut one, mut other) = (start("one", &[]), start("other", &[]));
    for (running, output) in [(&mut one, "one"), (&mut other, "other")] {
        assert_eq!(running.end(), [0], "{}", running.all_said());
        let said = running.said(0);
        for part in [
            "2 processes train together, started by kiwi-host",
            "batches are of 15 in all, 7 or 8 pairs for each process",
            "learning rates and schedules stay as they are",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_same_figures(&alone.directory, &work.at(output));
    }
    let mut killed = start("killed", &["--set", "trainer.epochs=10000"]);
    killed.wait_for(0, "epoch 1 step");
    killed.signal(0, Signal::KILL);
    let mut next = start("next", &["--set", "trainer.epochs=10000"]);
    next.wait_for(0, "epoch 1 step");
    next.signal(0, Signal::TERM);
    assert_eq!(next.end_within(SOON), [75], "{}", next.all_said());
    let said = next.said(0);
    assert!(
        said.contains("to go on: kiwi-host train run.json --set trainer.epochs=10000 --threads 1 --nproc 2"),
        "{said}"
    );
    assert_eq!(killed.end_within(SOON), [-9]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let work = Workplace::new();
    write_config(&work, "run", &[]);
    let taken = std::net::TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = work.command(&["train", "run.json", "--threads", "1", "--output-dir", "run"]);
    command.envs(variables(0, 1, "127.0.0.1", port));
    let mut running = Ranks::start(vec![command], &work, "run");
    assert_eq!(running.end_within(SOON), [2], "{}", running.all_said());
    let said = running.said(0);
    assert!(
        said.contains(&format!("error[E0608]: rank 0 of 1 cannot meet the others at 127.0.0.1:{port}: ")),
        "{said}"
    );
    assert!(said.contains("in use") || said.contains("EADDRINUSE"), "{said}");
    assert!(!work.at("run").exists(), "nothing was begun");
}
