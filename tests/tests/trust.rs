//! What a run opens is what it hashed, whatever becomes of the files; who else could change them is told; and nothing brings a
//! second libtorch.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kiwi_tests::built;
use kiwi_tests::interrupted::{differences, results};
use kiwi_tests::other_builds::impersonate;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

/// A run that takes a while, with validations and systems saved on the way.
fn long() -> Vec<(&'static str, Value)> {
    vec![("trainer.epochs", json!(12)), ("system.model.encoder.dropout", json!(0.2))]
}

/// Puts other bytes into the very file, as `cp` and builds do.
fn overwrite(file: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = OpenOptions::new().write(true).truncate(true).open(file).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_run_goes_on_with_what_it_opened_whatever_becomes_of_the_files() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let whole = work.train("whole", &long());
    assert!(results(&whole.directory).len() >= 2);

    let mut running = work.begin("disturbed", &long(), &[]);
    running.wait_for(" step 1:");
    let mapped = running.mapped();
    for plugin in BUILT_IN {
        let name = format!("libkiwi_{plugin}.so");
        let named: Vec<_> = mapped.iter().filter(|file| file.contains(&name)).collect();
        assert!(!named.is_empty(), "people who look find {name}: {mapped:?}");
        assert!(named.iter().all(|file| file.starts_with("/memfd:")), "no file is mapped: {named:?}");
    }
    let at = |plugin: &str| work.at(&format!("bin/libkiwi_{plugin}.so"));
    overwrite(&at("encoders"), b"cut");
    overwrite(&at("heads"), b"");
    overwrite(&at("optimizers"), &vec![0xCC; 4 << 20]);
    fs::remove_file(at("metrics")).unwrap();
    assert!(!running.ends_within(Duration::ZERO), "the run was to be disturbed: {}", running.said());
    assert_eq!(running.end(), 0, "{}", running.said());
    assert_eq!(differences(&whole.directory, &work.at("disturbed")), [""; 0]);
}

#[test]
fn a_plugin_that_is_replaced_again_and_again_is_taken_whole_or_refused() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let file = work.at("bin/libkiwi_optimizers.so");
    let one = fs::read(&file).unwrap();
    let other = [&one[..], b"another build"].concat();
    work.write("config.json", &config_with(&[("trainer.max_steps", json!(1))]).to_string());
    let done = AtomicBool::new(false);
    let mut ended = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let started = Instant::now();
            while !done.load(Ordering::Relaxed) && started.elapsed() < Duration::from_secs(200) {
                for bytes in [&other, &one] {
                    overwrite(&file, bytes);
                    std::thread::sleep(Duration::from_millis(37));
                }
            }
        });
        for run in 0..8 {
            let directory = format!("run-{run}");
            let arguments = ["train", "config.json", "--threads", "1", "--output-dir", &directory];
            // No crash, whatever it met.
            ended.push(work.run(&arguments));
        }
        done.store(true, Ordering::Relaxed);
    });
    for outcome in ended {
        match outcome.code {
            Some(0) => {}
            _ => {
                let outcome = outcome.ends_with(3);
                let told =
                    ["has changed", "replaced by another", "is no longer what it was", "no optimizer named"];
                assert!(told.iter().any(|text| outcome.stderr.contains(text)), "{outcome}");
            }
        }
    }
}

