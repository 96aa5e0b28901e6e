//! Plugins whose metadata are missing, damaged, from elsewhere or untrue: the run is refused before anything of them is opened, with
//! the file and what is wrong with it. A run that does not use them does not care.

use std::fs;

use kiwi_tests::built;
use kiwi_tests::plugin_files::PluginFile;
use kiwi_tests::workplace::Workplace;
use serde_json::json;

/// What is wrong with the file, the file, and what is said about it.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut file = PluginFile::read("optimizers");
    let edited = |file: &mut PluginFile, edit: &dyn Fn(&mut [u8])| {
        let before = file.bytes.clone();
        edit(file.metadata());
        std::mem::replace(&mut file.bytes, before)
    };
    let field = |file: &PluginFile, key: &str, value: &str, other: &str| file.with(&[(key, value, other)]);
    let minimum = file.value("minimum_host_api");
    let (major, rest) = minimum.split_once('.').unwrap();
    let later = format!("{}.{rest}", major.parse::<u32>().unwrap() + 1);
    let newer = format!("{major}.9.0");
    let target = "x86_64-unknown-linux-gnu";
    let abort = file.with(&[("panic", "unwind", "abort!")]);
    vec![
        ("missing", renamed_section(&file.bytes), "has no section `.kiwi_plugin`"),
        ("cut", file.bytes[..file.bytes.len() / 2].to_vec(), "is a truncated or damaged ELF file"),
        (
            "truncated record",
            edited(&mut file, &|metadata| metadata[12..16].copy_from_slice(&u32::MAX.to_le_bytes())),
            "the metadata is damaged at byte",
        ),
        (
            "random",
            edited(&mut file, &|metadata| {
                for (at, byte) in metadata.iter_mut().enumerate() {
                    *byte = (at as u32 + 1).wrapping_mul(2_654_435_761).to_be_bytes()[0];
                }
            }),
            "the metadata is damaged at byte 0: expected a record",
        ),
        (
            "from the future",
            edited(&mut file, &|metadata| metadata[8..12].copy_from_slice(&7_u32.to_le_bytes())),
            "the metadata has format version 7, and this host reads versions 1 to 1",
        ),
        (
            "ABI major newer",
            field(&file, "minimum_host_api", &minimum, &later),
            "update kiwi-host, or rebuild the plugin",
        ),
        (
            "ABI minor newer",
            field(&file, "minimum_host_api", &minimum, &newer),
            "needs a host with plugin API",
        ),
        (
            "torch 2.10",
            field(&file, "torch", "2.11.0", "2.10.0"),
            "is built against torch 2.10.0, this host needs torch 2.11.*",
        ),
        (
            "other target",
            field(&file, "target", target, "x86_64-unknown-linux-gnx"),
            "is built for the target x86_64-unknown-linux-gnx",
        ),
        ("panic = abort", abort, "expected panic = \"unwind\""),
        (
            "class twice",
            field(&file, "class", "noam", "adam"),
            "the plugin registers the optimizer `adam` twice",
        ),
    ]
}

/// The same file, whose metadata have another section's name.
fn renamed_section(bytes: &[u8]) -> Vec<u8> {
    let name = b".kiwi_plugin\0";
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = bytes
        .windows(name.len())
        .enumerate()
        .filter(|(_, window)| window == name)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 1] = b'x';
    }
    bytes
}

#[test]
fn metadata_that_do_not_fit_refuse_the_run_that_needs_the_plugin_and_no_other() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    let config = kiwi_tests::workplace::config_with(&[("trainer.max_steps", json!(1))]).to_string();
    work.write("config.json", &config);
    let train = ["train", "config.json", "--threads", "1", "--output-dir", "run", "--plugin-dir"];
    let train = |plugins: &str| work.run(&[&train[..], &[plugins]].concat());
    for (what, bytes, said) in cases() {
        let name = what.replace(' ', "_");
        for file in [format!("{name}/libkiwi_optimizers.so"), format!("all/lib{name}.so")] {
            fs::create_dir_all(work.at(&file).parent().unwrap()).unwrap();
            fs::write(work.at(&file), &bytes).unwrap();
        }
        let refused = train(&name).ends_with(3);
        let file = format!("{name}/libkiwi_optimizers.so");
        let refused = refused.says(&["no optimizer named `adam` is registered", &file, said]);
        assert_eq!(refused.stdout, "", "{what}");
        assert!(!work.at("run").exists(), "{what}");
        let checked = work.run(&["plugins", "check", &file, "--quiet"]).ends_with(3);
        for part in ["FAIL  ", said] {
            assert!(checked.stdout.contains(part), "{what}: no {part:?}: {checked}");
        }
    }
    // All of them beside one that is good.
    work.copy(&built::plugin_file("optimizers"), "bin/libkiwi_optimizers.so");
    let trained = train("all").ends_with(0);
    assert!(!trained.stderr.contains("all/lib"), "what is not used is not worth a word: {trained}");
}

#[test]
fn metadata_that_promise_what_the_library_does_not_register_are_found_out() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    let bytes = PluginFile::read("optimizers").with(&[("class", "noam", "naom")]);
    fs::write(work.at("bin/libkiwi_optimizers.so"), bytes).unwrap();
    let refused = work.try_train("run", &[("system.optimizer.class_name", json!("naom"))]).ends_with(3);
    let _ = refused.says(&[
        "the plugin `kiwi-optimizers` cannot be used",
        "its metadata promises the optimizer `naom`, but the opened library does not register it",
    ]);
    assert!(!work.at("run").exists());
    let checked = work.run(&["plugins", "check", "bin/libkiwi_optimizers.so", "--quiet"]);
    assert_ne!(checked.code, Some(0), "{checked}");
    for part in ["FAIL  ", "registry", "naom"] {
        assert!(checked.stdout.contains(part), "no {part:?}: {checked}");
    }
}
