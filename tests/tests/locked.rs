//! `plugins lock`, and commands that are held to what it wrote.

use std::fs;
use std::path::PathBuf;

use kiwi_tests::built;
use kiwi_tests::other_builds::{rebuild, set_version, sha256};
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

/// A place with the built-in plugins, a config of one step, and a lock of it.
struct Locked {
    work: Workplace,
}

impl Locked {
    fn new() -> Self {
        let work = Workplace::with_copied_program(&BUILT_IN);
        work.write("config.json", &format!("{:#}\n", config_with(&[("trainer.max_steps", json!(1))])));
        let _ = work.run(&["plugins", "lock", "config.json"]).ends_with(0);
        Self { work }
    }

    fn lock(&self) -> PathBuf {
        self.work.at("plugins.lock")
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.work.at(&format!("bin/libkiwi_{name}.so"))
    }

    fn change(&self, change: impl Fn(&mut Vec<Value>)) {
        let mut lock: Value = serde_json::from_str(&fs::read_to_string(self.lock()).unwrap()).unwrap();
        change(lock["plugins"].as_array_mut().unwrap());
        fs::write(self.lock(), format!("{lock:#}\n")).unwrap();
    }

    /// Trains; the directory must not exist yet.
    fn train(&self, directory: &str, more: &[&str]) -> Outcome {
        let own = ["train", "config.json", "--threads", "1", "--output-dir", directory];
        self.work.run(&[&own[..], more].concat())
    }
}

#[test]
fn a_lock_says_what_is_used_and_stays_as_it_is() {
    let Locked { work } = Locked::new();
    let text = fs::read_to_string(work.at("plugins.lock")).unwrap();
    let lock: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(lock["version"], 1);
    let plugins = lock["plugins"].as_array().unwrap();
    let names: Vec<_> = plugins.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["kiwi-encoders", "kiwi-heads", "kiwi-metrics", "kiwi-optimizers"]);
    for (plugin, name) in plugins.iter().zip(BUILT_IN) {
        assert_eq!(plugin["version"], "0.1.0");
        assert_eq!(plugin["sha256"], sha256(&built::plugin_file(name)));
        assert_eq!(plugin["torch"], "2.11.0");
    }
    assert_eq!(plugins[0]["registers"], json!(["encoder PredictorEncoder", "system Predictor"]));

    let again = work.run(&["plugins", "lock", "config.json"]).ends_with(0);
    assert!(again.stdout.contains("plugins.lock says so already"), "{again}");
    // A plugin that the config does not use is not in it, and is in a lock of all.
    work.copy(&built::swapped_optimizer(), "bin/libswapped.so");
    let again = work.run(&[
        "plugins",
        "lock",
        "config.json",
        "--format",
        "json",
        "--set",
        "system.optimizer.class_name=kiwi-optimizers::adam",
    ]);
    let said: Value = serde_json::from_str(&again.ends_with(0).stdout).unwrap();
    assert_eq!((&said["written"], said["plugins"].as_array().unwrap().len()), (&json!("unchanged"), 4));
    let all = work.run(&["plugins", "lock", "--output", "all.lock"]).ends_with(0);
    assert!(
        all.stdout.contains("kiwi-swapped-optimizer 0.1.0") && all.stdout.contains("written to all.lock"),
        "{all}"
    );
    assert_eq!(fs::read_to_string(work.at("plugins.lock")).unwrap(), text);

    // Another is shown with what differs, and replaced when asked.
    let refused = work.run(&["plugins", "lock"]).ends_with(2);
    refused.says(&[
        "plugins.lock is there already and differs",
        "it lacks kiwi-swapped-optimizer 0.1.0",
        "--force",
    ]);
    assert_eq!(fs::read_to_string(work.at("plugins.lock")).unwrap(), text);
    let _ = work.run(&["plugins", "lock", "--force"]).ends_with(0);
    assert_eq!(fs::read(work.at("plugins.lock")).unwrap(), fs::read(work.at("all.lock")).unwrap());
    // Nothing is locked for a config that is wrong.
    work.write(
        "wrong/config.json",
        &config_with(&[("system.optimizer.class_name", json!("adamm"))]).to_string(),
    );
    work.run(&["plugins", "lock", "wrong/config.json"]).ends_with(3).says(&["no optimizer named `adamm`"]);
    assert!(!work.at("wrong/plugins.lock").exists());
}

#[test]
fn another_build_is_refused_under_lock_and_else_warned_of() {
    let place = Locked::new();
    let _ = place.train("same", &["--locked"]).ends_with(0);
    let file = place.plugin("optimizers");
    let before = sha256(&file);
    rebuild(&file);
    let (now, lock) = (sha256(&file), place.lock());
    let lock = lock.to_str().unwrap();
    let differs = format!("found: 0.1.0 with SHA-256 {now}, {}", file.display());
    let expected = format!("expected: 0.1.0 with SHA-256 {before}");
    let refused = place.train("refused", &["--locked"]).ends_with(3);
    refused.says(&[
        "error[E0305]: the optimizer `adam` cannot be used: the plugin `kiwi-optimizers` 0.1.0 is not the build that plugins.lock has",
        "config.json:",
        "system.optimizer.class_name",
        &differs,
        &expected,
        "install the one that is locked",
        "kiwi-host plugins lock CONFIG --force",
    ]);
    assert!(!place.work.at("refused").exists());
    place.work.run(&["check", "config.json", "--lock", lock]).ends_with(3).says(&[&expected]);

    let warned = place.train("warned", &[]).ends_with(0);
    warned.says(&[
        "warning[W0305]: the plugin `kiwi-optimizers` 0.1.0 is not the build",
        &expected,
        "--locked",
    ]);
    // Locks are for those who agree: with a new one it is used.
    let _ = place.work.run(&["plugins", "lock", "config.json", "--force"]).ends_with(0);
    let held = place.train("held", &["--locked"]).ends_with(0);
    assert!(!held.stderr.contains("warning"), "{held}");
}

