//! Optimizers and learning-rate schedules as a user sees them: what a config asks for, what the log tells of it, what is learned.

use std::fs;

use kiwi_tests::trained::{Trained, tensors};
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

fn says(run: &Trained, part: &str) {
    assert!(run.messages().iter().any(|message| message.contains(part)), "no {part:?} in {}", run.log());
}

/// The numbers behind `label` in the lines of single steps.
fn logged(run: &Trained, label: &str) -> Vec<f64> {
    let of_steps = |message: &String| message.contains(" step ") && message.contains(": loss ");
    let number = |message: String| -> f64 {
        let behind = message.split(&format!(", {label} ")).nth(1).unwrap_or_else(|| panic!("{message}"));
        behind.split(',').next().unwrap().parse().unwrap()
    };
    run.messages()
        .into_iter()
        .filter(of_steps)
        .filter(|message| !message.contains("done at"))
        .map(number)
        .collect()
}

fn losses(run: &Trained) -> Vec<f64> {
    run.validations().iter().map(|validation| validation.value("val_loss")).collect()
}

/// `system.optimizer`, replaced as a whole.
fn optimizer(value: Value) -> (&'static str, Value) {
    ("system.optimizer", value)
}

#[test]
fn noam_without_a_warm_up_is_refused_before_any_corpus_is_read() {
    let work = Workplace::new();
    let no_corpus = ("data.train.input", json!({"source": "no/such.src", "target": "no/such.tgt"}));
    for (name, warmup, found) in [
        ("missing", json!(null), "nothing"),
        ("zero", json!(0), "found: 0"),
        ("share", json!(0.0), "found: 0.0"),
    ] {
        let changes = [
            no_corpus.clone(),
            ("system.optimizer.class_name", json!("noam")),
            ("system.optimizer.warmup_steps", warmup),
        ];
        let refused = work.try_train(name, &changes).ends_with(2).says(&[
            "noam needs a warm-up",
            "system.optimizer.warmup_steps",
            found,
            "an integer of at least 1",
            "set warmup_steps, for example to 4000",
        ]);
        assert!(!refused.stderr.contains("such.src"), "{refused}");
        assert!(!work.at(name).exists());
    }
}

#[test]
fn noam_warms_up_by_steps_or_by_a_share_and_then_falls_with_the_root() {
    let work = Workplace::new();
    let noam = |name: &str, warmup: Value| {
        let section = json!({"class_name": "noam", "learning_rate": 0.5, "warmup_steps": warmup});
        work.train(name, &[optimizer(section)])
    };
    let steps = noam("steps", json!(4));
    says(
        &steps,
        "learning rate 0.5, times a schedule over 16 steps (the run's own): linear warm-up ends at step 4",
    );
    says(&steps, "for a hidden size of 16; warmup_steps=4 is a number of steps");
    let rates = logged(&steps, "learning rate");
    assert_eq!(rates.len(), 16);
    for (step, rate) in (1..).zip(&rates) {
        let s = f64::from(step);
        let expected = 0.5 * 0.25 * s.powf(-0.5).min(s * 4f64.powf(-1.5));
        assert!((rate - expected).abs() < 1e-12, "step {step}: {rate}, expected {expected}");
    }
    let share = noam("share", json!(0.25));
    says(&share, "warmup_steps=0.25 is a share, 4 of 16 steps");
    assert_eq!(logged(&share, "learning rate"), rates);
    assert!(steps.tensors() == share.tensors(), "the same run");
    assert!(losses(&steps)[1] < losses(&steps)[0]);
}

