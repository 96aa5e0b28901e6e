//! A plugin that misbehaves: the run ends with a message that names plugin, class and phase, never with a signal, a backtrace or a
//! half-written file; what is no harm is put right.

use std::fs;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::{Trained, all_files};
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// The component that misbehaves in a run.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Encoder,
    Head,
    Optimizer,
}

/// A run of the plugin's encoder, head and optimizer, one of which has this fault.
fn changes(by: By, fault: &str) -> Vec<(&'static str, Value)> {
    let of = |one: By| if one == by { fault } else { "none" };
    vec![
        ("trainer.epochs", json!(2)),
        (
            "system.model.encoder",
            json!({"class_name": "MisbehavingEncoder", "dim": 8, "fault": of(By::Encoder)}),
        ),
        ("system.model.tlm_outputs", json!({"class_name": "MisbehavingHead", "fault": of(By::Head)})),
        ("system.optimizer.class_name", json!("MisbehavingOptimizer")),
        ("system.optimizer.learning_rate", json!(0.02)),
        ("system.optimizer.options", json!({"fault": of(By::Optimizer)})),
    ]
}

fn class(by: By) -> &'static str {
    match by {
        By::Encoder => "MisbehavingEncoder",
        By::Head => "MisbehavingHead",
        By::Optimizer => "MisbehavingOptimizer",
    }
}

#[track_caller]
fn run(work: &Workplace, name: &str, by: By, fault: &str) -> Outcome {
    let outcome = work.try_train(name, &changes(by, fault));
    for file in all_files(&work.at(name)) {
        assert!(!file.to_string_lossy().contains("partial"), "{} is half-written", file.display());
    }
    outcome
}

/// The run fails with this code, and says who did what; its log says the same, if it had begun.
#[track_caller]
fn fails(by: By, fault: &str, code: i32, what: &str, also: &[&str]) {
    let work = Workplace::new();
    let outcome = run(&work, "run", by, fault).ends_with(code);
    let sentence = format!("`{}` of the plugin `kiwi-misbehaving` {what}", class(by));
    let outcome = outcome.says(&[&format!("error[E0308]: {sentence}")]).says(also);
    assert_eq!(outcome.stdout, "");
    if let Ok(log) = fs::read_to_string(work.at("run/output.log")) {
        let last = log.lines().last().unwrap();
        assert!(last.contains(" ERROR ") && last.contains(&sentence), "{log}");
    } else {
        assert!(!work.at("run").exists(), "a run that did not begin leaves no directory");
    }
}

#[test]
fn without_a_fault_it_trains() {
    let work = Workplace::new();
    let mut changes = changes(By::Encoder, "none");
    changes.push(("system.metrics", json!(["MisbehavingMetric"])));
    let run = work.train("run", &changes);
    let validations = run.validations();
    assert!(validations[1].value("val_target_PERP") < validations[0].value("val_target_PERP"));
    assert_eq!(validations[0].value("val_target_MisbehavingMetric"), 280.0, "words of the validation corpus");
    assert!(!run.outcome.stderr.contains("warning"), "{}", run.outcome);
}

#[test]
fn a_head_that_reads_what_the_encoder_does_not_give_is_refused() {
    let work = Workplace::new();
    let refused = work.try_train("run", &changes(By::Head, "other_feature")).ends_with(2);
    let _ = refused.says(&[
        "the head `MisbehavingHead` reads the feature `target_logit`, which the encoder `MisbehavingEncoder` does not give",
        "expected: one of target_logits",
        "did you mean `target_logits`?",
    ]);
    assert!(!work.at("run").exists());
}

#[test]
fn panics_are_errors() {
    for by in [By::Encoder, By::Head, By::Optimizer] {
        let place = ["note: at tests/plugins/misbehaving/src/fault.rs:", "this is a fault of the plugin"];
        fails(by, "panic_in_check", 1, "panicked in check: asked to panic in check", &place);
        fails(by, "panic_in_create", 1, "panicked in create: asked to panic in create", &place);
        if by != By::Optimizer {
            fails(by, "panic_in_needs", 1, "panicked in needs: asked to panic in needs", &place);
        }
        let phase = if by == By::Optimizer { "step" } else { "forward" };
        fails(by, "panic_at_work", 1, &format!("panicked in {phase}: asked to panic at work"), &place);
        fails(by, "torch_panic", 1, &format!("panicked in {phase}: "), &["cannot be multiplied"]);
    }
}

#[test]
fn cpp_exceptions_are_errors() {
    for by in [By::Encoder, By::Head, By::Optimizer] {
        let phase = if by == By::Optimizer { "step" } else { "forward" };
        let what = format!("threw a C++ exception in {phase}: ");
        fails(
            by,
            "throw_int",
            1,
            &format!("{what}int"),
            &["this is a fault of the plugin `kiwi-misbehaving`"],
        );
        fails(
            by,
            "throw_runtime_error",
            1,
            &format!("{what}std::runtime_error: the kettle boiled over"),
            &[],
        );
    }
}