#[test]
fn another_version_and_an_unknown_plugin_are_refused_wherever_they_are_named() {
    let place = Locked::new();
    let file = place.plugin("encoders");
    set_version(&file, "0.1.1");
    let refused = place.train("refused", &["--locked"]).ends_with(3);
    refused.says(&[
        "the plugin `kiwi-encoders` is of version 0.1.1, and plugins.lock has 0.1.0",
        "system.class_name",
        &format!("found: 0.1.1 with SHA-256 {}", sha256(&file)),
        &format!("expected: 0.1.0 with SHA-256 {}", sha256(&built::plugin_file("encoders"))),
    ]);
    // Of two plugins of one name the first is used: the one that is locked is told.
    let hidden = place.work.copy(&built::plugin_file("encoders"), "bin/zz/libkiwi_encoders.so");
    let arguments = ["--locked", "--plugin-dir", "bin", "--plugin-dir", "bin/zz"];
    let refused = place.train("refused", &arguments).ends_with(3);
    refused.says(&["libkiwi_encoders.so is the one that is locked; it is hidden by"]);
    fs::rename(hidden, &file).unwrap();

    // The metrics are asked for by the head, not by the config.
    place.change(|plugins| plugins.retain(|one| one["name"] != "kiwi-metrics"));
    let refused = place.train("refused", &["--locked"]).ends_with(3);
    refused.says(&[
        "the metric `PERP` cannot be used: the plugin `kiwi-metrics` is not in plugins.lock",
        "expected: one of the locked plugins: kiwi-encoders, kiwi-heads, kiwi-optimizers",
        "`TLMOutputs` of the plugin `kiwi-heads` asks for it",
    ]);
    let warned = place.train("warned", &[]).ends_with(0);
    warned.says(&["warning[W0305]: the plugin `kiwi-metrics` is not in plugins.lock"]);
    assert!(!place.work.at("refused").exists());
}

#[test]
fn a_lock_that_is_missing_or_damaged_is_refused_only_if_it_is_needed() {
    let place = Locked::new();
    let text = fs::read_to_string(place.lock()).unwrap();
    let line = text.lines().position(|line| line.contains("\"sha256\"")).unwrap() + 1;
    fs::write(place.lock(), text.replacen("\"sha256\": \"", "\"sha256\": \"?", 1)).unwrap();
    let place_of_damage = format!("plugins.lock:{line}:");
    place.train("refused", &["--locked"]).ends_with(2).says(&[
        "error[E0306]: the lock plugins.lock is damaged: `?",
        "expected 64 lower-case hexadecimal digits",
        &place_of_damage,
    ]);
    place
        .train("warned", &[])
        .ends_with(0)
        .says(&["warning[W0306]: the lock plugins.lock is damaged", &place_of_damage]);
    fs::remove_file(place.lock()).unwrap();
    place
        .train("refused", &["--locked"])
        .ends_with(2)
        .says(&["there is no lock plugins.lock", "plugins lock CONFIG"]);
    place.train("refused", &["--lock", "other.lock"]).ends_with(2).says(&["there is no lock other.lock"]);
    let plain = place.train("plain", &[]).ends_with(0);
    assert!(!plain.stderr.contains("plugins.lock"), "{plain}");
    assert!(!place.work.at("refused").exists());
}

#[test]
fn saved_systems_are_run_under_lock_too() {
    let place = Locked::new();
    let _ = place.train("run", &["--locked"]).ends_with(0);
    let index: Value =
        serde_json::from_str(&fs::read_to_string(place.work.at("run/checkpoints/index.json")).unwrap())
            .unwrap();
    let system = place.work.at("run").join(index["best"].as_str().unwrap());
    let system = system.to_str().unwrap();
    let run = |command: &str, more: &[&str]| {
        let own = [command, system, "--source", "valid.src", "--target", "valid.tgt", "--threads", "1"];
        place.work.run(&[&own[..], more].concat())
    };
    for command in ["evaluate", "score"] {
        let _ = run(command, &["--lock", "plugins.lock"]).ends_with(0);
        // Beside the system there is none.
        run(command, &["--locked"]).ends_with(2).says(&["there is no lock", "checkpoints/plugins.lock"]);
    }
    rebuild(&place.plugin("heads"));
    for command in ["evaluate", "score"] {
        run(command, &["--lock", "plugins.lock"]).ends_with(3).says(&[
            "the plugin `kiwi-heads` 0.1.0 is not the build that plugins.lock has",
            &sha256(&place.plugin("heads")),
            &sha256(&built::plugin_file("heads")),
        ]);
    }
}
