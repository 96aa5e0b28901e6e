//! Plugins built against each version of the plugin API, in hosts of each: an old plugin is loaded by every later host, a new one by an
//! old host if it uses only what that has, and else refused with the reason. What was released stays as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiwi_plugin_api::API_VERSION;
use kiwi_tests::built;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// A host and plugins built against one version of the API.
struct Built {
    host: PathBuf,
    plugin: PathBuf,
    /// The plugin that uses what this version added, where it added something.
    newest: Option<PathBuf>,
}

fn archives() -> PathBuf {
    built::root().join("tests/api-versions")
}

/// The versions that were released, in order, as their archives are named.
fn released() -> Vec<String> {
    let entries = fs::read_dir(archives()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut versions: Vec<String> = entries
        .filter_map(|name| name.to_str().unwrap().strip_suffix(".tar.gz").map(str::to_owned))
        .filter(|version| version != API_VERSION)
        .collect();
    versions.sort();
    assert!(!versions.is_empty(), "there are archives of earlier versions");
    versions
}

/// The sources of a version: what is here, or its archive, unpacked.
fn sources(version: &str, folder: &Path) -> PathBuf {
    if version == API_VERSION {
        return built::root();
    }
    let sources = folder.join("sources");
    if sources.exists() {
        fs::remove_dir_all(&sources).unwrap();
    }
    fs::create_dir_all(&sources).unwrap();
    let archive = archives().join(format!("{version}.tar.gz"));
    let unpacked = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&sources).status().unwrap();
    assert!(unpacked.success());
    sources
}

/// Writes a workspace of the two crates over a version of the API and builds it.
fn build(version: &str) -> Built {
    let target = built::folder().parent().unwrap();
    let folder = target.join("api-versions").join(version);
    fs::create_dir_all(&folder).unwrap();
    let api = sources(version, &folder).join("plugin-api").display().to_string();
    // Beside the sources: what lies below a workspace is taken for its member.
    let folder = folder.join("probe");
    let has_newest = version == API_VERSION;
    let features = if has_newest { "newest = [\"kiwi-plugin-api/v1_1\"]" } else { "newest = []" };
    let manifest = |name: &str, library: &str, dependencies: &str| {
        format!(
            "[package]\nname = \"probe-{name}\"\nversion = \"0.3.0\"\nedition = \"2024\"\ndescription = \"For tests\"\n\
             license = \"MIT\"\nauthors = [\"tests\"]\n{library}\n[features]\n{features}\n\
             [dependencies]\nkiwi-plugin-api = {{ path = {api:?} }}\ntch = \"=0.24.0\"\n{dependencies}"
        )
    };
    let of_host = format!(
        "kiwi-plugin-metadata = {{ path = \"{api}/metadata\" }}\nobject = {{ version = \"0.40\", default-features = false, \
         features = [\"read_core\", \"elf\", \"std\"] }}\nserde_json = \"1\"\n"
    );
    let of_plugin = "schemars = \"1.2\"\nserde = { version = \"1\", features = [\"derive\"] }\n";
    let crates = [
        ("plugin", "lib.rs", manifest("plugin", "[lib]\ncrate-type = [\"cdylib\"]\n", of_plugin)),
        ("host", "main.rs", manifest("host", "", &of_host)),
    ];
    for (name, source, manifest) in crates {
        write(&folder.join(name).join("Cargo.toml"), manifest.as_bytes());
        let from = archives().join(name).join("src").join(source);
        write(&folder.join(name).join("src").join(source), &fs::read(from).unwrap());
    }
    // The workspace's profile and lock, so that what it has built already is built.
    write(
        &folder.join("Cargo.toml"),
        b"[workspace]\nmembers = [\"host\", \"plugin\"]\nresolver = \"3\"\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n[profile.dev.package.\"*\"]\nopt-level = 1\ndebug = false\n",
    );
    fs::copy(built::root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let cargo = |arguments: &[&str]| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet"])
            .args(arguments)
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env("CARGO_BUILD_BUILD_DIR", target)
            .env("LIBTORCH", built::libtorch())
            .status()
            .unwrap();
        assert!(built.success(), "version {version} does not build");
    };
    let keep = |name: &str, as_name: &str| {
        let kept = folder.join(as_name);
        fs::copy(folder.join("target/debug").join(name), &kept).unwrap();
        kept
    };
    cargo(&["--package", "probe-plugin"]);
    let plugin = keep("libprobe_plugin.so", "libprobe_plugin.so");
    let newest = has_newest.then(|| {
        cargo(&["--package", "probe-plugin", "--features", "newest"]);
        fs::create_dir_all(folder.join("newest")).unwrap();
        keep("libprobe_plugin.so", "newest/libprobe_plugin.so")
    });
    cargo(if has_newest {
        &["--package", "probe-host", "--features", "newest"]
    } else {
        &["--package", "probe-host"]
    });
    Built { host: keep("probe-host", "probe-host"), plugin, newest }
}

