//! Plugins that end the process: by `exit`, by `abort`, by a crash, in a constructor or at work, or that never come back. Who it was is
//! said, and nothing that was saved is lost.

use std::fs;
use std::time::Duration;

use kiwi_tests::built;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::all_files;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

const ABORTED: i32 = 6;
const CRASHED: i32 = 11;

fn changes(by: &str, fault: &str) -> Vec<(&'static str, Value)> {
    let of = |one: &str| if one == by { fault } else { "none" };
    vec![
        ("trainer.epochs", json!(4)),
        (
            "system.model.encoder",
            json!({"class_name": "MisbehavingEncoder", "dim": 8, "fault": of("encoder")}),
        ),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead", "fault": of("head")})),
        ("system.optimizer.class_name", json!("MisbehavingOptimizer")),
        ("system.optimizer.learning_rate", json!(0.02)),
        ("system.optimizer.options", json!({"fault": of("optimizer")})),
    ]
}

fn class(by: &str) -> String {
    let mut class = by.to_owned();
    class[..1].make_ascii_uppercase();
    format!("`Misbehaving{class}` of the plugin `kiwi-misbehaving`")
}

/// Trains in `output`, whatever becomes of it; no file is left half-written.
#[track_caller]
fn run(work: &Workplace, output: &str, changes: &[(&str, Value)]) -> Outcome {
    let config = format!("{output}.json");
    work.write(&config, &format!("{:#}\n", config_with(changes)));
    let train = ["train", &config, "--output-dir", output, "--threads", "1"];
    let outcome = Outcome::however_it_ends(&mut work.command(&train));
    for file in all_files(&work.at(output)) {
        assert!(!file.to_string_lossy().contains("partial"), "{} is half-written: {outcome}", file.display());
    }
    outcome
}

/// The log ends with this error.
#[track_caller]
fn logged(work: &Workplace, output: &str, sentence: &str) {
    let log = fs::read_to_string(work.at(output).join("output.log")).unwrap();
    let last = log.lines().last().unwrap();
    assert!(last.contains(" ERROR ") && last.contains(sentence), "{log}");
}

#[test]
fn exit_in_create_is_no_success() {
    let work = Workplace::new();
    for by in ["encoder", "head", "optimizer"] {
        let sentence = format!("{} ended the process in create, by exit with status 0", class(by));
        let outcome = run(&work, by, &changes(by, "exit_in_create")).ends_with(1);
        let _ = outcome.says(&[
            &format!("error[E0308]: {sentence}\n  help: this is a fault of the plugin `kiwi-misbehaving`"),
            &format!("kiwi-host train failed with exit code 1: {sentence}"),
        ]);
        assert!(!work.at(by).join("checkpoints").exists());
    }
    // Neither is it elsewhere.
    let saved = work.train("good", &changes("head", "none")).best();
    let saved = saved.to_str().unwrap();
    let corpus = [
        "--source",
        "valid.src",
        "--target",
        "valid.tgt",
        "--set",
        "system.model.tlm_outputs.fault=exit_in_create",
    ];
    let outcome = work.run(&[&["evaluate", saved], &corpus[..]].concat());
    assert!(outcome.code == Some(1) || outcome.code == Some(2), "{outcome}");
}

#[test]
fn exit_at_work_keeps_what_was_saved_and_the_run_goes_on() {
    let work = Workplace::new();
    let whole = work.train("whole", &changes("encoder", "none"));
    for (by, phase) in [("encoder", "forward"), ("head", "forward"), ("optimizer", "step")] {
        let sentence = format!("{} ended the process in {phase}, by exit with status 0", class(by));
        let outcome = run(&work, by, &changes(by, "exit_at_work")).ends_with(1);
        let _ = outcome.says(&[&sentence, "go on from the last resume point by --resume"]);
        logged(&work, by, &sentence);
        assert!(work.at(by).join("checkpoints/index.json").is_file());

        let config = format!("{by}.json");
        work.write(&config, &format!("{:#}\n", config_with(&changes(by, "none"))));
        let resume = ["train", &config, "--output-dir", by, "--threads", "1", "--resume", "--allow-changed"];
        let _ = work.run(&resume).ends_with(0).says(&["goes on after"]);
        let index = fs::read_to_string(work.at(by).join("checkpoints/index.json")).unwrap();
        let index: Value = serde_json::from_str(&index).unwrap();
        let best = kiwi_tests::trained::tensors(&work.at(by).join(index["best"].as_str().unwrap()));
        assert!(
            whole.tensors().iter().all(|(name, tensor)| tensor.equal(&best[name])),
            "{by}: as if nothing had been"
        );
    }
}