#[test]
fn five_batches_are_tried_before_training() {
    let work = Workplace::new();
    // The validation corpus has ten batches.
    let mut changes = changes(By::Encoder, "none");
    changes.push(("system.batch_size.valid", json!(4)));
    for (batches, first_step) in [(4, false), (5, true)] {
        let name = format!("evaluates-{batches}");
        let own = [("system.model.encoder.evaluates", json!(batches))];
        let failed = work.try_train(&name, &[&changes[..], &own].concat()).ends_with(1);
        let failed = failed.says(&[&format!("failed in forward: asked to evaluate {batches} batches only")]);
        assert_eq!(failed.stderr.contains("epoch 0 step 1: loss"), first_step, "{failed}");
        assert!(!failed.stderr.contains(" validation at step "), "what is tried is no result: {failed}");
        assert!(!work.at(&name).join("checkpoints/index.json").exists(), "and nothing is saved");
    }
}

#[test]
fn errors_are_told_with_their_causes() {
    for by in [By::Encoder, By::Head, By::Optimizer] {
        let phase = if by == By::Optimizer { "step" } else { "forward" };
        // A component that refuses to be created has nothing begun yet.
        fails(
            by,
            "error_in_create",
            2,
            "failed in create: it cannot be created",
            &["because asked to fail in create"],
        );
        let at_work = format!("failed in {phase}: it cannot work");
        fails(by, "error_at_work", 1, &at_work, &["because asked to fail at work"]);
        fails(by, "torch_error", 1, &format!("failed in {phase}: "), &["cannot be multiplied"]);
    }
}

#[test]
fn schedules_are_guarded_too() {
    let by = By::Optimizer;
    fails(
        by,
        "panic_in_schedule",
        1,
        "panicked in schedule: asked to panic in the schedule",
        &["optimizer.rs:"],
    );
    fails(by, "error_in_schedule", 2, "failed in schedule: asked to have no schedule", &["warmup_steps"]);
    let what = "failed in schedule: its factor of step 2 is NaN, expected a finite number of at least 0";
    fails(by, "factor_not_a_number", 1, what, &["epoch 0 step 2: loss"]);
}

#[test]
fn the_generator_belongs_to_the_host() {
    for by in [By::Encoder, By::Head, By::Optimizer] {
        let phase = if by == By::Optimizer { "step" } else { "forward" };
        fails(by, "reseed", 1, &format!("failed in {phase}: it reseeded libtorch's random generator"), &[]);
    }
}

#[test]
fn a_loss_that_cannot_be_minimised_is_an_error() {
    fails(
        By::Head,
        "loss_not_scalar",
        1,
        "failed in forward: its loss must be a scalar, not of shape [",
        &[],
    );
    fails(
        By::Head,
        "loss_without_history",
        1,
        "failed in forward: its loss depends on no parameter that trains",
        &[],
    );
}

#[test]
fn what_one_component_leaves_out_the_next_one_names() {
    let work = Workplace::new();
    let outcome = run(&work, "figures", By::Head, "missing_figures").ends_with(1);
    let _ = outcome.says(&[
        "`PERP` of the plugin `kiwi-metrics` failed in forward",
        "output `target` has no tensor `nll`, only none",
    ]);
}

#[test]
fn grad_mode_is_put_back() {
    let work = Workplace::new();
    let good = work.train("good", &changes(By::Encoder, "none"));
    for (name, by) in [("encoder", By::Encoder), ("head", By::Head), ("optimizer", By::Optimizer)] {
        let outcome = run(&work, name, by, "grad_mode_off").ends_with(0);
        let run = Trained { outcome, directory: work.at(name) };
        let (expected, found) = (good.tensors(), run.tensors());
        assert!(expected.iter().all(|(name, tensor)| tensor.equal(&found[name])), "{name}");
    }
}

#[test]
fn messages_arrive_from_any_thread() {
    let work = Workplace::new();
    let run = work.train("run", &changes(By::Encoder, "log_from_thread"));
    let said = "kiwi-misbehaving: a word from another thread";
    assert!(run.messages().iter().any(|message| message == said), "{}", run.log());
    assert!(run.outcome.stderr.contains(said), "{}", run.outcome);
}

#[test]
fn what_was_said_before_a_failure_is_not_lost() {
    for by in [By::Encoder, By::Optimizer] {
        let work = Workplace::new();
        let outcome = run(&work, "run", by, "log_then_panic").ends_with(1);
        let said = format!("kiwi-misbehaving::{}: about to panic", class(by));
        let outcome = outcome.says(&[&format!("warning[W0383]: {said}")]);
        assert!(outcome.stderr.find("about to panic") < outcome.stderr.find("error["), "{outcome}");
        let log = fs::read_to_string(work.at("run/output.log")).unwrap();
        assert!(log.contains(&format!("WARNING {said}")), "{log}");
    }
}