/// Writes a file unless it is as it should be, so that cargo sees what has changed.
fn write(file: &Path, content: &[u8]) {
    if !fs::read(file).is_ok_and(|found| found == content) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
}

/// What a host of one version makes of a plugin.
fn tried(host: &Path, plugin: &Path) -> Value {
    let output = Command::new(host)
        .arg(plugin)
        .env("LD_LIBRARY_PATH", built::libtorch().join("lib"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{} with {}: {} {said}",
        host.display(),
        plugin.display(),
        output.status
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One test, since what is built is what takes long.
#[test]
fn plugins_of_each_version_fit_hosts_of_each() {
    let versions = released().into_iter().chain([API_VERSION.to_owned()]);
    let versions = versions.map(|version| (version.clone(), build(&version))).collect();
    hosts_of_each(&versions);
    the_program(&versions);
}

fn hosts_of_each(versions: &BTreeMap<String, Built>) {
    let newest = versions[API_VERSION].newest.as_ref().unwrap();
    let mut losses = Vec::new();
    for host in versions.keys() {
        for (version, built) in versions {
            // One that uses nothing new is loaded everywhere, whichever version it was built with.
            let report = tried(&versions[host].host, &built.plugin);
            let pair = format!("host {host}, plugin {version}: {report}");
            assert_eq!((&report["host"], &report["plugin"]), (&json!(host), &json!(version)), "{pair}");
            assert_eq!((&report["needs"], &report["mismatches"]), (&json!("1.0.0"), &json!([])), "{pair}");
            let trained = &report["trained"];
            assert_eq!((&trained["refused"], &trained["steps"]), (&json!(2), &json!(2)), "{pair}");
            assert_eq!(
                (&trained["carries_state"], &trained["live_handles"]),
                (&json!(true), &json!(0)),
                "{pair}"
            );
            assert_eq!(trained["kept"], Value::Null, "{pair}");
            losses.push(trained["losses"].clone());
        }
        // One that uses what the newest version added needs a host that has it.
        let report = tried(&versions[host].host, newest);
        assert_eq!(report["needs"], json!(API_VERSION), "{report}");
        if host == API_VERSION {
            assert_eq!(report["trained"]["kept"], json!(["mean"]), "{report}");
        } else {
            let reason = format!(
                "needs a host with plugin API {API_VERSION} or a compatible later one, this host has {host}: update kiwi-host, or \
                 rebuild the plugin with kiwi-plugin-api "
            );
            let told = report["mismatches"][0].as_str().unwrap();
            assert!(told.starts_with(&reason), "{report}");
            assert_eq!(report["trained"], Value::Null, "a plugin that is refused is not opened");
        }
    }
    assert!(losses.iter().all(|one| *one == losses[0]), "whoever meets computes the same: {losses:?}");
    assert!(losses[0][1].as_f64() < losses[0][0].as_f64());
}

/// The program trains with plugins of every version.
fn the_program(versions: &BTreeMap<String, Built>) {
    for (version, built) in versions {
        for plugin in [Some(&built.plugin), built.newest.as_ref()].into_iter().flatten() {
            let work = Workplace::with_copied_program(&["encoders", "heads", "optimizers", "metrics"]);
            work.copy(plugin, "bin/libprobe_plugin.so");
            let shown = work.run(&["plugins", "inspect", "probe-plugin"]).ends_with(0);
            assert!(shown.stdout.contains(&format!("plugin API        {version}")), "{shown}");
            let run = work.train(
                "run",
                &[
                    ("trainer.epochs", json!(2)),
                    ("trainer.gradient_accumulation_steps", json!(2)),
                    ("system.model.encoder", json!({"class_name": "ProbeEncoder"})),
                    ("system.model.tlm_outputs", json!({"class_name": "ProbeHead"})),
                    ("system.optimizer", json!({"class_name": "ProbeOptimizer", "learning_rate": 0.5})),
                ],
            );
            let validations = run.validations();
            let value = |index: usize| validations[index].value("val_target_ProbeMetric");
            assert!(value(1) < value(0), "version {version}: {validations:?}");
        }
    }
}

#[test]
fn what_was_released_is_what_is_promised() {
    for version in released() {
        let folder = built::folder().parent().unwrap().join("api-versions/promised").join(&version);
        fs::create_dir_all(&folder).unwrap();
        let sources = sources(&version, &folder);
        let minor: Vec<_> = version.split('.').take(2).collect();
        for kind in ["txt", "json"] {
            let name = format!("plugin-api/abi/{}.{kind}", minor.join("."));
            let promised = fs::read_to_string(sources.join(&name)).unwrap();
            let now = fs::read_to_string(built::root().join(&name)).unwrap();
            assert_eq!(promised, now, "{name} was changed after {version} was released");
        }
    }
}