#[test]
fn adamw_is_scheduled_over_the_steps_of_the_run() {
    let work = Workplace::new();
    let adamw = |name: &str, more: &[(&'static str, Value)]| {
        let section = ("system.optimizer", json!({"class_name": "adamw", "learning_rate": 0.01}));
        let batches = ("system.batch_size.train", json!(60));
        work.train(name, &[&[section, batches], more].concat())
    };
    // 2 batches in each of 2 epochs.
    let run = adamw("run", &[]);
    says(&run, "2 epochs of 2 batches, 2 optimizer steps each: 4 steps in all");
    says(
        &run,
        "learning rate 0.01, times a schedule over 4 steps (the run's own): no warm-up, linear decay to 0 ends at step 4",
    );
    let rates = logged(&run, "learning rate");
    assert_eq!(rates, [0.01, 0.0075, 0.005, 0.0025], "0 is only after the last");
    assert!(losses(&run)[1] < losses(&run)[0]);

    // What makes the run shorter makes the schedule shorter.
    let accumulated = adamw("accumulated", &[("trainer.gradient_accumulation_steps", json!(2))]);
    assert_eq!(logged(&accumulated, "learning rate"), [0.01, 0.005]);
    let ended = adamw("ended", &[("trainer.max_steps", json!(2)), ("trainer.epochs", json!(50))]);
    assert_eq!(logged(&ended, "learning rate"), [0.01, 0.005]);

    // With a warm-up the first step has the rate 0; a share is not rounded.
    let warm = adamw("warm", &[("system.optimizer.warmup_steps", json!(2))]);
    says(&warm, "linear warm-up ends at step 2, linear decay to 0 ends at step 4");
    assert_eq!(logged(&warm, "learning rate"), [0.0, 0.005, 0.01, 0.005]);
    let share = adamw("share", &[("system.optimizer.warmup_steps", json!(0.375))]);
    says(&share, "warmup_steps=0.375 is a share, 1.5 of 4 steps");
    let rates = logged(&share, "learning rate");
    for (found, expected) in rates.iter().zip([0.0, 0.01 / 1.5, 0.01 * 2.0 / 2.5, 0.01 / 2.5]) {
        assert!((found - expected).abs() < 1e-12, "{rates:?}");
    }
}

#[test]
fn training_steps_that_do_not_fit_the_run_are_told_of() {
    let work = Workplace::new();
    let adamw = |warmup: Value, training: Value| {
        let section = json!({"class_name": "adamw", "learning_rate": 0.01, "warmup_steps": warmup, "training_steps": training});
        [optimizer(section)]
    };
    let short = work.train("short", &adamw(json!(null), json!(10)));
    let _ = short.outcome.says(&[
        "warning[W0182]: the learning rate is 0 in the last steps of the run",
        "system.optimizer.training_steps",
        "10 steps, and the run has 16",
    ]);
    let long = work.train("long", &adamw(json!(null), json!(32)));
    says(&long, "times a schedule over 32 steps (as training_steps says)");
    assert_eq!(logged(&long, "learning rate")[15], 0.01 * 17.0 / 32.0);

    // A warm-up that never ends: from the config alone where it says both, else when the run's length is known.
    let refused = work.try_train("both", &adamw(json!(11), json!(10))).ends_with(2);
    let _ = refused.says(&["system.optimizer.warmup_steps", "at most training_steps, which is 10"]);
    let refused = work.try_train("one", &adamw(json!(17), json!(null))).ends_with(2);
    let _ = refused.says(&["system.optimizer.warmup_steps", "more than the 16 steps of the schedule"]);
    assert!(!work.at("both").exists() && !work.at("one").exists());
}

#[test]
fn a_schedule_is_refused_where_it_would_have_no_effect() {
    let work = Workplace::new();
    let with = |name: &str, key: &'static str, class: &str, value: Value| {
        work.try_train(name, &[("system.optimizer.class_name", json!(class)), (key, value)]).ends_with(2)
    };
    let _ = with("warm", "system.optimizer.warmup_steps", "adam", json!(10)).says(&[
        "`adam` has no learning-rate schedule of its own",
        "system.optimizer.warmup_steps",
        "a class that has a schedule: adamw, noam",
    ]);
    let _ = with("training", "system.optimizer.training_steps", "sgd", json!(10))
        .says(&["`sgd` has no learning-rate schedule", "system.optimizer.training_steps"]);
    let _ = with("plateau", "system.optimizer.learning_rate_decay", "adamw", json!(0.5)).says(&[
        "`adamw` has a learning-rate schedule of its own, which is not combined with learning_rate_decay",
        "found: 0.5",
    ]);
}