#[test]
fn a_crash_is_told_of_and_stays_one() {
    let work = Workplace::new();
    let memory = "it used memory that is not its own (SIGSEGV)";
    for (by, phase, fault, signal, what) in [
        ("encoder", "forward", "abort_at_work", ABORTED, "it called abort (SIGABRT)"),
        ("encoder", "forward", "crash_at_work", CRASHED, memory),
        ("head", "forward", "crash_at_work", CRASHED, memory),
        ("optimizer", "step", "crash_at_work", CRASHED, memory),
        ("optimizer", "step", "abort_at_work", ABORTED, "it called abort (SIGABRT)"),
        // Rust's own handler of stacks that are full says so, and aborts.
        ("encoder", "forward", "overflow_at_work", ABORTED, memory),
    ] {
        let name = format!("{by} {fault}");
        let sentence = format!("{} crashed in {phase}: {what}", class(by));
        let outcome = run(&work, &name, &changes(by, fault)).ended_by(signal);
        let outcome = outcome.says(&[
            &format!("error[E0308]: {sentence}"),
            "this is a fault of the plugin `kiwi-misbehaving`",
        ]);
        assert_eq!(outcome.stderr.matches("error[E0308]: `").count(), 1, "told once: {outcome}");
        logged(&work, &name, &sentence);
    }
    let outcome = run(&work, "thread", &changes("encoder", "crash_in_thread")).ended_by(CRASHED);
    let _ = outcome.says(&[&format!(
        "error[E0308]: {} was in forward when another thread crashed: {memory}",
        class("encoder")
    )]);
}

#[test]
fn what_happens_at_the_end_of_the_process_spoils_nothing() {
    let work = Workplace::new();
    for fault in ["thread_for_ever", "crash_at_exit"] {
        let outcome = run(&work, fault, &changes("encoder", fault)).ends_with(0);
        assert!(work.at(fault).join("checkpoints/index.json").is_file(), "{outcome}");
        assert!(!outcome.stderr.contains("error"), "{outcome}");
        let said = "warning[W0612]: a library crashed while the program ended, after its work was done";
        assert_eq!(outcome.stderr.contains(said), fault == "crash_at_exit", "{outcome}");
    }
}

/// What a constructor does, how the run ends (exit code, or minus a signal), and what is said.
const CONSTRUCTORS: &[(&str, i32, &str)] = &[
    ("exit(0);", 3, "the plugin `kiwi-optimizers` ended the process in open, by exit with status 0"),
    ("exit(1);", 3, "the plugin `kiwi-optimizers` ended the process in open, by exit with status 1"),
    ("abort();", -ABORTED, "the plugin `kiwi-optimizers` crashed in open: it called abort (SIGABRT)"),
    (
        "*(volatile int *)16 = 1;",
        -CRASHED,
        "the plugin `kiwi-optimizers` crashed in open: it used memory that is not its own (SIGSEGV)",
    ),
];

fn constructor(body: &str) -> String {
    format!("#include <stdlib.h>\n__attribute__((constructor)) static void begin(void) {{ {body} }}\n")
}

#[test]
fn a_constructor_that_ends_the_process_names_the_plugin() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    for (index, (body, end, said)) in CONSTRUCTORS.iter().enumerate() {
        work.compile_as("optimizers", &constructor(body), "bin/libkiwi_optimizers.so");
        let name = format!("run{index}");
        let outcome = run(&work, &name, &[]);
        let found = outcome.code.or(outcome.signal.map(|signal| -signal));
        assert_eq!(found, Some(*end), "{outcome}");
        let _ = outcome
            .says(&[&format!("error[E0308]: {said}"), "this is a fault of the plugin `kiwi-optimizers`"]);
        assert!(!work.at(&name).exists(), "nothing was begun");
    }

    // Where the config uses another, none of them is opened.
    work.copy(&built::plugin_file("optimizers"), "bin/libkiwi_optimizers.so");
    let bodies = CONSTRUCTORS.iter().map(|(body, _, _)| *body).chain(["for (;;) { }"]);
    for (index, body) in bodies.enumerate() {
        work.compile_as("misbehaving", &constructor(body), "bin/libkiwi_misbehaving.so");
        let _ = work.train(&format!("unused{index}"), &[("trainer.max_steps", json!(1))]);
    }
}

#[test]
fn a_constructor_that_never_ends_is_told_of_and_a_signal_ends_it() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    work.compile_as("optimizers", &constructor("for (;;) { }"), "bin/libkiwi_optimizers.so");
    for signal in ["TERM", "INT"] {
        let mut running = work.begin(signal, &[], &[]);
        running.wait_for("the plugin `kiwi-optimizers` has not finished opening for 5 seconds");
        running.signal(signal);
        assert!(running.ends_within(Duration::from_secs(10)), "{}", running.said());
        assert_eq!(running.end(), 130, "{}", running.said());
        assert!(!work.at(signal).exists(), "nothing was begun");
    }
}

#[test]
fn a_plugin_may_have_an_allocator_of_its_own() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    work.copy(&built::allocating_optimizer(), "bin/libkiwi_optimizers.so");
    let clipping = ("trainer.gradient_max_norm", json!(1.0));
    let run = work.train("run", std::slice::from_ref(&clipping));
    assert!(run.log().contains("optimizer adam of plugin kiwi-swapped-optimizer"), "{}", run.log());
    // What it says in an error crosses as well.
    let wrong = ("system.optimizer.options", json!({"no_such_option": 1}));
    let _ = work.try_train("wrong", &[clipping, wrong]).ends_with(2).says(&["no_such_option"]);
}