#[test]
fn a_panic_while_a_component_is_freed_is_told_and_costs_nothing() {
    for by in [By::Encoder, By::Head, By::Optimizer] {
        let work = Workplace::new();
        let outcome = run(&work, "run", by, "panic_in_drop").ends_with(0);
        let sentence = format!(
            "`{}` of the plugin `kiwi-misbehaving` panicked in drop: asked to panic in drop",
            class(by)
        );
        let outcome = outcome.says(&[&format!("warning[W0308]: {sentence}")]);
        let run = Trained { outcome, directory: work.at("run") };
        assert!(run.best().is_file());
        assert!(run.log().contains(&format!("WARNING {sentence}")), "{}", run.log());
    }
}

#[test]
fn a_saved_system_that_misbehaves_ends_scoring_in_the_same_way() {
    let work = Workplace::new();
    let saved = work.train("run", &changes(By::Head, "panic_in_drop")).best();
    let saved = saved.to_str().unwrap();
    let corpus = ["--source", "valid.src", "--target", "valid.tgt", "--threads", "1"];
    for command in ["evaluate", "score"] {
        let outcome = work.run(&[&[command, saved], &corpus[..]].concat()).ends_with(0);
        let outcome = outcome
            .says(&["warning[W0308]: `MisbehavingHead` of the plugin `kiwi-misbehaving` panicked in drop"]);
        assert!(!outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn what_the_config_does_not_use_is_never_asked() {
    let work = Workplace::new();
    // The plugin lies beside the program in all tests. Here is a config that leaves it alone.
    let run = work.train("run", &[("trainer.epochs", json!(1))]);
    assert!(
        !run.log().contains("misbehaving") && !run.outcome.stderr.contains("misbehaving"),
        "{}",
        run.outcome
    );
    // A fault that a component has no place for is refused, with the path.
    let outcome = work.try_train("none", &changes(By::Optimizer, "missing_feature")).ends_with(2);
    let _ = outcome.says(&["system.optimizer.options.fault", "this component has no fault MissingFeature"]);
    let outcome = work.try_train("unknown", &changes(By::Head, "explode")).ends_with(2);
    let _ = outcome.says(&["system.model.tlm_outputs.fault", "explode", "panic_in_create"]);
}

#[test]
fn scalars_that_a_head_tells_of_are_logged_as_means() {
    let work = Workplace::new();
    let outcome = run(&work, "run", By::Head, "tells_half_loss").ends_with(0);
    let run = Trained { outcome, directory: work.at("run") };
    let figure = |message: &str, name: &str| -> Option<f64> {
        let rest = message.split_once(&format!("{name} "))?.1;
        rest.split(',').next()?.parse().ok()
    };
    let lines: Vec<String> =
        run.messages().into_iter().filter(|message| message.contains("half_loss")).collect();
    assert!(lines.len() > 8, "in steps, epochs and validations: {lines:?}");
    for line in lines {
        let (loss, half) = (figure(&line, "loss").unwrap(), figure(&line, "half_loss").unwrap());
        assert!((half - loss / 2.0).abs() < 1e-3 * loss, "{line}");
    }
    let what = "failed in forward: its scalar `all` must be a single number, not of shape";
    fails(By::Head, "scalar_not_scalar", 1, what, &[]);
}

#[test]
fn what_a_component_keeps_besides_parameters_is_saved_and_loaded() {
    let work = Workplace::new();
    let encoder = json!({"class_name": "MisbehavingEncoder", "dim": 8, "counts": true});
    let mut changes = changes(By::Head, "none");
    changes[1].1 = encoder;
    let extra = |run: &Trained| {
        let saved = kiwi_core::saved_system::SavedSystem::open(&run.best()).unwrap();
        saved.header().encoder.extra.clone()
    };
    changes.push(("trainer.checkpoint.save_top_k", json!(-1)));
    let first = work.train("first", &changes);
    let batches = extra(&first).and_then(|extra| extra.as_u64()).unwrap();
    assert!(batches == 8 || batches == 16, "after the first epoch or the second: {batches}");

    // Going on counts on.
    let load = [
        ("system.class_name", Value::Null),
        ("system.model", Value::Null),
        ("system.load", json!(first.best())),
        ("trainer.max_steps", json!(1)),
        ("system.optimizer", json!({"class_name": "sgd", "learning_rate": 1e-6})),
    ];
    let second = work.train("second", &load);
    assert_eq!(extra(&second), Some(json!(batches + 1)));

    // A class that keeps nothing says so when it is handed something.
    let plain = work.train("plain", &[("trainer.epochs", json!(1))]).best();
    let saved = kiwi_core::saved_system::SavedSystem::open(&plain).unwrap();
    let mut header = saved.header().clone();
    header.encoder.extra = Some(json!({"batches": 3}));
    let changed = work.at("changed.safetensors");
    kiwi_core::saved_system::write(&changed, &header, saved.tensors()).unwrap();
    let name = changed.to_str().unwrap();
    work.run(&["evaluate", name, "--source", "valid.src", "--target", "valid.tgt"]).ends_with(2).says(&[
        "`PredictorEncoder` of the plugin `kiwi-encoders` failed",
        "it was saved with more than parameters",
    ]);
}
