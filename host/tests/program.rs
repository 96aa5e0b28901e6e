//! The built program: what it says, where, and the code it exits with. Neither libtorch nor the real engine is needed.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "the support module is shared in the way of integration tests")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use kiwi_core::exit_code::ExitCode;
use kiwi_core::plugins::testing::{component, library, metadata, system, with_component};
use kiwi_core::saved_system::{self, Part, PluginIdentity, SystemHeader};
use kiwi_core::{config, environment};
use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::{Value, json};
use support::{Installation, Outcome, text};

fn models() -> PluginMetadata {
    PluginMetadata {
        components: vec![
            component("encoder", "PredictorEncoder"),
            component("head", "TLMOutputs"),
            component("optimizer", "adam"),
        ],
        systems: vec![system("Predictor", "PredictorEncoder", "TLMOutputs")],
        ..metadata("models")
    }
}

/// An installation that has all that the example config asks for, in `plugins` beside the program.
fn complete() -> Installation {
    let installation = Installation::new();
    fs::create_dir(installation.at("bin/plugins")).unwrap();
    library(&installation.at("bin/plugins"), "libmodels.so", &models());
    installation.write("config.json", config::example());
    installation
}

fn saved(installation: &Installation) -> String {
    let part = |class: &str| Part {
        class_name: class.to_owned(),
        config: json!({}),
        plugin: PluginIdentity { name: "models".into(), version: "1.2.3".into(), sha256: String::new() },
        extra: None,
    };
    let header = SystemHeader {
        class_name: "Predictor".to_owned(),
        encoder: part("PredictorEncoder"),
        head: part("TLMOutputs"),
        data_processing: json!({}),
        training: None,
        source_vocabulary: Vec::new(),
        target_vocabulary: Vec::new(),
    };
    let path = installation.at("saved.safetensors");
    saved_system::write(&path, &header, []).unwrap();
    text(&path).to_owned()
}

#[test]
fn versions_are_told() {
    let installation = Installation::new();
    let version = env!("CARGO_PKG_VERSION");
    let short = installation.run(&["-V"]).ends_with(0);
    assert_eq!(short.stdout, format!("kiwi-host {version}\n"));
    installation.run(&["--version"]).ends_with(0).stdout_has(&[version, "plugin API ", "torch 2.11"]);
}

#[test]
fn the_help_lists_exit_codes_and_environment() {
    let help = Installation::new().run(&["--help"]).ends_with(0);
    for (code, meaning) in ExitCode::ALL {
        assert!(help.stdout.contains(&format!("{:>5}  ", code.number())), "{}", help.stdout);
        assert!(help.stdout.contains(meaning), "{}", help.stdout);
    }
    for variable in environment::ALL {
        assert!(help.stdout.contains(variable.name), "{}", help.stdout);
    }
    assert_eq!(help.stderr, "");
}

#[test]
fn wrong_usage_ends_with_2() {
    let installation = Installation::new();
    for arguments in [
        &["trian"][..],
        &["train"],
        &["train", "c.json", "--set", "trainer.epochs"],
        &["score", "s", "--source", "a"],
        &["evaluate", "s", "--source", "a", "--target", "b", "--batch-size", "0"],
        &["plugins", "list", "--format", "xml"],
        &["plugins", "list", "-q", "-v"],
    ] {
        let outcome = installation.run(arguments).ends_with(2).stderr_has(&["error: "]);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
    }
}

#[test]
fn the_example_is_a_config_that_runs() {
    let installation = complete();
    let example = installation.run(&["train", "--example"]).ends_with(0);
    assert_eq!(example.stdout.trim_end(), config::example().trim_end());
    installation.write("mine.json", &example.stdout);
    // All that is missing is the engine: config and names are right.
    let torch = installation.libtorch([2, 11, 0]);
    installation.run(&["train", "mine.json", "--libtorch", text(&torch)]).ends_with(2).stderr_has(&[
        "error[E0503]: the engine libkiwi_engine.so",
        "looked for ",
        "cargo build -p kiwi-engine",
    ]);
}

#[test]
fn without_plugins_the_places_searched_are_listed() {
    let installation = Installation::new();
    let list = installation.run(&["plugins", "list"]).ends_with(0).stdout_has(&[
        "no plugins that can be used",
        "home/.local/share/kiwi-host/plugins (the user's data directory): not there",
        "bin/plugins (beside the program): not there",
        "lib/kiwi-host/plugins (beside the program): not there",
    ]);
    assert_eq!(list.stderr, "");
    let json = installation.run(&["plugins", "list", "--format", "json"]).ends_with(0);
    assert_eq!(json.stdout, "");
}

