//! `schema` and `plugins list --why` of the built program: plugins that answer, and such that end or keep the process that asks them.
//! The engine here is a small C library, and the plugins are files that hold metadata and no code.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "the support module is shared in the way of integration tests")]

mod support;

use std::fs;

use kiwi_core::plugins::probe::{PluginProbe, ProbedComponent};
use kiwi_core::plugins::testing::{component, library, metadata, system, with_component};
use kiwi_core::request::Message;
use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::{Value, json};
use support::{Installation, text};

fn models() -> PluginMetadata {
    PluginMetadata {
        components: vec![component("encoder", "Bag"), component("head", "Out")],
        systems: vec![system("Bags", "Bag", "Out")],
        ..metadata("models")
    }
}

/// What an engine answers that has opened such a plugin.
fn answer() -> String {
    let component = |kind: &str, class: &str, schema: Value| ProbedComponent {
        kind: kind.to_owned(),
        class: class.to_owned(),
        schema,
        accepts_no_options: true,
        has_schedule: false,
    };
    let size =
        json!({"type": "object", "properties": {"size": {"type": "integer"}}, "additionalProperties": false});
    let probe = PluginProbe {
        components: vec![component("encoder", "Bag", size), component("head", "Out", json!({"type": "obj"}))],
        failed: Vec::new(),
    };
    serde_json::to_string(&Message::Data(serde_json::to_string(&probe).unwrap())).unwrap()
}

/// An installation with one plugin, a libtorch, and no engine yet.
fn installation() -> Installation {
    let installation = Installation::new();
    fs::create_dir(installation.at("bin/plugins")).unwrap();
    library(&installation.at("bin/plugins"), "libmodels.so", &models());
    installation.libtorch([2, 11, 0]);
    installation
}

/// An engine whose one function does this.
fn engine(installation: &Installation, body: &str) {
    let source = format!(
        "extern void abort(void); extern void _exit(int); extern unsigned sleep(unsigned);\n\
         extern int puts(const char *); extern long write(int, const void *, unsigned long);\n\
         int kiwi_engine_run(const char *request, unsigned long length, void *send, void *context) {{ {body} }}\n"
    );
    installation.library("bin/libkiwi_engine.so", &source);
}

const SCHEMA: &[&str] = &["schema", "--libtorch", "torch"];

fn encoder_of(schema: &str) -> Value {
    let schema: Value = serde_json::from_str(schema).unwrap();
    schema["$defs"]["encoder.models.Bag"].clone()
}

#[test]
fn a_plugin_is_asked_once_and_the_answer_kept() {
    let installation = installation();
    installation.engine(&[&answer()], 0);
    let first = installation.run(SCHEMA).ends_with(0).stderr_has(&[
        "warning[W0382]: the options of `models::Out` are not described in the schema: `type` at `` of its schema is no type of JSON",
    ]);
    assert_eq!(encoder_of(&first.stdout)["properties"]["size"], json!({"type": "integer"}));
    // Neither engine nor libtorch is needed any more.
    fs::remove_file(installation.at("bin/libkiwi_engine.so")).unwrap();
    let second = installation.run(&["schema"]).ends_with(0);
    assert_eq!(second.stdout, first.stdout);

    // A damaged answer is as none.
    let kept = installation.at("home/.cache/kiwi-host/plugins");
    let version = fs::read_dir(kept).unwrap().next().unwrap().unwrap().path();
    let file = fs::read_dir(version).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    installation.run(SCHEMA).ends_with(2).stderr_has(&["the engine libkiwi_engine.so"]);
    installation.engine(&[&answer()], 0);
    assert_eq!(installation.run(SCHEMA).ends_with(0).stdout, first.stdout);
}

#[test]
fn a_plugin_that_ends_the_process_or_never_answers_is_named_and_its_options_are_open() {
    for (body, said) in [
        ("abort(); return 0;", "it ended the process that asked it (by the signal SIGABRT)"),
        ("*(volatile int *)0 = 1; return 0;", "it ended the process that asked it (by the signal SIGSEGV)"),
        ("_exit(0); return 0;", "it ended the process that asked it (with the exit code 0)"),
        ("write(2, \"out of luck\\n\", 12); _exit(7); return 0;", "(with the exit code 7): out of luck"),
        ("for (;;) sleep(1); return 0;", "it did not answer within 1 s"),
        ("return 0;", "it ended the process that asked it"),
    ] {
        let installation = installation();
        engine(&installation, body);
        let printed =
            installation.run(&[SCHEMA, &["--time-limit", "1"]].concat()).ends_with(0).stderr_has(&[
                "warning[W0382]: the options of the plugin `models` are not described in the schema: ",
                said,
                "libmodels.so",
            ]);
        // Its classes are there all the same.
        let schema: Value = serde_json::from_str(&printed.stdout).unwrap();
        let names = &schema["$defs"]["encoder"]["properties"]["class_name"]["anyOf"];
        assert_eq!(names[0]["const"], "Bag", "{names}");
        assert_eq!(encoder_of(&printed.stdout), Value::Null);
        assert!(!installation.at("home/.cache/kiwi-host").exists(), "nothing is kept of it");
    }
}

