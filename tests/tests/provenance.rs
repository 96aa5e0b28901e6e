//! Saved systems and resume points say which plugins they are of, and are used with others as far as versions promise that it
//! makes no difference.

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_tests::built;
use kiwi_tests::other_builds::{rebuild, set_version, sha256};
use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::all_files;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

/// The JSON at the beginning of a safetensors file, its `__metadata__`.
fn metadata(file: &Path) -> Value {
    let bytes = fs::read(file).unwrap();
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header["__metadata__"].clone()
}

fn evaluate(work: &Workplace, system: &Path, more: &[&str]) -> Outcome {
    let fixed = ["evaluate", system.to_str().unwrap(), "--source", "valid.src", "--target", "valid.tgt"];
    work.run(&[&fixed[..], &["--threads", "1", "--format", "json"], more].concat())
}

fn plugin(work: &Workplace, name: &str) -> PathBuf {
    work.at(&format!("bin/libkiwi_{name}.so"))
}

#[test]
fn every_file_of_a_run_says_which_plugins_it_is_of() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let run = work.train("run", &[("trainer.max_steps", json!(2))]);
    let identity = |name: &str| json!({"name": format!("kiwi-{name}"), "version": "0.1.0", "sha256": sha256(&built::plugin_file(name))});
    let system: Value = serde_json::from_str(metadata(&run.best())["kiwi.system"].as_str().unwrap()).unwrap();
    assert_eq!(system["encoder"]["plugin"], identity("encoders"));
    assert_eq!(system["head"]["plugin"], identity("heads"));

    let inspected = work.run(&["inspect", run.best().to_str().unwrap()]).ends_with(0);
    for (part, name) in [("encoder", "encoders"), ("head", "heads")] {
        let sha256 = sha256(&built::plugin_file(name));
        let said = format!("of plugin kiwi-{name} 0.1.0 (SHA-256 {sha256})");
        let line = inspected.stdout.lines().find(|line| line.starts_with(&format!("{part} ")));
        assert!(line.is_some_and(|line| line.ends_with(&said)), "{inspected}");
    }
    let inspected = work.run(&["inspect", run.best().to_str().unwrap(), "--format", "json"]).ends_with(0);
    let facts: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(facts["encoder"]["plugin"], identity("encoders"));
    assert_eq!(facts["head"]["plugin"], identity("heads"));

    let points = all_files(&run.directory.join("resume"));
    assert!(!points.is_empty());
    for point in points {
        let text = metadata(&point)["kiwi.resume.identity"].as_str().unwrap().to_owned();
        let components = serde_json::from_str::<Value>(&text).unwrap()["components"].clone();
        for (role, name) in [
            ("encoder", "encoders"),
            ("head", "heads"),
            ("optimizer 0", "optimizers"),
            ("metric target_PERP", "metrics"),
        ] {
            let expected = identity(name);
            let found = &components[role];
            let found =
                json!({"name": found["plugin"], "version": found["version"], "sha256": found["sha256"]});
            assert_eq!(found, expected, "{role} in {}", point.display());
        }
    }
}

#[test]
fn a_system_is_run_with_another_version_as_far_as_versions_promise() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let system = work.train("run", &[("trainer.max_steps", json!(2))]).best();
    let figures = evaluate(&work, &system, &[]).ends_with(0);
    assert_eq!(figures.stderr, "", "{figures}");
    let file = plugin(&work, "encoders");

    rebuild(&file);
    let other = evaluate(&work, &system, &[]).ends_with(0);
    let other = other.says(&[
        "warning[W0405]: the plugin `kiwi-encoders` is not the build that ",
        &sha256(&file),
        &sha256(&built::plugin_file("encoders")),
    ]);
    assert_eq!(other.stdout, figures.stdout);

    work.copy(&built::plugin_file("encoders"), "bin/libkiwi_encoders.so");
    set_version(&file, "0.1.9");
    let later = evaluate(&work, &system, &[]).ends_with(0);
    let later = later.says(&[
        "warning[W0405]: ",
        "was saved with kiwi-encoders 0.1.0, and kiwi-encoders 0.1.9 is installed",
    ]);
    assert_eq!(later.stdout, figures.stdout);

    // Below 1.0 every minor version may break.
    for version in ["0.2.0", "1.0.0"] {
        work.copy(&built::plugin_file("encoders"), "bin/libkiwi_encoders.so");
        set_version(&file, version);
        let message = format!("was saved with kiwi-encoders 0.1.0, and kiwi-encoders {version} is installed");
        let refused = evaluate(&work, &system, &[]).ends_with(3);
        let refused = refused.says(&[
            "error[E0405]: ",
            &message,
            "a version that is compatible with 0.1.0",
            "--allow-changed",
        ]);
        assert_eq!(refused.stdout, "");
        let allowed = evaluate(&work, &system, &["--allow-changed"]).ends_with(0);
        let allowed = allowed.says(&["warning[W0405]: ", &message, "used all the same"]);
        assert_eq!(allowed.stdout, figures.stdout);
    }

    // So it is where a run goes on from a system.
    let load = [
        ("system.class_name", Value::Null),
        ("system.model", Value::Null),
        ("system.load", json!(system)),
        ("trainer.max_steps", json!(1)),
    ];
    let message = "was saved with kiwi-encoders 0.1.0, and kiwi-encoders 1.0.0 is installed";
    work.try_train("loaded", &load).ends_with(3).says(&[
        "error[E0405]: ",
        message,
        "system.load",
        "--allow-changed",
    ]);
    let train = ["train", "loaded.json", "--output-dir", "loaded", "--threads", "1"];
    work.run(&[&train[..], &["--allow-changed"]].concat()).ends_with(0).says(&[
        "warning[W0405]: ",
        message,
        "system.load",
    ]);
    // Where there is nothing to compare with, there is nothing to allow.
    work.write("new.json", &kiwi_tests::workplace::config().to_string());
    let train = ["train", "new.json", "--output-dir", "new", "--allow-changed"];
    work.run(&train)
        .ends_with(2)
        .says(&["--allow-changed is for a run that is resumed, or that loads a system"]);
}

#[test]
fn a_run_is_resumed_with_the_very_plugins_it_began_with() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let _ = work.train("run", &[]);
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
    for (name, what) in [
        ("optimizers", "the plugin of the optimizer 0 `adam`"),
        ("heads", "the plugin of the head `TLMOutputs`"),
        ("metrics", "the plugin of the metric target_PERP `PERP`"),
    ] {
        let before = sha256(&plugin(&work, name));
        rebuild(&plugin(&work, name));
        let (before, now) = (&before[..16], &sha256(&plugin(&work, name))[..16]);
        work.run(&resume).ends_with(2).says(&[
            &format!("error[E0409]: {what} has changed since the run began"),
            &format!("found: kiwi-{name} 0.1.0, SHA-256 {now}"),
            &format!("expected: kiwi-{name} 0.1.0, SHA-256 {before}"),
            "--allow-changed",
        ]);
        work.copy(&built::plugin_file(name), &format!("bin/libkiwi_{name}.so"));
    }
    rebuild(&plugin(&work, "metrics"));
    let allowed = work.run(&[&resume[..], &["--allow-changed"]].concat()).ends_with(0);
    let allowed = allowed.says(&[
        "warning[W0409]: the plugin of the metric target_PERP `PERP` has changed since the run began",
    ]);
    assert_eq!(allowed.stderr.matches("metric target_PERP `PERP` has changed").count(), 1, "{allowed}");
}
