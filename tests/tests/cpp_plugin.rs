//! Plugins in C++, used as any other: listed, trained, resumed, evaluated, refused with places, and stopped by what they throw.

use kiwi_tests::cpp;
use kiwi_tests::interrupted::differences;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

/// A folder with both plugins in `plugins`.
fn workplace() -> Workplace {
    let work = Workplace::new();
    work.copy(&cpp::example(), "plugins/libcpp_example.so");
    work.copy(&cpp::faulty(), "plugins/libcpp_faulty.so");
    work
}

fn try_train(work: &Workplace, name: &str, changes: &[(&str, Value)], more: &[&str]) -> Outcome {
    let config = format!("{name}.json");
    work.write(&config, &format!("{:#}\n", config_with(changes)));
    let fixed = ["train", &config, "--output-dir", name, "--threads", "1", "--plugin-dir", "plugins"];
    work.run(&[&fixed[..], more].concat())
}

fn train(work: &Workplace, name: &str, changes: &[(&str, Value)]) -> Trained {
    let outcome = try_train(work, name, changes, &[]).ends_with(0);
    Trained { outcome, directory: work.at(name) }
}

/// A run of the example's encoder under the built-in head, with these options.
fn example(options: Value, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let mut encoder = json!({"class_name": "ConvPredictor", "dim": 16});
    for (key, value) in options.as_object().unwrap() {
        encoder[key] = value.clone();
    }
    [&[("system.model.encoder", encoder)], more].concat()
}

/// A run of encoder, head and optimizer of the test plugin, the encoder with this fault.
fn faulty(fault: &str, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let own = [
        ("system.class_name", json!("CppSystem")),
        ("system.model.encoder", json!({"fault": fault})),
        ("system.optimizer", json!({"class_name": "Descent", "learning_rate": 0.2, "warmup_steps": 4})),
        ("system.metrics", json!(["cpp-test::Surprised"])),
    ];
    [&own[..], more].concat()
}