#[test]
fn the_rate_stays_while_the_metric_falls_and_both_rates_are_lowered_when_it_does_not() {
    let work = Workplace::new();
    let plateau = |name: &str, rate: f64, encoder_rate: Value| {
        let section = json!({
            "class_name": "adam", "learning_rate": rate, "encoder_learning_rate": encoder_rate,
            "learning_rate_decay": 0.5, "learning_rate_decay_start": 0,
        });
        work.train(name, &[optimizer(section), ("trainer.epochs", json!(4))])
    };
    let falling = plateau("falling", 0.01, json!(null));
    assert!(losses(&falling).windows(2).all(|pair| pair[1] < pair[0]), "{:?}", losses(&falling));
    assert_eq!(logged(&falling, "learning rate"), [0.01; 32]);

    // Nothing is learned at such a rate.
    let still = plateau("still", 1.0, json!(1e-7));
    says(
        &still,
        "learning rate (encoder) lowered from 0.0000001 to 0.00000005: the main metric no longer improves",
    );
    let rates = logged(&still, "learning rate (encoder)");
    assert_eq!((rates[15], rates[16]), (1e-7, 5e-8));
}

#[test]
fn the_encoder_has_a_rate_of_its_own() {
    let work = Workplace::new();
    let adam = |name: &str, encoder_rate: Value| {
        work.train(name, &[("system.optimizer.encoder_learning_rate", encoder_rate)])
    };
    let (usual, slow) = (adam("usual", json!(null)), adam("slow", json!(1e-30)));
    // The built-in head has no parameters, so that the encoder's rate is all there is.
    let slow_outcome = &slow.outcome;
    assert!(slow_outcome.stderr.contains("learning_rate is the rate of no parameter"), "{slow_outcome}");
    assert_eq!(logged(&slow, "learning rate (encoder)"), [1e-30; 16]);
    assert_eq!(losses(&slow)[0], losses(&slow)[1], "nothing is learned at this rate");
    assert!(losses(&usual)[1] < losses(&usual)[0]);
    // And the same rate for both is the same run.
    let same = adam("same", json!(0.01));
    assert!(usual.tensors() == same.tensors(), "the same run");
    for (name, wrong) in [("zero", json!(0)), ("text", json!("0.1")), ("yes", json!(true))] {
        let refused = work.try_train(name, &[("system.optimizer.encoder_learning_rate", wrong)]).ends_with(2);
        let _ = refused.says(&["system.optimizer.encoder_learning_rate", "a finite number above 0"]);
    }
}

const SPARSE: [(&str, Value); 2] = [
    ("system.model.encoder.embeddings.source.sparse_embeddings", Value::Bool(true)),
    ("system.model.encoder.embeddings.target.sparse_embeddings", Value::Bool(true)),
];

#[test]
fn sparse_embeddings_train_by_sparse_adam_beside_adam_for_the_rest() {
    let work = Workplace::new();
    let list = |rest: &str| {
        json!([
            {"class_name": "sparse_adam", "learning_rate": 0.01, "parameters": ["encoder.embeddings.*"]},
            {"class_name": "adam", "learning_rate": 0.01, "parameters": [rest, "encoder.output_embeddings.*", "encoder.*_PreQEFV"]},
        ])
    };
    let mut changes = SPARSE.to_vec();
    changes.extend([optimizer(list("encoder.encode_target.*")), ("trainer.gradient_max_norm", json!(5.0))]);
    let run = work.train("run", &changes);
    says(&run, "optimizer sparse_adam of plugin kiwi-optimizers");
    says(&run, "optimizer adam of plugin kiwi-optimizers");
    says(&run, "learning rate of sparse_adam 0.01 for the whole run");
    assert!(losses(&run)[1] < losses(&run)[0], "{:?}", losses(&run));
    for (file, part) in
        [("optimizer-0", "encoder.embeddings.source"), ("optimizer-1", "encoder.encode_target")]
    {
        let state = tensors(&run.directory.join(format!("{file}.safetensors")));
        assert!(state.keys().any(|name| name.starts_with(part)), "{:?}", state.keys());
    }

    // The tables move as under any optimizer that takes sparse gradients; their <pad> rows never do.
    for class in ["sgd", "adagrad"] {
        let mut changes = SPARSE.to_vec();
        changes.extend([
            ("system.optimizer.class_name", json!(class)),
            ("system.optimizer.learning_rate", json!(0.005)),
        ]);
        let sparse = work.train(&format!("{class}-sparse"), &changes);
        let dense = work.train(&format!("{class}-dense"), &changes[2..]);
        for (one, other) in losses(&sparse).iter().zip(losses(&dense)) {
            assert!((one / other - 1.0).abs() < 1e-4, "{class}: {one} and {other}");
        }
    }
    // A class that cannot use them, or no others, is found out before training.
    let _ = work.try_train("adam", &SPARSE).ends_with(2).says(&[
        "a sparse gradient, which the optimizer `adam` cannot use",
        "train it by sgd, adagrad or sparse_adam in a list of optimizers",
    ]);
    let mut all = SPARSE.to_vec();
    all.push(("system.optimizer.class_name", json!("sparse_adam")));
    let _ = work.try_train("dense", &all).ends_with(2).says(&[
        "the optimizer `sparse_adam` can use sparse gradients only",
        "system.optimizer.class_name",
        "parameters with dense gradients: encoder.output_embeddings.target.weight, encoder.encode_target.",
        "make system.optimizer a list",
    ]);
    assert!(!work.at("adam").exists() && !work.at("dense").exists());
}

