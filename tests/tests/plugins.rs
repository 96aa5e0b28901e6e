//! Plugins as files: one that is missing, one that takes the place of another, two of one class, broken ones. Host and engine are
//! copied beside them and never rebuilt.

use std::fs;
use std::path::Path;
use std::process::Command;

use kiwi_tests::built;
use kiwi_tests::plugin_files::PluginFile;
use kiwi_tests::workplace::Workplace;
use serde_json::json;
use sha2::{Digest, Sha256};

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

fn hash(file: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(file).unwrap()).to_vec()
}

#[test]
fn a_class_that_no_plugin_registers_ends_with_3() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    let refused = work.try_train("run", &[]).ends_with(3);
    let folder = work.at("bin").display().to_string();
    let refused = refused.says(&[
        "error[E0301]: no optimizer named `adam` is registered",
        "run.json:",
        "system.optimizer.class_name",
        "found: \"adam\"",
        "the class of a registered optimizer, and there are none",
        "plugins found: kiwi-encoders 0.1.0, kiwi-heads 0.1.0, kiwi-metrics 0.1.0",
        &format!("searched {folder} (beside the program)"),
        "--plugin-dir",
    ]);
    assert_eq!(refused.stdout, "");
    assert!(!work.at("run").exists());

    let list = work.run(&["plugins", "list"]).ends_with(0);
    for (plugin, class) in [("encoders", "PredictorEncoder"), ("heads", "TLMOutputs"), ("metrics", "PERP")] {
        assert!(
            list.stdout.contains(&format!("kiwi-{plugin} 0.1.0  ")) && list.stdout.contains(class),
            "{list}"
        );
    }
    assert!(!list.stdout.contains("optimizer"), "{list}");

    // What is registered is told where there is something.
    let misspelled = Workplace::with_copied_program(&BUILT_IN);
    let refused = misspelled.try_train("run", &[("system.optimizer.class_name", json!("adma"))]).ends_with(3);
    let _ = refused.says(&[
        "no optimizer named `adma` is registered",
        "one of the registered optimizers: ",
        "adam (kiwi-optimizers 0.1.0)",
        "sgd (kiwi-optimizers 0.1.0)",
        "did you mean `adam`?",
    ]);
    // A metric that the head asks for is missing as well: the head is named.
    let work = Workplace::with_copied_program(&["encoders", "heads", "optimizers"]);
    let refused = work.try_train("run", &[]).ends_with(3);
    let _ = refused.says(&[
        "no metric named `PERP` is registered",
        "`TLMOutputs` of the plugin `kiwi-heads` asks for it",
    ]);
}

#[test]
fn one_plugin_in_the_place_of_another_changes_the_run_and_nothing_else_is_rebuilt() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let others =
        ["kiwi-host", "libkiwi_engine.so", "libkiwi_encoders.so", "libkiwi_heads.so", "libkiwi_metrics.so"];
    let hashes = || others.map(|name| hash(&work.at("bin").join(name)));
    let before = hashes();
    // Gradient descent needs clipping where Adam does not; the config is the same for both.
    let clipping = [("trainer.gradient_max_norm", json!(1.0))];
    let first = work.train("first", &clipping);

    let optimizers = work.at("bin/libkiwi_optimizers.so");
    let of_optimizers = hash(&optimizers);
    work.copy(&built::swapped_optimizer(), "bin/libkiwi_optimizers.so");
    assert_ne!(hash(&optimizers), of_optimizers);
    let second = work.train("second", &clipping);
    assert_eq!(hashes(), before, "host, engine and the other plugins are the very same files");
    for (name, built_file) in others.iter().map(|name| (name, built::folder().join(name))) {
        assert_eq!(hash(&work.at("bin").join(name)), hash(&built_file), "{name}");
    }

    assert!(first.log().contains("optimizer adam of plugin kiwi-optimizers 0.1.0"), "{}", first.log());
    assert!(
        second.log().contains("optimizer adam of plugin kiwi-swapped-optimizer 0.1.0"),
        "{}",
        second.log()
    );
    let said = "kiwi-swapped-optimizer::adam: plain gradient descent takes the place of Adam";
    assert!(second.log().contains(said) && !first.log().contains(said), "{}", second.log());
    let (one, other) = (first.tensors(), second.tensors());
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert!(
        one.iter().any(|(name, tensor)| !tensor.equal(&other[name])),
        "another optimizer trains another system"
    );
    assert_ne!(first.validations()[0].values, second.validations()[0].values);

    // And back again.
    work.copy(&built::plugin_file("optimizers"), "bin/libkiwi_optimizers.so");
    let third = work.train("third", &clipping);
    assert_eq!(fs::read(first.best()).unwrap(), fs::read(third.best()).unwrap());
}

