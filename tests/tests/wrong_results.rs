//! Components that return what they must not: tensors of another shape, type, device or number than they said. The host names plugin,
//! class and phase before it does harm elsewhere, and the run ends like any other that fails.

use std::fs;

use kiwi_tests::built;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::{Trained, all_files};
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

const ENCODER: &str = "encoder";
const HEAD: &str = "head";
const OPTIMIZER: &str = "optimizer";
const METRIC: &str = "metric";

/// Who has which fault, in which phase it is found, and what is said.
const CASES: &[(&str, &str, &str, &str)] = &[
    (ENCODER, "wrong_size", "forward", "the weight of its feature `target_logits` is float32 of shape ["),
    (ENCODER, "wrong_rank", "forward", "the weight of its feature `target_logits` is float32 of shape [1, "),
    (ENCODER, "wrong_kind", "forward", "the weight of its feature `target_logits` is float64 of shape ["),
    (ENCODER, "wrong_device", "forward", "on meta, expected on cpu"),
    (ENCODER, "undefined", "forward", "the weight of its feature `target_logits` is an undefined tensor"),
    (ENCODER, "twice", "forward", "its feature `target_logits` is there twice"),
    (
        ENCODER,
        "missing_feature",
        "forward",
        "it gives no feature `target_logits`, though it says that it does: only something_else",
    ),
    (
        ENCODER,
        "writes_into_batch",
        "forward",
        "it wrote into the tensor `ids` of the field `target`, which others read after it",
    ),
    (ENCODER, "one_position_more", "forward", " positions of `target`"),
    (
        HEAD,
        "loss_not_floating",
        "forward",
        "its loss is int64 of shape [] on cpu, expected a floating-point number",
    ),
    (
        ENCODER,
        "returns_lent",
        "forward",
        "it returned `words` by a handle that was only lent to it for the call: it must return a handle of its own",
    ),
    (
        HEAD,
        "returns_lent",
        "forward",
        "it returned `positions` by a handle that was only lent to it for the call: it must return a handle of its own",
    ),
    (HEAD, "wrong_size", "forward", "its figure `nll` of the output `target` has "),
    (HEAD, "wrong_rank", "forward", "its figure `nll` of the output `target` is float32 of shape [1, "),
    (HEAD, "wrong_kind", "forward", "its figure `nll` of the output `target` is float64 of shape ["),
    (HEAD, "wrong_device", "forward", "on meta, expected on cpu"),
    (HEAD, "undefined", "forward", "its figure `nll` of the output `target` is an undefined tensor"),
    (HEAD, "twice", "forward", "its output `target` is there twice"),
    (
        HEAD,
        "missing_output",
        "forward",
        "it gives no output `target`, of which it asked for metrics: only none",
    ),
    (METRIC, "wrong_size", "forward", "its contribution has 0 entries, and had 1 in the batch before"),
    (METRIC, "wrong_rank", "forward", "a contribution must be a float64 tensor of one dimension, not "),
    (METRIC, "wrong_kind", "forward", "a contribution must be a float64 tensor of one dimension, not "),
    (METRIC, "wrong_device", "forward", "its contribution is float64 of shape [1] on meta, and the figure"),
    (
        OPTIMIZER,
        "wrong_kind",
        "save state",
        "the entry `odd` of its state is complex64 of shape [2, 2] on cpu, which no file can hold",
    ),
    (
        OPTIMIZER,
        "wrong_device",
        "save state",
        "the entry `odd` of its state is float32 of shape [2, 2] on meta, which no file can hold",
    ),
    (
        OPTIMIZER,
        "sparse_state",
        "save state",
        "the entry `odd` of its state is float32 of shape [2, 2] on cpu, Sparse",
    ),
    (OPTIMIZER, "undefined", "save state", "the entry `odd` of its state is an undefined tensor"),
    (OPTIMIZER, "twice", "save state", "its entry of its state `odd` is there twice"),
];

fn changes(by: &str, fault: &str) -> Vec<(&'static str, Value)> {
    let of = |one: &str| if one == by { fault } else { "none" };
    vec![
        ("trainer.epochs", json!(2)),
        ("system.model.encoder", json!({"class_name": "MisbehavingEncoder", "dim": 8, "fault": of(ENCODER)})),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead", "fault": of(HEAD)})),
        ("system.metrics", json!(["MisbehavingMetric"])),
        ("system.optimizer.class_name", json!("MisbehavingOptimizer")),
        ("system.optimizer.learning_rate", json!(0.02)),
        ("system.optimizer.options", json!({"fault": of(OPTIMIZER)})),
    ]
}

/// Trains; a metric's fault is named by the environment, since metrics have no options.
#[track_caller]
fn run(work: &Workplace, output: &str, by: &str, fault: &str) -> Outcome {
    let config = format!("{output}.json");
    work.write(&config, &format!("{:#}\n", config_with(&changes(by, fault))));
    let mut command = work.command(&["train", &config, "--output-dir", output, "--threads", "1"]);
    if by == METRIC {
        command.env("KIWI_MISBEHAVING_METRIC", fault);
    }
    Outcome::of(&mut command)
}

fn class(by: &str) -> &'static str {
    match by {
        ENCODER => "MisbehavingEncoder",
        HEAD => "MisbehavingHead",
        METRIC => "MisbehavingMetric",
        _ => "MisbehavingOptimizer",
    }
}