#[test]
fn each_parameter_belongs_to_exactly_one_optimizer_of_a_list() {
    let work = Workplace::new();
    let list = |name: &str, first: Value, second: Value| {
        // Gradient descent needs a smaller rate than Adam.
        let list = json!([
            {"class_name": "adam", "learning_rate": 0.01, "parameters": first},
            {"class_name": "sgd", "learning_rate": 0.001, "parameters": second},
        ]);
        work.try_train(name, &[optimizer(list)])
    };
    let rest = json!(["encoder.encode_target.*", "encoder.output*", "encoder.start*", "encoder.end*"]);
    let _ = list("all", json!(["encoder.embeddings.*"]), rest.clone()).ends_with(0);
    let _ = list("left", json!(["encoder.embeddings.source.*"]), rest.clone()).ends_with(2).says(&[
        "a parameter belongs to no optimizer",
        "left.json:",
        "`encoder.embeddings.target.embedding.weight` belongs to none",
    ]);
    let _ = list("twice", json!(["encoder.embeddings.*", "*.W2", "*.V"]), rest.clone()).ends_with(2).says(&[
        "2 parameters belong to more than one optimizer",
        "`encoder.encode_target.W2` belongs to system.optimizer[0] and system.optimizer[1]",
        "`encoder.encode_target.V` belongs to",
    ]);
    let _ =
        list("typo", json!(["encoder.embeddings.*", "encoder.encode_target.W3"]), rest).ends_with(2).says(&[
            "`encoder.encode_target.W3` names no parameter that trains",
            "system.optimizer[0].parameters[1]",
            "did you mean `encoder.encode_target.W",
        ]);
    for name in ["left", "twice", "typo"] {
        assert!(!work.at(name).exists());
    }
}

#[test]
fn the_log_tells_optimizers_and_groups_apart() {
    let work = Workplace::new();
    let list = json!([
        {"class_name": "adam", "learning_rate": 0.01, "parameters": ["encoder.embeddings.*"]},
        {"class_name": "adam", "learning_rate": 0.02, "parameters": ["encoder.encode_target.*"]},
        {
            "class_name": "adamw", "learning_rate": 0.04, "encoder_learning_rate": 0.08,
            "parameters": ["encoder.output*", "encoder.start*", "encoder.end*"],
        },
    ]);
    let run = work.train("run", &[optimizer(list), ("trainer.max_steps", json!(2))]);
    says(&run, "learning rate of optimizer[0] 0.01 for the whole run");
    says(&run, "learning rate of optimizer[1] 0.02 for the whole run");
    says(&run, "learning rate of adamw (encoder) 0.08, times a schedule over 2 steps (the run's own)");
    assert_eq!(logged(&run, "learning rate of optimizer[1]"), [0.02, 0.02]);
    assert_eq!(logged(&run, "learning rate of adamw (encoder)"), [0.08, 0.04]);
}

#[test]
fn debug_tries_the_schedule_of_the_whole_run() {
    let work = Workplace::new();
    let section = json!({"class_name": "adamw", "learning_rate": 0.01, "warmup_steps": 3});
    let run = work.train("run", &[optimizer(section), ("debug", json!(true))]);
    says(&run, "times a schedule over 16 steps (the run's own): linear warm-up ends at step 3");
    says(&run, "finished: debug asks for one batch only");
}