#[test]
fn libraries_that_a_plugin_carries_beside_it_are_found_and_copied_too() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    let plain = Workplace::with_copied_program(&BUILT_IN);
    let plain_run = plain.train("run", &long());
    // The optimizers lie in a folder of their own, in a library that has no name but its file's; the plugin only needs it.
    let parts = work.at("bin/lib/parts");
    let carried = work.copy(&built::plugin_file("optimizers"), "bin/lib/parts/libcarried.so");
    let (search, origin) = (format!("-L{}", parts.display()), "-Wl,-rpath,$ORIGIN/lib/parts");
    let options = ["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", &search, "-l:libcarried.so", origin];
    impersonate(&carried, &work.at("bin/libkiwi_optimizers.so"), "", &options);

    let temporary = work.at("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut running = work.begin_with("run", &long(), &[], &[("TMPDIR", temporary.to_str().unwrap())]);
    running.wait_for(" step 1:");
    let mapped = running.mapped();
    assert!(mapped.iter().any(|file| file.starts_with("/memfd:libcarried.so")), "{mapped:?}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "what the opening took is gone");
    overwrite(&carried, b"cut");
    assert_eq!(running.end(), 0, "{}", running.said());
    assert_eq!(tensors_of(&plain_run.directory), tensors_of(&work.at("run")));

    let refused = work.try_train("again", &[]).ends_with(3);
    let _ =
        refused.says(&["libcarried.so, which it carries,", "the plugin `kiwi-optimizers` cannot be used"]);
}

/// The bytes of the tensors of the saved systems; the plugins that they name are others.
fn tensors_of(directory: &Path) -> Vec<Vec<u8>> {
    let files = kiwi_tests::trained::all_files(&directory.join("checkpoints"));
    let systems = files.iter().filter(|file| file.extension().is_some_and(|one| one == "safetensors"));
    let tensors = systems.map(|file| {
        let bytes = fs::read(file).unwrap();
        let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        bytes[8 + header..].to_vec()
    });
    tensors.collect()
}

#[test]
fn plugins_that_others_can_change_are_told_if_a_run_uses_them() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let mode = |name: &str, mode| fs::set_permissions(work.at(name), Permissions::from_mode(mode)).unwrap();
    work.copy(&built::plugin_file("metrics"), "metrics/libkiwi_metrics.so");
    fs::remove_file(work.at("bin/libkiwi_metrics.so")).unwrap();
    work.copy(&built::swapped_optimizer(), "unused/libunused.so");
    // The home for temporary files is everyone's.
    for (name, bits) in
        [("bin", 0o755), ("metrics", 0o777), ("unused", 0o777), ("bin/libkiwi_heads.so", 0o664)]
    {
        mode(name, bits);
    }
    let (config, directories) = ("config.json", ["--plugin-dir", "metrics", "--plugin-dir", "unused"]);
    let optimizer = ("system.optimizer.class_name", json!("kiwi-optimizers::adam"));
    work.write(config, &config_with(&[("trainer.max_steps", json!(1)), optimizer]).to_string());
    let train = |output: &str, more: &[&str]| {
        let own = ["train", config, "--threads", "1", "--output-dir", output];
        work.run(&[&own[..], &directories, more].concat()).ends_with(0)
    };
    // The directory that only the head's metrics come from is among them.
    let (heads, metrics) = (work.at("bin/libkiwi_heads.so"), work.at("metrics"));
    let told = [
        format!("warning[W0381]: the plugin file {} can be changed by its group", heads.display()),
        format!("chmod g-w {}", heads.display()),
        format!("warning[W0381]: the plugin directory {} can be changed by everyone", metrics.display()),
        "mode 0777, owner ".to_owned(),
        format!("chmod go-w {}", metrics.display()),
    ];
    let warned = train("run", &[]);
    let parts: Vec<_> = told.iter().map(String::as_str).collect();
    let warned = warned.says(&parts);
    assert_eq!(warned.stderr.matches("can be changed by").count(), 2, "each once: {warned}");
    let log = fs::read_to_string(work.at("run/output.log")).unwrap();
    assert!(log.contains("can be changed by everyone"), "{log}");

    // Who is held to a lock uses what was agreed on.
    let lock = [&["plugins", "lock", config][..], &directories].concat();
    let locked = work.run(&lock).ends_with(0);
    locked.says(&["bin/libkiwi_heads.so can be changed by its group"]);
    let held = train("held", &["--locked"]);
    assert!(!held.stderr.contains("can be changed"), "{held}");

    // Looking at plugins shows it for all.
    let list = work.run(&[&["plugins", "list"][..], &directories].concat()).ends_with(0);
    for name in ["metrics", "unused"] {
        let line =
            format!("warning: the plugin directory {} can be changed by everyone", work.at(name).display());
        assert!(list.stdout.contains(&line), "{list}");
    }
    let inspected =
        work.run(&["plugins", "inspect", heads.to_str().unwrap(), "--format", "json"]).ends_with(0);
    let facts: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert!(facts["warnings"][0].as_str().unwrap().ends_with(&told[1]), "{facts}");

    for (name, bits) in [("metrics", 0o755), ("bin/libkiwi_heads.so", 0o644)] {
        mode(name, bits);
    }
    let clean = train("clean", &[]);
    assert!(!clean.stderr.contains("can be changed"), "what nobody uses is not worth a word: {clean}");
}