#[test]
fn it_is_listed_and_inspected_without_libtorch() {
    let work = workplace();
    let run = |arguments: &[&str]| {
        let mut command = work.command(arguments);
        Outcome::of(command.env("LIBTORCH", "/nowhere")).ends_with(0)
    };
    let list = run(&["plugins", "list", "--plugin-dir", "plugins"]);
    for part in ["cpp-example 0.1.0", "ConvPredictor", "Surprised", "cpp-test 1.2.3", "MeanHead", "CppSystem"]
    {
        assert!(list.stdout.contains(part), "no {part:?}: {list}");
    }
    let inspected = run(&["plugins", "inspect", "plugins/libcpp_example.so", "--format", "json"]);
    let facts: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!((&facts["usable"], &facts["reasons"]), (&json!(true), &json!([])), "{facts:#}");
    let metadata = &facts["metadata"];
    assert_eq!(metadata["name"], "cpp-example");
    assert_eq!(metadata["description"], "An encoder and a metric in C++");
    assert_eq!(metadata["api_version"], kiwi_plugin_api::API_VERSION);
    assert!(metadata["rustc"].as_str().unwrap().contains("g++"), "{metadata:#}");
    let mut components: Vec<_> = metadata["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["kind"].as_str().unwrap(), one["class"].as_str().unwrap()))
        .collect();
    components.sort();
    assert_eq!(components, ["encoder ConvPredictor", "metric Surprised"]);
}

#[test]
fn an_encoder_learns_and_its_saved_system_evaluates_to_the_same() {
    let work = workplace();
    let changes = [("trainer.epochs", json!(8)), ("system.metrics", json!(["cpp-example::Surprised"]))];
    let run = train(&work, "run", &example(json!({}), &changes));
    let perplexities: Vec<f64> = run.validations().iter().map(|v| v.value("val_target_PERP")).collect();
    assert!(perplexities.windows(2).all(|pair| pair[1] < pair[0]), "{perplexities:?}");
    let unigrams = work.train.unigram_perplexity(&work.valid);
    assert!(perplexities[7] < unigrams / 3.0, "{perplexities:?}, and unigrams {unigrams}");
    let surprised: Vec<f64> = run.validations().iter().map(|v| v.value("val_target_Surprised")).collect();
    assert!((0.0..=1.0).contains(&surprised[0]) && surprised[7] < surprised[0], "{surprised:?}");
    assert!(run.log().contains("encoder ConvPredictor of plugin cpp-example 0.1.0"), "{}", run.log());

    let names: Vec<_> = run.tensors().into_keys().collect();
    assert!(names.iter().any(|name| name.ends_with("before.weight")), "{names:?}");
    let best = run.validations().into_iter().rfind(|validation| validation.best).unwrap();
    let evaluated = work.run(&[
        "evaluate",
        run.best().to_str().unwrap(),
        "--source",
        "valid.src",
        "--target",
        "valid.tgt",
        "--format",
        "json",
        "--plugin-dir",
        "plugins",
    ]);
    let figures: Value = serde_json::from_str(&evaluated.ends_with(0).stdout).unwrap();
    let perplexity = figures["metrics"]["target_PERP"].as_f64().unwrap();
    assert!((perplexity / best.value("val_target_PERP") - 1.0).abs() < 1e-4, "{figures}");
}

#[test]
fn a_run_that_is_stopped_and_resumed_ends_in_the_same_bytes() {
    let work = workplace();
    let changes = faulty(
        "none",
        &[
            ("trainer.epochs", json!(4)),
            ("trainer.gradient_accumulation_steps", json!(2)),
            ("trainer.truncated_bptt_steps", json!(2)),
            ("system.model.encoder", json!({"counts": true})),
        ],
    );
    let whole = train(&work, "whole", &changes);
    let validations = whole.validations();
    assert_eq!(validations.len(), 4);
    assert!(validations[3].value("val_target_PERP") < validations[0].value("val_target_PERP"));
    assert_eq!(validations[0].value("val_target_Surprised"), 280.0, "words of the validation corpus");
    assert!(whole.log().contains("warm-up ends at step 4"), "{}", whole.log());
    assert!(whole.log().contains("made an encoder of 8"), "{}", whole.log());

    // Stopped in the midst of an epoch, so that all state of the plugin comes from the resume point.
    let mut running = work.begin("stopped", &changes, &["--plugin-dir", "plugins"]);
    running.wait_for("epoch 1 step 6:");
    running.signal("TERM");
    let ended = running.end();
    assert!(ended == 75 || ended == 0, "{ended}: {}", running.said());
    let mut resumed = work.begin("stopped", &changes, &["--plugin-dir", "plugins", "--resume"]);
    assert_eq!(resumed.end(), 0, "{}", resumed.said());
    assert!(ended == 0 || resumed.said().contains("goes on after "), "{}", resumed.said());
    assert_eq!(differences(&whole.directory, &work.at("stopped")), [""; 0]);
}

#[test]
fn wrong_options_are_told_with_their_places_all_at_once() {
    let work = workplace();
    let options = json!({"dim": 0, "widht": 2, "dropout": "0.1", "max_positions": 2});
    let refused = try_train(&work, "run", &example(options, &[]), &[]).ends_with(2);
    let refused = refused.says(&[
        "unknown key `widht`",
        "system.model.encoder.widht",
        "did you mean `width`?",
        "invalid value for dim",
        "an integer from 1 to 65536",
        "invalid value for dropout",
        "a number of at least 0 and below 1",
        "write 0.1 without quotes",
        "an integer of at least 3, or null",
        "run.json:",
    ]);
    assert_eq!(refused.stdout, "");
    assert!(!work.at("run").exists());

    // What the component checks itself, what it needs of the corpora, and what it warns of.
    let refused = try_train(&work, "run", &example(json!({"width": 5, "max_positions": 4}), &[]), &[]);
    let _ = refused.ends_with(2).says(&["invalid value for width", "found: 5", "less than max_positions, 4"]);
    let refused = try_train(&work, "run", &example(json!({"max_positions": 5}), &[]), &[]).ends_with(2);
    let _ = refused.says(&[
        "more than max_positions=5",
        "system.model.encoder.max_positions",
        "120 of 120 target sentences are too long",
    ]);
    let warned =
        try_train(&work, "warned", &example(json!({"dropout": 0.9}), &[("trainer.epochs", json!(1))]), &[]);
    let _ = warned.ends_with(0).says(&["of more than 0.8 leaves little to learn from"]);
    let complains = try_train(&work, "run", &faulty("check_complains", &[]), &[]).ends_with(2);
    let _ = complains.says(&["is not to be asked for", "system.model.encoder.fault", "leave it out"]);
    let share = faulty("none", &[("system.optimizer.warmup_steps", json!(0.5))]);
    let _ = try_train(&work, "run", &share, &[])
        .ends_with(2)
        .says(&["is a share, which this schedule does not know"]);
}

#[test]
fn the_schema_of_the_config_knows_its_options() {
    let work = workplace();
    let schema = work.run(&["schema", "--plugin-dir", "plugins"]).ends_with(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for (options, fits) in [
        (json!({}), true),
        (json!({"dropout": 0.1}), true),
        (json!({"dropout": "0.1"}), false),
        (json!({"dim": 0}), false),
        (json!({"widht": 2}), false),
    ] {
        let changes = example(options.clone(), &[]);
        assert_eq!(schema.is_valid(&config_with(&changes)), fits, "{options}");
        work.write("config.json", &config_with(&changes).to_string());
        let checked = work.run(&["check", "config.json", "--plugin-dir", "plugins"]);
        assert_eq!(checked.code == Some(0), fits, "{options}: {checked}");
    }
}

#[test]
fn what_it_throws_is_an_error_that_names_plugin_class_and_phase() {
    let work = workplace();
    for (fault, says) in [
        ("error", vec!["failed in forward: asked to fail"]),
        ("nested", vec!["failed in forward: the outer reason", "the inner reason"]),
        ("exception", vec!["threw a C++ exception in forward: std::runtime_error: asked to throw"]),
        ("int", vec!["threw a C++ exception in forward: int: 42"]),
        ("unknown", vec!["threw a C++ exception in forward: ", "Unknown"]),
        ("libtorch", vec!["failed in forward: ", "cannot be multiplied"]),
        ("field", vec!["failed in forward: the batch has no field `sauce`, only source, target"]),
        ("undefined", vec!["failed in forward: its feature `target_logits` is an undefined tensor"]),
        ("seed", vec!["failed in forward: it reseeded libtorch's random generator"]),
        (
            "create_throws",
            vec!["threw a C++ exception in create: std::logic_error: asked to throw in create"],
        ),
        ("same_name", vec!["failed in create: a parameter named `source` exists already"]),
        ("check_throws", vec!["threw a C++ exception in check: int: 7"]),
    ] {
        // An error in creating it is found before anything is trained.
        let code = if fault == "same_name" { 2 } else { 1 };
        let outcome = try_train(&work, fault, &faulty(fault, &[]), &[]).ends_with(code);
        let outcome = outcome.says(&["`FaultyEncoder` of the plugin `cpp-test`"]).says(&says);
        assert_eq!(outcome.stdout, "");
    }
    // The mode is put right, and the run goes well.
    let run = train(&work, "grad_mode", &faulty("grad_mode", &[("trainer.epochs", json!(2))]));
    let validations = run.validations();
    assert!(validations[1].value("val_loss") < validations[0].value("val_loss"), "{validations:?}");

    let no_loss = faulty("none", &[("system.model.tlm_outputs", json!({"no_loss": true}))]);
    let _ = try_train(&work, "no_loss", &no_loss, &[])
        .ends_with(1)
        .says(&["`MeanHead` of the plugin `cpp-test` failed in forward: it gave no loss"]);
}

#[test]
fn the_example_passes_the_check_of_plugins() {
    let work = workplace();
    let arguments =
        ["plugins", "check", "plugins/libcpp_example.so", "--format", "json", "--time-limit", "240"];
    let checked = work.run(&arguments).ends_with(0);
    let findings: Vec<Value> =
        checked.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let passed = findings.iter().filter(|finding| finding["outcome"] == "pass").count();
    assert!(passed > 20, "{checked}");
    assert!(findings.iter().all(|finding| finding["outcome"] != "fail"), "{checked}");
    assert!(checked.stdout.contains("ConvPredictor") && checked.stdout.contains("Surprised"), "{checked}");
}