#[test]
fn frozen_parameters_are_given_to_no_optimizer() {
    let work = Workplace::new();
    let freeze = ("system.model.encoder.embeddings.source.freeze", json!(true));
    let run = work.train("run", std::slice::from_ref(&freeze));
    let state = tensors(&run.directory.join("optimizer.safetensors"));
    assert!(state.keys().any(|name| name.starts_with("encoder.embeddings.target.")));
    assert!(!state.keys().any(|name| name.starts_with("encoder.embeddings.source.")), "{:?}", state.keys());
    let section = json!([
        {"class_name": "adam", "learning_rate": 0.01, "parameters": ["*.source.*"]},
        {"class_name": "adam", "learning_rate": 0.01, "parameters": ["*"]},
    ]);
    let _ = work.try_train("list", &[freeze, optimizer(section)]).ends_with(2).says(&[
        "`*.source.*` names no parameter that trains",
        "encoder.embeddings.source.embedding.weight is frozen",
    ]);
}

/// An optimizer's section in full.
fn class(class_name: &str, learning_rate: f64, more: Value) -> Value {
    let mut section = json!({"class_name": class_name, "learning_rate": learning_rate});
    section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    section
}

/// Two epochs equal an epoch and another that goes on from its states, in weights and states, byte by byte.
fn goes_on_from_its_saved_state(
    work: &Workplace,
    name: &str,
    sections: &[Value],
    changes: &[(&'static str, Value)],
) {
    let files: Vec<String> = match sections {
        [_] => vec!["optimizer.safetensors".to_owned()],
        several => (0..several.len()).map(|index| format!("optimizer-{index}.safetensors")).collect(),
    };
    let listed = |sections: Vec<Value>| match <[Value; 1]>::try_from(sections) {
        Ok([only]) => optimizer(only),
        Err(several) => optimizer(json!(several)),
    };
    let fresh = listed(sections.to_vec());
    let whole = work.train(&format!("{name}-whole"), &[changes, std::slice::from_ref(&fresh)].concat());
    assert!(losses(&whole)[1] < losses(&whole)[0], "{name}: {:?}", losses(&whole));

    let one_epoch = ("trainer.epochs", json!(1));
    let first = work.train(&format!("{name}-first"), &[changes, &[fresh, one_epoch.clone()]].concat());
    let mut loaded = sections.to_vec();
    for (section, file) in loaded.iter_mut().zip(&files) {
        section["load"] = json!(first.directory.join(file));
    }
    let go_on = [
        listed(loaded),
        one_epoch,
        ("system.load", json!(first.best())),
        ("system.class_name", json!(null)),
        ("system.model", json!(null)),
    ];
    let of_the_model = |path: &str| path.starts_with("system.model");
    let kept: Vec<_> = changes.iter().filter(|(path, _)| !of_the_model(path)).cloned().collect();
    let second = work.train(&format!("{name}-second"), &[&kept[..], &go_on].concat());
    says(&second, "goes on after step 8");

    let (whole_tensors, resumed) = (whole.tensors(), second.tensors());
    for (tensor_name, tensor) in &whole_tensors {
        assert!(tensor.equal(&resumed[tensor_name]), "{name}: {tensor_name} differs");
    }
    for file in files {
        let state = |run: &Trained| fs::read(run.directory.join(&file)).unwrap();
        assert!(state(&whole) == state(&second), "{name}: equal states are equal files");
    }
}

#[test]
fn every_optimizer_learns_and_goes_on_from_its_saved_state_as_if_never_interrupted() {
    let work = Workplace::new();
    for (class_name, rate, more) in [
        ("sgd", 0.003, json!({"options": {"momentum": 0.5}})),
        ("averaged_sgd", 0.005, json!({})),
        ("adam", 0.01, json!({"options": {"amsgrad": true}, "learning_rate_decay": 0.5})),
        ("noam", 0.5, json!({"warmup_steps": 4})),
        ("adamw", 0.02, json!({"warmup_steps": 4, "training_steps": 16})),
        ("adagrad", 0.05, json!({})),
        ("adadelta", 1.0, json!({})),
        ("adamax", 0.01, json!({})),
        ("rmsprop", 0.003, json!({"options": {"centered": true}})),
    ] {
        goes_on_from_its_saved_state(&work, class_name, &[class(class_name, rate, more)], &[]);
    }
}

#[test]
fn sparse_adam_and_the_adam_beside_it_go_on_from_their_saved_states() {
    let tables = class("sparse_adam", 0.01, json!({"parameters": ["encoder.embeddings.*"]}));
    let rest = ["encoder.encode_target.*", "encoder.output_embeddings.*", "encoder.*_PreQEFV"];
    let rest = class("adam", 0.01, json!({"parameters": rest}));
    goes_on_from_its_saved_state(&Workplace::new(), "sparse", &[tables, rest], &SPARSE);
}

#[test]
fn a_schedule_of_the_runs_own_length_goes_on_over_all_steps() {
    let work = Workplace::new();
    let section = |load: Value| optimizer(class("adamw", 0.01, json!({"warmup_steps": 0.25, "load": load})));
    let first = work.train("first", &[section(json!(null)), ("trainer.epochs", json!(1))]);
    let second = work.train("second", &[section(json!(first.directory.join("optimizer.safetensors")))]);
    says(
        &second,
        "times a schedule over 24 steps (the run's own, and 8 of the loaded state): linear warm-up ends at step 6",
    );
    let rates = logged(&second, "learning rate");
    for (step, rate) in (8..).zip(&rates) {
        let expected = 0.01 * f64::from(24 - step) / 18.0;
        assert!((rate - expected).abs() < 1e-12, "step {step}: {rate}, expected {expected}");
    }
    assert_eq!(rates.len(), 16);
}

#[test]
fn a_state_that_does_not_fit_is_refused_before_training() {
    let work = Workplace::new();
    let run = work.train("run", &[("trainer.max_steps", json!(1))]);
    let state = json!(run.directory.join("optimizer.safetensors"));
    let load = |name: &str, value: Value, more: &[(&'static str, Value)]| {
        let changes = [&[("system.optimizer.load", value)], more].concat();
        let refused = work.try_train(name, &changes).ends_with(2).says(&["system.optimizer.load"]);
        assert!(!work.at(name).exists());
        refused
    };
    let no_corpus = ("data.train.input.source", json!("no.src"));
    let _ = load("missing", json!("no.safetensors"), std::slice::from_ref(&no_corpus))
        .says(&["no.safetensors", "does not exist"]);
    let _ = load("system", json!(run.best()), std::slice::from_ref(&no_corpus))
        .says(&["is not the saved state of an optimizer", "kiwi.optimizer"]);
    let other = [no_corpus, ("system.optimizer.class_name", json!("adamax"))];
    let _ =
        load("class", state.clone(), &other).says(&["is the state of `adam`, and the optimizer is `adamax`"]);
    let larger = [("system.model.encoder.hidden_size", json!(24))];
    let _ = load("shape", state, &larger).says(&["has shape", "expected"]);
}

#[test]
fn nonsense_in_the_section_is_refused_at_once() {
    let work = Workplace::new();
    let no_corpus = ("data.train.input.source", json!("no.src"));
    for (name, rate) in
        [("below", json!(-1)), ("zero", json!(0)), ("text", json!("0.1")), ("yes", json!(true))]
    {
        let changes = [no_corpus.clone(), ("system.optimizer.learning_rate", rate)];
        let refused = work.try_train(name, &changes).ends_with(2);
        let _ = refused.says(&["system.optimizer.learning_rate", "a finite number above 0"]);
    }
    let changes = [no_corpus, ("system.optimizer.class_name", json!("adamm"))];
    let _ = work.try_train("class", &changes).ends_with(3).says(&[
        "no optimizer named `adamm` is registered",
        "did you mean `adam",
        "averaged_sgd (kiwi-optimizers",
        "sparse_adam (kiwi-optimizers",
    ]);
}

#[test]
fn the_configs_of_the_repository_train() {
    let work = Workplace::new();
    for name in ["adamw", "noam", "plateau", "sparse_embeddings"] {
        let config = kiwi_tests::built::root().join(format!("configs/{name}.json"));
        let arguments = ["train", config.to_str().unwrap(), "--output-dir", name, "--threads", "1"];
        let outcome = work.run(&[&arguments[..], &["--set", "trainer.epochs=2"]].concat()).ends_with(0);
        let run = Trained { outcome, directory: work.at(name) };
        assert!(losses(&run)[1] < losses(&run)[0], "{name}: {:?}", losses(&run));
    }
}