#[test]
fn what_a_plugin_prints_is_no_part_of_the_schema() {
    let installation = installation();
    engine(&installation, "puts(\"hello\"); return 0;");
    let printed = installation.run(SCHEMA).ends_with(0);
    assert!(!printed.stdout.contains("hello"), "{printed:?}");
}

#[test]
fn without_libtorch_nothing_can_be_asked() {
    let installation = installation();
    installation.engine(&[&answer()], 0);
    fs::remove_dir_all(installation.at("torch")).unwrap();
    let refused = installation.run(&["schema"]).ends_with(2).stderr_has(&["libtorch"]);
    assert_eq!(refused.stdout, "");
}

#[test]
fn files_that_cannot_be_used_are_left_out_with_a_warning() {
    let installation = installation();
    installation.engine(&[&answer()], 0);
    let old = PluginMetadata { torch: "1.0.0".into(), ..with_component("old", "metric", "Old") };
    library(&installation.at("bin/plugins"), "libold.so", &old);
    let printed = installation.run(SCHEMA).ends_with(0);
    assert!(
        printed.stderr.contains("libold.so is left out of the schema: it is built against torch 1.0.0"),
        "{printed:?}"
    );
    assert!(!printed.stdout.contains("\"Old\""));
}

#[test]
fn a_file_is_replaced_only_if_it_is_such_a_schema() {
    let installation = installation();
    installation.engine(&[&answer()], 0);
    let to = |file: &str| installation.run(&[SCHEMA, &["-o", file]].concat());
    assert_eq!(to("new.json").ends_with(0).stdout, "");
    let schema = fs::read_to_string(installation.at("new.json")).unwrap();
    assert_eq!(encoder_of(&schema)["title"], "Bag");
    fs::write(installation.at("new.json"), schema.replace("Bag", "Sack")).unwrap();
    let _ = to("new.json").ends_with(0);
    assert_eq!(fs::read_to_string(installation.at("new.json")).unwrap(), schema);

    for text in ["{\"title\": \"mine\"}", "notes", ""] {
        installation.write("other.json", text);
        let _ = to("other.json").ends_with(2).stderr_has(&["other.json is there already"]);
        assert_eq!(fs::read_to_string(installation.at("other.json")).unwrap(), text);
    }
    let _ = to(text(&installation.at("bin"))).ends_with(2).stderr_has(&["bin is there already"]);
    let _ = to("missing/new.json").ends_with(2).stderr_has(&["missing/new.json cannot be written"]);
}

#[test]
fn why_a_class_is_found_or_not() {
    let installation = installation();
    let plugins = installation.at("plugins");
    library(&plugins, "libother.so", &with_component("other", "head", "Out"));
    let old = PluginMetadata { torch: "1.0.0".into(), ..with_component("old", "metric", "Old") };
    library(&plugins, "libold.so", &old);
    let why = |arguments: &[&str]| {
        installation.run(&[&["plugins", "list", "--plugin-dir", "plugins", "--why"], arguments].concat())
    };
    let beside = installation.at("bin/plugins");
    why(&["Bag"]).ends_with(0).stdout_has(&[
        &format!("`Bag` as an encoder is `models::Bag` 1.2.3, of {}/libmodels.so\n", beside.display()),
        "`models::Bag` means it whatever else is installed",
        "searched, in this order:\n  plugins (--plugin-dir)\n    libold.so: old 1.2.3, cannot be used: it is built against torch 1.0.0",
        "\n    libother.so: other 1.2.3\n",
        "(the user's data directory): does not exist\n",
        "    libmodels.so: models 1.2.3, registers it as an encoder\n",
    ]);
    why(&["Out"]).ends_with(3).stdout_has(&[
        "`Out` as a head is ambiguous: more than one plugin registers it",
        "write the plugin's name before the class: `other::Out` or `models::Out`",
    ]);
    why(&["models::Out", "--kind", "head"])
        .ends_with(0)
        .stdout_has(&["`models::Out` as a head is `models::Out` 1.2.3", "not used: `other::Out`"]);
    why(&["Bgag"]).ends_with(3).stdout_has(&["nothing named `Bgag` is registered", "did you mean `Bag`?"]);
    why(&["modles::Bag"])
        .ends_with(3)
        .stdout_has(&["did you mean `models::Bag`?", "no usable plugin is named `modles`"]);
    why(&["Bag", "--kind", "metric"]).ends_with(3).stdout_has(&[
        "no metric named `Bag` is registered",
        "`Bag` of the plugin `models` is registered as an encoder",
    ]);
    why(&["Old"])
        .ends_with(3)
        .stdout_has(&["`Old` is registered by ", "which cannot be used: it is built against torch 1.0.0"]);

    let json = why(&["Bag", "--format", "json"]).ends_with(0);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["resolves"], json!(true));
    assert_eq!(json["outcomes"][0]["used"]["qualified"], json!("models::Bag"));
    assert_eq!(json["outcomes"][0]["kind"], json!("encoder"));
    assert_eq!(json["directories"][0]["files"][0]["status"], json!("unusable"));
    let _ = installation.run(&["plugins", "list", "--kind", "head"]).ends_with(2);
}