#[test]
fn broken_files_are_listed_with_the_reason_and_are_no_failure() {
    let installation = complete();
    let plugins = installation.at("plugins");
    fs::write(plugins.join("libempty.so"), "").unwrap();
    fs::write(plugins.join("libtext.so"), "text").unwrap();
    library(&plugins, "libold.so", &PluginMetadata { torch: "2.9.1".into(), ..metadata("old") });
    library(&plugins, "libmodels.so", &with_component("models", "encoder", "Other"));
    let whole = fs::read(plugins.join("libold.so")).unwrap();
    fs::write(plugins.join("libtruncated.so"), &whole[..whole.len() / 2]).unwrap();
    let newer = PluginMetadata { minimum_host_api: "9.1.0".into(), ..metadata("newer") };
    library(&plugins, "libnewer.so", &newer);
    let elsewhere = PluginMetadata { target: "aarch64-unknown-linux-gnu".into(), ..metadata("elsewhere") };
    library(&plugins, "libelsewhere.so", &elsewhere);
    let mut other = whole;
    // The processor of an ELF file stands in its bytes 18 and 19; 183 is AArch64.
    other[18..20].copy_from_slice(&183_u16.to_le_bytes());
    fs::write(plugins.join("libarm.so"), other).unwrap();
    let arguments = ["--plugin-dir", text(&plugins), "plugins", "list"];

    let list = installation.run(&arguments).ends_with(0).stdout_has(&[
        "models 1.2.3  ",
        "  encoder    Other",
        "plugins/libempty.so: it is empty",
        "plugins/libtext.so: it is a text file, not an ELF shared library",
        "plugins/libold.so: it is built against torch 2.9.1, this host needs torch 2.11.*",
        "plugins/libtruncated.so: it is a truncated or damaged ELF file",
        "plugins/libnewer.so: it needs a host with plugin API 9.1.0 or a compatible later one",
        "update kiwi-host, or rebuild the plugin",
        "plugins/libelsewhere.so: it is built for the target aarch64-unknown-linux-gnu",
        "plugins/libarm.so: it is built for aarch64, this host runs on",
        "not used: ",
        "another plugin of this name",
    ]);
    assert_eq!(list.stderr, "");

    let json = installation.run(&[&arguments[..], &["--format", "json"]].concat()).ends_with(0);
    let lines: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |status: &str| lines.iter().filter(|line| line["status"] == status).collect::<Vec<_>>();
    assert_eq!(of("usable").len(), 1);
    assert_eq!(of("usable")[0]["metadata"]["components"][0]["class"], "Other");
    assert_eq!(of("hidden")[0]["file"], text(&installation.at("bin/plugins/libmodels.so")));
    assert_eq!(of("unusable").len(), 7);
}

#[test]
fn directories_that_were_named_must_be_there() {
    let installation = complete();
    installation.run(&["plugins", "list", "--plugin-dir", "absent"]).ends_with(2).stderr_has(&[
        "error[E0307]: the plugin directory absent does not exist",
        "help: correct --plugin-dir",
    ]);
    let mut command = installation.command(&["plugins", "list"]);
    Outcome::of(command.env("KIWI_PLUGIN_PATH", "absent:plugins"))
        .ends_with(0)
        .stderr_has(&["warning[W0307]: the plugin directory absent does not exist"])
        .stdout_has(&["models 1.2.3"]);
}

