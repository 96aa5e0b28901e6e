//! `doctor` where what it opens misbehaves: libraries that end the process, an engine of another version, one that says nothing. All of
//! it are small C libraries.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "the support module is shared in the way of integration tests")]

mod support;

use serde_json::{Value, json};
use support::{Installation, text};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Level and message of what `doctor` found by a check.
#[track_caller]
fn said(installation: &Installation, code: i32, check: &str) -> (String, String) {
    let torch = installation.at("torch");
    let outcome =
        installation.run(&["doctor", "--format", "json", "--libtorch", text(&torch)]).ends_with(code);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check}: {outcome:#?}"));
    let string = |key: &str| finding[key].as_str().unwrap().to_owned();
    (string("level"), string("message"))
}

/// A message with what an engine says of itself.
fn description(version: &str) -> String {
    let description = json!({"version": version, "threads": 3, "gpus": null}).to_string();
    json!({"message": "data", "content": description}).to_string()
}

#[test]
fn an_engine_says_which_it_is() {
    let installation = Installation::new();
    installation.libtorch([2, 11, 0]);
    installation.engine(&[&description(VERSION)], 0);
    // There are no plugins, so that nothing can be trained.
    assert_eq!(said(&installation, 2, "engine").0, "ok");
    let opening = said(&installation, 2, "opening");
    assert_eq!(
        opening,
        ("ok".into(), "it opens as torch 2.11.0, and computes in 3 threads unless told otherwise".into())
    );

    installation.engine(&[&description("9.8.7")], 0);
    let (level, message) = said(&installation, 2, "engine");
    assert_eq!(level, "error");
    assert!(message.ends_with(&format!("is of version 9.8.7, the program of {VERSION}")), "{message}");

    // As an engine from before it could be asked.
    let refusal = json!({
        "severity": "error", "code": 503, "message": "program and engine do not understand one another", "path": null,
        "location": null, "found": "unknown variant `describe`", "expected": null, "nearest": null,
        "notes": [], "help": "install both from one release",
    });
    installation.engine(&[&json!({"message": "diagnostics", "content": [refusal]}).to_string()], 2);
    let (level, message) = said(&installation, 2, "engine");
    assert_eq!(level, "error");
    assert!(message.contains("do not understand one another"), "{message}");
}

#[test]
fn libtorch_of_another_version_is_told() {
    let installation = Installation::new();
    installation.libtorch([2, 4, 1]);
    installation.engine(&[&description(VERSION)], 0);
    let (level, message) = said(&installation, 2, "opening");
    assert_eq!(level, "error");
    assert!(message.contains("not the version that this program is built for"), "{message}");
    assert!(said(&installation, 2, "engine").1.ends_with("was not opened: libtorch does not open"));
}

#[test]
fn what_ends_the_process_is_a_finding() {
    let installation = Installation::new();
    installation.libtorch([2, 11, 0]);
    let crashing = "void abort(void);\n__attribute__((constructor)) static void begin(void) { abort(); }";
    let leaving = "void _exit(int);\n__attribute__((constructor)) static void begin(void) { _exit(7); }";

    // An engine that ends the process does not hide that libtorch opens.
    let quietly = leaving.replace('7', "0");
    for (source, how) in
        [(crashing, "by the signal SIGABRT"), (leaving, "with exit code 7"), (&quietly, "with exit code 0")]
    {
        installation.library("bin/libkiwi_engine.so", source);
        let (level, message) = said(&installation, 2, "engine");
        assert_eq!(level, "error");
        assert!(message.ends_with(&format!("opening it ended the process {how}")), "{message}");
        assert_eq!(said(&installation, 2, "opening"), ("ok".into(), "it opens as torch 2.11.0".into()));
    }

    installation.library("torch/lib/libtorch_cpu.so", crashing);
    let (level, message) = said(&installation, 2, "opening");
    assert_eq!(level, "error");
    assert!(message.contains("ended the process by the signal SIGABRT"), "{message}");
    // The rest is looked at all the same.
    assert_eq!(said(&installation, 2, "system").0, "ok");
    installation.write("torch/lib/libc10.so", "no library");
    let (level, message) = said(&installation, 2, "opening");
    assert_eq!(level, "error");
    assert!(message.contains("cannot be opened"), "{message}");
}

#[test]
fn what_the_program_opens_for_itself_is_not_typed_by_anyone() {
    let installation = Installation::new();
    installation.run(&["doctor-in-process"]).ends_with(2).stderr_has(&["error: "]);
    installation.run(&["doctor"]).ends_with(2).stdout_has(&[
        "error    libtorch",
        "error    engine",
        "it does not work: ",
    ]);
    // Without libtorch nothing is opened.
    let outcome = installation.run(&["doctor-in-process", "word", "libtorch", "engine"]).ends_with(0);
    assert!(!outcome.stdout.contains("done"), "{outcome:#?}");
}