#[test]
fn what_a_component_returns_is_held_against_what_it_said() {
    let work = Workplace::new();
    for (by, fault, phase, said) in CASES {
        let name = format!("{by} {fault}");
        let outcome = run(&work, &name, by, fault).ends_with(1);
        let sentence = format!("`{}` of the plugin `kiwi-misbehaving` failed in {phase}: ", class(by));
        let outcome = outcome.says(&[&format!("error[E0308]: {sentence}"), said]);
        assert_eq!(outcome.stdout, "");
        let log = fs::read_to_string(work.at(&name).join("output.log")).unwrap();
        let last = log.lines().last().unwrap();
        assert!(last.contains(" ERROR ") && last.contains(&sentence), "{log}");
        for file in all_files(&work.at(&name)) {
            assert!(!file.to_string_lossy().contains("partial"), "{} is half-written", file.display());
        }
    }
}

/// What `plugins check` finds fault with.
fn found_by_check(work: &Workplace, by: &str, fault: &str) -> Vec<Value> {
    work.write("options.json", &json!({ class(by): {"fault": fault} }).to_string());
    let file = built::plugin_file("misbehaving");
    let arguments = ["plugins", "check", file.to_str().unwrap(), "--class", class(by)];
    let more = ["--options", "options.json", "--format", "json", "--time-limit", "240"];
    let outcome = work.run(&[&arguments[..], &more].concat()).ends_with(1);
    let findings = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    findings.filter(|finding| finding["outcome"] == "fail").collect()
}

#[test]
fn the_check_of_plugins_finds_the_same_before_any_run() {
    let work = Workplace::new();
    for (by, fault, phase, said) in CASES {
        let check = if *phase == "forward" { "work" } else { "saved_state" };
        let found = found_by_check(&work, by, fault);
        let finding = found.iter().find(|finding| finding["check"] == check);
        let finding = finding.unwrap_or_else(|| panic!("{by} {fault}: {check} does not fail: {found:?}"));
        let message = finding["message"].as_str().unwrap();
        // It looks at what is there before it looks for what is not.
        let not_described = "it gives the feature `something_else`, which it does not describe";
        let said = if *fault == "missing_feature" { not_described } else { said };
        assert!(message.contains(said), "{by} {fault}: no {said:?} in {finding}");
    }
    let found = found_by_check(&work, OPTIMIZER, "panic_in_save");
    assert!(found.iter().any(|finding| finding.to_string().contains("panicked in save state")), "{found:?}");
    let thrown = "backward of what it computed fails: a C++ exception of the type int";
    let found = found_by_check(&work, ENCODER, "throw_in_backward");
    assert!(found.iter().any(|one| one["message"] == thrown), "{found:?}");
}

#[test]
fn a_parameter_that_no_values_can_be_loaded_into_is_refused_before_training() {
    let work = Workplace::new();
    let said = "its parameter `shared` is float32 of shape [2, 8] on cpu, of which several elements share their memory";
    let _ = work.try_train("run", &changes(ENCODER, "shared_memory")).ends_with(2).says(&[said]);
    assert!(!work.at("run").exists());
    let found = found_by_check(&work, ENCODER, "shared_memory");
    assert!(found.iter().any(|one| one["check"] == "create"), "{found:?}");
}

#[test]
fn a_state_that_panics_costs_no_system_that_was_saved() {
    let work = Workplace::new();
    for (by, class) in [(ENCODER, "MisbehavingEncoder"), (OPTIMIZER, "MisbehavingOptimizer")] {
        let name = format!("save {by}");
        let outcome = work.try_train(&name, &changes(by, "panic_in_save")).ends_with(1);
        let _ = outcome.says(&[&format!(
            "error[E0308]: `{class}` of the plugin `kiwi-misbehaving` panicked in save state: asked to panic in save"
        )]);
        assert!(!work.at(&name).join("checkpoints/index.json").exists());

        // It is saved and cannot be loaded again: what there is stays as it is.
        let name = format!("load {by}");
        let first = work.train(&name, &changes(by, "panic_in_load"));
        let before = kiwi_tests::interrupted::results(&first.directory);
        assert!(!before.is_empty());
        let config = format!("{name}.json");
        let resume = [
            "train",
            &config,
            "--output-dir",
            &name,
            "--threads",
            "1",
            "--resume",
            "--set",
            "trainer.epochs=4",
        ];
        let outcome = work.run(&resume).ends_with(1);
        let _ = outcome.says(&[&format!(
            "error[E0308]: `{class}` of the plugin `kiwi-misbehaving` panicked in load state: asked to panic in load"
        )]);
        assert_eq!(kiwi_tests::interrupted::results(&first.directory), before);
    }
}

#[test]
fn what_an_operation_throws_in_backward_is_an_error() {
    let work = Workplace::new();
    let outcome = work.try_train("run", &changes(ENCODER, "throw_in_backward")).ends_with(1);
    let _ = outcome.says(&[
        "error[E0606]: backward failed: a C++ exception of the type int",
        "in what `MisbehavingEncoder` of the plugin `kiwi-misbehaving` or `MisbehavingHead` of the plugin `kiwi-misbehaving` computed",
    ]);
}

#[test]
fn what_a_component_leaves_on_is_put_back_and_what_it_keeps_is_its_own() {
    let work = Workplace::new();
    let good = work.train("good", &changes(ENCODER, "none")).tensors();
    for (by, fault) in [
        (ENCODER, "autocast_on"),
        (HEAD, "autocast_on"),
        (OPTIMIZER, "autocast_on"),
        (METRIC, "autocast_on"),
        (METRIC, "grad_mode_off"),
        (ENCODER, "keeps_tensors"),
        (OPTIMIZER, "keeps_tensors"),
    ] {
        let name = format!("{by} {fault}");
        let outcome = run(&work, &name, by, fault).ends_with(0);
        let found = Trained { outcome, directory: work.at(&name) }.tensors();
        assert!(good.iter().all(|(name, tensor)| tensor.equal(&found[name])), "{by} {fault}");
    }
}