#[test]
fn a_plugin_with_a_libtorch_of_its_own_is_refused_before_it_is_opened() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    let real = built::plugin_file("optimizers");
    let plugin = work.at("bin/libkiwi_optimizers.so");
    // Whoever opens it finds a file written.
    let trap = format!(
        "#include <fcntl.h>\n__attribute__((constructor)) static void trap(void) {{ open(\"{}\", O_CREAT | O_WRONLY, 0600); }}\n",
        work.at("opened").display()
    );
    let empty = work.write("torch/empty.c", "");
    let wheel = work.at("torch/libtorch_cpu-1a2b3c4d.so");
    let made = std::process::Command::new("cc")
        .args(["-shared", "-Wl,-soname,libtorch_cpu-1a2b3c4d.so", "-o"])
        .args([&wheel, &empty])
        .status();
    assert!(made.unwrap().success());
    let own = format!("{trap}int _ZN3c1019UndefinedTensorImpl10_singletonE;");
    let cases: [(&str, &[&str], &str); 2] = [
        (
            &own,
            &[],
            "has a libtorch of its own linked into it (it defines `_ZN3c1019UndefinedTensorImpl10_singletonE`)",
        ),
        (
            &trap,
            &["-Wl,--no-as-needed", wheel.to_str().unwrap()],
            "needs `libtorch_cpu-1a2b3c4d.so`, a libtorch of its own, expected `libtorch_cpu.so`",
        ),
    ];
    for (code, options, said) in cases {
        let _ = fs::remove_file(&plugin);
        impersonate(&real, &plugin, code, options);
        let refused = work.try_train("run", &[]).ends_with(3);
        refused.says(&[
            "no optimizer named `adam` is registered",
            "`adam` is registered by ",
            "which cannot be used: it",
            said,
        ]);
        let inspected = work.run(&["plugins", "inspect", plugin.to_str().unwrap()]).ends_with(3);
        assert!(
            inspected.stdout.contains(said) && inspected.stdout.contains("kiwi-optimizers"),
            "{inspected}"
        );
        let listed = work.run(&["plugins", "list"]).ends_with(0);
        assert!(listed.stdout.contains(said), "{listed}");
        let checked = work.run(&["plugins", "check", plugin.to_str().unwrap(), "--quiet"]).ends_with(3);
        assert!(checked.stdout.contains("FAIL  ") && checked.stdout.contains(said), "{checked}");
    }
    assert!(!work.at("opened").exists(), "nothing of it was run");

    // One that would open another part of another libtorch: by name alone that is not to be seen, by where it lies it is.
    let shell = work.at("torch/libtorch.so");
    let made = std::process::Command::new("cc")
        .args(["-shared", "-Wl,-soname,libtorch.so", "-o"])
        .args([&shell, &empty])
        .status();
    assert!(made.unwrap().success());
    let rpath = format!("-Wl,-rpath,{}", work.at("torch").display());
    fs::remove_file(&plugin).unwrap();
    impersonate(&real, &plugin, &trap, &["-Wl,--no-as-needed", shell.to_str().unwrap(), &rpath]);
    let refused = work.try_train("run", &[]).ends_with(3);
    refused.says(&["it would open ", "torch/libtorch.so, a library of another libtorch than the host's"]);
    assert!(!work.at("opened").exists(), "nothing of it was run");
}

#[test]
fn a_search_path_to_another_libtorch_is_harmless() {
    let work = Workplace::with_copied_program(&["encoders", "heads", "metrics"]);
    let carried = work.copy(&built::plugin_file("optimizers"), "parts/libcarried.so");
    // A libtorch_cpu that is none: whoever opens it cannot go on.
    let poison = work
        .write("torch/poison.c", "__attribute__((constructor)) static void end(void) { __builtin_trap(); }");
    let other = work.at("torch/libtorch_cpu.so");
    let made = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libtorch_cpu.so", "-o"])
        .args([&other, &poison])
        .status();
    assert!(made.unwrap().success());
    let search = format!("-L{}", work.at("parts").display());
    let rpath = format!("-Wl,-rpath,{}:{}", work.at("torch").display(), work.at("parts").display());
    for dtags in ["-Wl,--enable-new-dtags", "-Wl,--disable-new-dtags"] {
        let plugin = work.at("bin/libkiwi_optimizers.so");
        let _ = fs::remove_file(&plugin);
        let (torch, allow) = (other.to_str().unwrap(), "-Wl,--allow-shlib-undefined");
        let options = ["-Wl,--no-as-needed", allow, dtags, torch, &search, "-l:libcarried.so", &rpath];
        impersonate(&carried, &plugin, "", &options);
        let _ = work.train(dtags.trim_start_matches("-Wl,--"), &[("trainer.max_steps", json!(1))]);
    }
}