#[test]
fn two_plugins_of_one_class_are_told_apart_by_the_plugins_name() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let second = work.copy(&built::swapped_optimizer(), "more/libother.so");
    let config = |name: &str, class: &str| {
        let config = kiwi_tests::workplace::config_with(&[
            ("system.optimizer.class_name", json!(class)),
            ("trainer.epochs", json!(1)),
        ]);
        work.write(name, &config.to_string());
    };
    config("ambiguous.json", "adam");
    let train = |config: &str| {
        let arguments = ["train", config, "--output-dir", config.trim_end_matches(".json"), "--threads", "1"];
        work.run(&[&arguments[..], &["--plugin-dir", "more"]].concat())
    };
    let refused = train("ambiguous.json").ends_with(3).says(&[
        "more than one plugin registers the optimizer `adam`",
        "ambiguous.json:",
        "`kiwi-optimizers::adam` is registered by ",
        "`kiwi-swapped-optimizer::adam` is registered by ",
        &work.at("bin/libkiwi_optimizers.so").display().to_string(),
        "more/libother.so",
        "write the plugin's name before the class",
    ]);
    assert_eq!(refused.stdout, "");
    assert!(second.is_file() && !work.at("ambiguous").exists());

    for plugin in ["kiwi-optimizers", "kiwi-swapped-optimizer"] {
        let name = format!("{plugin}.json");
        config(&name, &format!("{plugin}::adam"));
        let _ = train(&name).ends_with(0).says(&[&format!("optimizer adam of plugin {plugin} 0.1.0")]);
    }
}

#[test]
fn a_head_has_the_metrics_beside_it_before_others_of_their_names() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let other = PluginFile::read("metrics").with(&[("name", "kiwi-metrics", "acme-metrics")]);
    fs::create_dir(work.at("more")).unwrap();
    fs::write(work.at("more/libacme_metrics.so"), &other).unwrap();
    work.write("run.json", &kiwi_tests::workplace::config_with(&[("trainer.epochs", json!(1))]).to_string());
    let train =
        ["train", "run.json", "--output-dir", "run", "--threads", "1", "--quiet", "--plugin-dir", "more"];
    let _ = work.run(&train).ends_with(0);
    let plugins = fs::read_to_string(work.at("run/output.log")).unwrap();
    assert!(!plugins.contains("acme-metrics"), "{plugins}");

    // Side by side neither is nearer, and no config can say which is meant.
    fs::rename(work.at("more/libacme_metrics.so"), work.at("bin/libacme_metrics.so")).unwrap();
    let config = work.at("run.json").display().to_string();
    let _ = work.run(&["train", &config, "--output-dir", "other", "--threads", "1"]).ends_with(3).says(&[
        "more than one plugin registers the metric `PERP`",
        "the head `TLMOutputs` of the plugin `kiwi-heads` asks for it",
        "remove one of these plugins from the directories that are searched",
    ]);
}