#[test]
fn a_plugin_is_inspected_by_file_or_name() {
    let installation = complete();
    let file = installation.at("bin/plugins/libmodels.so");
    let by_file = installation.run(&["plugins", "inspect", text(&file)]).ends_with(0);
    let by_name = installation.run(&["plugins", "inspect", "models"]).ends_with(0);
    assert_eq!(by_file.stdout, by_name.stdout);
    let by_file =
        by_file.stdout_has(&["name              models", "license           MIT", "usable            yes"]);
    let hash = std::process::Command::new("sha256sum").arg(&file).output().unwrap().stdout;
    let hash = String::from_utf8(hash).unwrap();
    by_file.stdout_has(&[hash.split_whitespace().next().unwrap()]);

    let json = installation.run(&["plugins", "inspect", "models", "--format", "json"]).ends_with(0);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["usable"], true);
    assert_eq!(json["metadata"]["systems"][0]["encoder"], "PredictorEncoder");

    installation
        .run(&["plugins", "inspect", "modles"])
        .ends_with(2)
        .stderr_has(&["did you mean `models`?", "expected: a file, or one of models"]);
    library(
        &installation.at("plugins"),
        "liba.so",
        &PluginMetadata { panic: "abort".into(), ..metadata("a") },
    );
    installation
        .run(&["plugins", "inspect", "plugins/liba.so"])
        .ends_with(3)
        .stdout_has(&["usable            no", "it is built with panic = \"abort\""]);
    installation
        .run(&["plugins", "inspect", "config.json"])
        .ends_with(3)
        .stdout_has(&["it is a text file", "usable            no"]);
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let installation = Installation::new();
    let many = (0..4000).map(|i| component("metric", &format!("Metric{i}"))).collect();
    library(&installation.at("plugins"), "liba.so", &PluginMetadata { components: many, ..metadata("a") });
    let mut command = installation.command(&["plugins", "list", "--plugin-dir", "plugins"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with("a 1.2.3"), "{first}");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn what_is_wrong_with_a_config_is_told_without_libtorch() {
    let installation = complete();
    installation.run(&["train", "absent.json"]).ends_with(2).stderr_has(&["error[E0106]: ", "absent.json"]);
    let mut command = installation.command(&["train", "config.json", "--set", "trainer.epochs=0"]);
    let outcome = Outcome::of(command.env("LIBTORCH", "/nonexistent")).ends_with(2);
    let outcome = outcome.stderr_has(&["trainer.epochs"]);
    assert!(!outcome.stderr.contains("LIBTORCH"), "{outcome:#?}");
}

#[test]
fn classes_that_nobody_registers_end_with_3_all_at_once() {
    let installation = complete();
    let config = config::example().replace("\"Predictor\"", "\"Predictr\"").replace("\"adam\"", "\"adm\"");
    installation.write("config.json", &config);
    installation.run(&["train", "config.json"]).ends_with(3).stderr_has(&[
        "error[E0301]: no system named `Predictr` is registered\n  --> config.json:",
        "  system.class_name\n  found: \"Predictr\"\n  expected: one of the registered systems: Predictor (models 1.2.3)",
        "did you mean `Predictor`?",
        "note: plugins found: models 1.2.3",
        "error[E0301]: no optimizer named `adm` is registered",
        "did you mean `adam`?",
    ]);
}

#[test]
fn a_libtorch_that_is_missing_or_wrong_is_told() {
    let installation = complete();
    let train = ["train", "config.json"];
    installation.run(&train).ends_with(2).stderr_has(&[
        "error[E0501]: no libtorch 2.11.* was found",
        "note: looked at ",
        "the active virtual environment: none, VIRTUAL_ENV is not set",
        "help: get one with `cargo xtask setup`",
    ]);
    let mut command = installation.command(&train);
    Outcome::of(command.env("LIBTORCH", "/nonexistent"))
        .ends_with(2)
        .stderr_has(&["error[E0501]: LIBTORCH names /nonexistent, which does not exist"]);

    // It has no file that tells its version, so the library itself is asked.
    installation.engine(&[], 0);
    let torch = installation.libtorch([2, 9, 1]);
    installation
        .run(&["train", "config.json", "--libtorch", text(&torch)])
        .ends_with(2)
        .stderr_has(&["found: torch 2.9.1", "expected: torch 2.11.*"]);
    fs::write(torch.join("lib/libtorch_cpu.so"), "text ".repeat(99)).unwrap();
    installation
        .run(&["train", "config.json", "--libtorch", text(&torch)])
        .ends_with(2)
        .stderr_has(&["cannot be opened", "invalid ELF header"]);
}

#[test]
fn what_the_engine_says_is_printed_and_its_code_is_the_end() {
    let installation = complete();
    let torch = installation.libtorch([2, 11, 0]);
    installation.engine(
        &[
            r#"{"message":"diagnostics","content":[{"severity":"warning","code":281,"message":"odd lines","path":null,"location":null,"found":null,"expected":null,"nearest":null,"notes":[],"help":null}]}"#,
            r#"{"message":"data","content":"{\"PERP\": 3.5}"}"#,
            "nonsense",
        ],
        75,
    );
    let outcome = installation.run(&["train", "config.json", "--libtorch", text(&torch)]).ends_with(75);
    assert_eq!(outcome.stdout, "{\"PERP\": 3.5}\n");
    outcome.stderr_has(&["warning[W0281]: odd lines\n", "does not understand\n  found: nonsense"]);
}

#[test]
fn the_engine_gets_the_request_as_it_was_made() {
    let installation = complete();
    let torch = installation.libtorch([2, 11, 0]);
    // This engine writes its request where the environment says.
    installation.library(
        "bin/libkiwi_engine.so",
        "extern void *fopen(const char *, const char *); extern int fclose(void *);\n\
         extern unsigned long fwrite(const void *, unsigned long, unsigned long, void *);\n\
         int kiwi_engine_run(const char *request, unsigned long length, void *send, void *context) {\n\
             void *file = fopen(\"request\", \"w\"); fwrite(request, 1, length, file); return fclose(file);\n\
         }\n",
    );
    let received =
        || -> Value { serde_json::from_slice(&fs::read(installation.at("request")).unwrap()).unwrap() };
    let common = ["--libtorch", text(&torch), "--threads", "3", "-v", "--color", "always"];

    let train = ["train", "config.json", "--set", "run.seed=7", "--output-dir", "out"];
    installation.run(&[&train[..], &common].concat()).ends_with(0);
    let request = received();
    assert_eq!(request["command"], "train");
    assert_eq!(request["config"], "config.json");
    assert_eq!(request["overrides"], json!([["run.seed", "7"]]));
    assert_eq!(request["output_dir"], "out");
    assert_eq!(request["common"]["threads"], 3);
    assert_eq!(request["common"]["verbosity"], "verbose");
    assert_eq!(request["common"]["color"], true);
    assert_eq!(request["common"]["interactive"], false);

    let system = saved(&installation);
    let corpus = [&system[..], "--source", "a", "--target", "b"];
    installation.run(&[&["evaluate"], &corpus[..], &common].concat()).ends_with(0);
    let request = received();
    assert_eq!((&request["command"], &request["format"]), (&json!("evaluate"), &json!("human")));
    assert_eq!(request["batch_size"], 32);
    installation.run(&[&["score"], &corpus[..], &common, &["--batch-size", "5"]].concat()).ends_with(0);
    let request = received();
    assert_eq!((&request["command"], &request["format"]), (&json!("score"), &json!("json")));
    assert_eq!((&request["batch_size"], &request["system"]), (&json!(5), &json!(system)));
}

#[test]
fn a_library_that_is_not_the_engine_is_refused() {
    let installation = complete();
    let torch = installation.libtorch([2, 11, 0]);
    installation.library("bin/libkiwi_engine.so", "int something_else;");
    let train = ["train", "config.json", "--libtorch", text(&torch)];
    installation
        .run(&train)
        .ends_with(2)
        .stderr_has(&["is not the engine of this program", "kiwi_engine_run"]);
    installation
        .library("bin/libkiwi_engine.so", "extern int absent(void); int f(void) { return absent(); }");
    installation.run(&train).ends_with(2).stderr_has(&["cannot be opened", "undefined symbol: absent"]);
}

#[test]
fn scoring_ends_when_nobody_reads_on() {
    let installation = complete();
    let torch = installation.libtorch([2, 11, 0]);
    // This engine never ends by itself.
    installation.library(
        "bin/libkiwi_engine.so",
        "typedef void (*Send)(void *, const char *, unsigned long);\n\
         int kiwi_engine_run(const char *request, unsigned long length, Send send, void *context) {\n\
             static const char line[] = \"{\\\"message\\\":\\\"data\\\",\\\"content\\\":\\\"{}\\\"}\";\n\
             for (;;) send(context, line, sizeof(line) - 1);\n\
         }\n",
    );
    let system = saved(&installation);
    let mut command = installation.command(&["score", &system, "--source", "a", "--target", "b"]);
    let mut child =
        command.env("LIBTORCH", &torch).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "{}\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_system_that_is_none_is_told_without_libtorch() {
    let installation = complete();
    installation.write("text", "no system");
    for (file, part) in [("absent", "absent does not exist"), ("text", "is not a saved system")] {
        let outcome = installation.run(&["score", file, "--source", "a", "--target", "b"]).ends_with(2);
        let outcome = outcome.stderr_has(&[part]);
        assert!(!outcome.stderr.contains("libtorch"), "{outcome:#?}");
    }
}

#[test]
fn colours_are_used_when_wanted_only() {
    let installation = Installation::new();
    let arguments = |when| ["plugins", "inspect", "absent", "--color", when];
    let plain = installation.run(&arguments("auto")).ends_with(2);
    assert!(!plain.stderr.contains('\u{1b}'), "{plain:#?}");
    let mut command = installation.command(&arguments("always"));
    Outcome::of(command.env("NO_COLOR", "1")).stderr_has(&["\u{1b}["]);
    let mut command = installation.command(&arguments("never"));
    let never = Outcome::of(command.env("CLICOLOR_FORCE", "1"));
    assert!(!never.stderr.contains('\u{1b}'), "{never:#?}");
    let mut command = installation.command(&arguments("auto"));
    Outcome::of(command.env("CLICOLOR_FORCE", "1")).stderr_has(&["\u{1b}["]);
}