#[test]
fn broken_files_stop_no_run_that_does_not_use_them() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let plugin = fs::read(built::plugin_file("optimizers")).unwrap();
    work.write("more/libempty.so", "");
    work.write("more/libtext.so", "This is a note, not a library.\n");
    fs::write(work.at("more/libcut.so"), &plugin[..plugin.len() / 2]).unwrap();
    fs::write(work.at("more/libhead.so"), &plugin[..40]).unwrap();
    let mut bent = plugin.clone();
    bent[18] = 0xb7; // The machine: AArch64.
    fs::write(work.at("more/libforeign.so"), &bent).unwrap();
    work.write("plain.c", "int nothing(void) { return 0; }\n");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "more/libplain.so", "plain.c"])
        .current_dir(work.at("."))
        .status()
        .unwrap();
    assert!(compiled.success());

    let list = work.run(&["plugins", "list", "--plugin-dir", "more"]).ends_with(0);
    for name in ["empty", "text", "cut", "head", "foreign", "plain"] {
        let line = list.stdout.lines().find(|line| line.contains(&format!("more/lib{name}.so: it ")));
        let line = line.unwrap_or_else(|| panic!("no word on {name}: {list}"));
        assert!(line.starts_with("cannot be used: ") && line.len() > 40, "{line}");
    }
    assert!(list.stdout.contains("kiwi-optimizers 0.1.0"), "{list}");

    work.write(
        "config.json",
        &kiwi_tests::workplace::config_with(&[("trainer.epochs", json!(1))]).to_string(),
    );
    let train = ["train", "config.json", "--threads", "1", "--output-dir", "run", "--plugin-dir", "more"];
    let trained = work.run(&train).ends_with(0);
    assert!(!trained.stderr.contains("more/lib"), "what is not used is not worth a word: {trained}");
}

#[test]
fn a_plugin_whose_library_does_not_open_ends_with_3() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    fs::write(work.at("bin/libkiwi_optimizers.so"), without_root("optimizers")).unwrap();
    let refused = work.try_train("run", &[]).ends_with(3);
    let _ = refused.says(&["the plugin `kiwi-optimizers` cannot be used", "libkiwi_optimizers.so"]);
    assert!(!work.at("run").exists());
    let list = work.run(&["plugins", "list"]).ends_with(0);
    assert!(list.stdout.contains("kiwi-optimizers 0.1.0"), "listing opens nothing: {list}");

    // One that the config does not use is not opened.
    let work = Workplace::with_copied_program(&BUILT_IN);
    fs::write(work.at("bin/libkiwi_misbehaving.so"), without_root("misbehaving")).unwrap();
    let _ = work.train("run", &[("trainer.max_steps", json!(1))]);
    let refused = work.try_train("used", &[("system.metrics", json!(["MisbehavingMetric"]))]).ends_with(3);
    let _ = refused.says(&["the plugin `kiwi-misbehaving` cannot be used", "libkiwi_misbehaving.so"]);
}

/// The bytes of a plugin that says all about itself as before, but whose root nobody finds.
fn without_root(plugin: &str) -> Vec<u8> {
    let mut bytes = fs::read(built::plugin_file(plugin)).unwrap();
    let symbol = b"kiwi_plugin_root\0";
    let places: Vec<usize> = bytes
        .windows(symbol.len())
        .enumerate()
        .filter(|(_, window)| window == symbol)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] = b'K';
    }
    bytes
}

#[test]
fn listing_and_inspecting_tell_what_plugins_say() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let inspected = work.run(&["plugins", "inspect", "kiwi-optimizers"]).ends_with(0);
    for part in ["kiwi-optimizers", "0.1.0", "torch", "2.11", "usable            yes", "adam", "sgd"] {
        assert!(inspected.stdout.contains(part), "no {part:?}: {inspected}");
    }
    let listed = work.run(&["plugins", "list", "--format", "json"]).ends_with(0);
    let plugins: Vec<serde_json::Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = plugins.iter().map(|plugin| plugin["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["kiwi-encoders", "kiwi-heads", "kiwi-metrics", "kiwi-optimizers"]);
    assert!(plugins.iter().all(|plugin| plugin["status"] == "usable"), "{listed}");
}

#[test]
fn host_and_engine_depend_on_no_plugin() {
    for package in ["kiwi-host", "kiwi-engine"] {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--package",
                package,
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--offline",
                "--locked",
            ])
            .current_dir(built::root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        assert!(tree.contains("kiwi-core "), "{tree}");
        for plugin in fs::read_dir(built::root().join("plugins")).unwrap() {
            let manifest = fs::read_to_string(plugin.unwrap().path().join("Cargo.toml")).unwrap();
            let name = manifest
                .lines()
                .find_map(|line| line.strip_prefix("name = "))
                .unwrap()
                .trim_matches('"')
                .to_owned();
            assert!(
                !tree.lines().any(|line| line.starts_with(&format!("{name} "))),
                "{package} depends on {name}"
            );
        }
    }
}
