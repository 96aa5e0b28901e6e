//! `kiwi-host plugins check`: the built-in plugins pass, each fault of a plugin that misbehaves is found with its reason, and nothing
//! that a plugin does harms whoever checks it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kiwi_plugin_api::abi::host::Plugin;
use kiwi_plugin_api::testing::conformance::{Outcome as Checked, Settings, check_plugin};
use kiwi_tests::built::plugin_file;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;
use serde_json::{Value, json};

/// What `plugins check --format json` printed.
struct Report {
    outcome: Outcome,
    findings: Vec<Value>,
    summary: Value,
}

impl Report {
    #[track_caller]
    fn of(work: &Workplace, file: &Path, arguments: &[&str]) -> Self {
        let file = file.to_str().unwrap();
        let outcome = work.run(&[&["plugins", "check", file, "--format", "json"], arguments].concat());
        let mut findings: Vec<Value> = outcome
            .stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}: {outcome}"))
            })
            .collect();
        let summary =
            findings.pop().unwrap_or_else(|| panic!("nothing was printed: {outcome}"))["summary"].take();
        assert!(summary.is_object(), "the last line is the summary: {outcome}");
        Self { outcome, findings, summary }
    }

    fn finding(&self, check: &str) -> &Value {
        let found = self.findings.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no finding {check}: {}", self.outcome))
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.findings.iter().filter(|finding| finding["outcome"] == "fail");
        failed.map(|finding| finding["check"].as_str().unwrap()).collect()
    }
}

#[track_caller]
fn passes(plugin: &str, expected: &[(&str, &str, &str)]) {
    let work = Workplace::new();
    let begun = Instant::now();
    let report = Report::of(&work, &plugin_file(plugin), &["--time-limit", "240"]);
    println!("{plugin}: {} in {:.1} s", report.summary, begun.elapsed().as_secs_f64());
    assert_eq!(report.outcome.code, Some(0), "{}", report.outcome);
    assert!(report.failed().is_empty(), "{}", report.outcome);
    assert_eq!(report.summary["failed"], 0);
    for check in ["metadata", "classes", "load", "registry"] {
        assert_eq!(report.finding(check)["outcome"], "pass", "{}", report.outcome);
    }
    for (class, check, part) in expected {
        let finding = report.findings.iter().find(|one| one["class"] == *class && one["check"] == *check);
        let finding = finding.unwrap_or_else(|| panic!("no {check} of {class}: {}", report.outcome));
        assert_eq!(finding["outcome"], "pass", "{finding}");
        assert!(finding["message"].as_str().unwrap().contains(part), "{part:?}: {finding}");
    }
}

#[test]
fn the_built_in_encoder_passes() {
    passes(
        "encoders",
        &[
            ("PredictorEncoder", "options", "out_embeddings_dim="),
            ("PredictorEncoder", "gradients", "agree with finite differences in float64"),
            ("PredictorEncoder", "determinism", "with dropout"),
            ("PredictorEncoder", "padding", "alone and padded"),
            ("PredictorEncoder", "saved_state", "make another instance the same"),
            ("PredictorEncoder", "exit", "ends well"),
        ],
    );
}

#[test]
fn the_built_in_head_passes() {
    passes(
        "heads",
        &[("TLMOutputs", "gradients", "finite differences"), ("TLMOutputs", "padding", "changes nothing")],
    );
}

#[test]
fn the_built_in_metrics_pass() {
    passes(
        "metrics",
        &[
            ("PERP", "create", "smaller values are better"),
            ("CORRECT", "create", "larger values are better"),
            ("NLL", "additivity", "of both together"),
            ("ExpErr", "memory", "does not grow over 800 calls"),
        ],
    );
}

#[test]
fn the_built_in_optimizers_pass() {
    passes(
        "optimizers",
        &[
            ("adam", "saved_state", "goes on with the same bits"),
            ("noam", "schedule", "a function of the step alone"),
            ("sparse_adam", "create", "sparse gradients"),
            ("sgd", "work", "only these"),
            ("averaged_sgd", "zero_rate", "moves nothing"),
        ],
    );
}

/// The one component of the misbehaving plugin that is of this class, with this fault.
fn with_fault(work: &Workplace, class: &str, options: &Value) -> Report {
    work.write("options.json", &json!({ class: options }).to_string());
    Report::of(
        work,
        &plugin_file("misbehaving"),
        &["--class", class, "--options", "options.json", "--time-limit", "240"],
    )
}

/// The fault is found by this check, whose message holds these parts.
#[track_caller]
fn finds(class: &str, fault: &str, check: &str, parts: &[&str]) {
    let work = Workplace::new();
    let report = with_fault(&work, class, &json!({"fault": fault}));
    assert_eq!(report.outcome.code, Some(1), "{fault}: {}", report.outcome);
    let finding = report.finding(check);
    assert_eq!(finding["outcome"], "fail", "{fault}: {}", report.outcome);
    let text = finding.to_string();
    for part in parts {
        assert!(text.contains(part), "{fault}: no {part:?} in {text}");
    }
    assert!(finding["help"].is_string() || finding["expected"].is_string(), "what to do: {text}");
}

const ENCODER: &str = "MisbehavingEncoder";
const HEAD: &str = "MisbehavingHead";
const OPTIMIZER: &str = "MisbehavingOptimizer";
const METRIC: &str = "MisbehavingMetric";

#[test]
fn without_a_fault_the_other_components_pass() {
    let work = Workplace::new();
    for class in [HEAD, OPTIMIZER, METRIC] {
        let report = with_fault(&work, class, &json!({"fault": "none"}));
        assert_eq!(report.outcome.code, Some(0), "{}", report.outcome);
    }
}

#[test]
fn options_that_no_config_should_have_are_found() {
    let work = Workplace::new();
    for (options, message) in [
        (json!({}), "it takes the option `forgotten` and does not give it back"),
        (json!({"class_name": "x"}), "which is the key that names the component itself"),
    ] {
        let report = with_fault(&work, "ForgetfulMetric", &options);
        assert_eq!(report.outcome.code, Some(1), "{}", report.outcome);
        let finding = report.finding("options");
        assert_eq!(finding["outcome"], "fail", "{}", report.outcome);
        assert!(finding.to_string().contains(message), "{finding}");
    }
}

#[test]
fn panics_and_exceptions_are_found_with_their_phase() {
    finds(ENCODER, "panic_in_check", "options", &["panicked in check: asked to panic in check", "fault.rs:"]);
    finds(ENCODER, "panic_in_needs", "needs", &["panicked in needs"]);
    finds(HEAD, "panic_in_create", "create", &["panicked in create"]);
    finds(METRIC, "panic_at_work", "work", &["panicked in forward"]);
    finds(OPTIMIZER, "panic_in_drop", "create", &["panicked in drop"]);
    finds(ENCODER, "throw_int", "work", &["threw a C++ exception in forward: int"]);
    finds(OPTIMIZER, "throw_runtime_error", "work", &["the kettle boiled over", "in step"]);
    finds(OPTIMIZER, "panic_in_schedule", "schedule", &["panicked in schedule"]);
}

#[test]
fn errors_are_found_with_their_causes() {
    finds(OPTIMIZER, "error_in_create", "create", &["failed in create: it cannot be created: asked to fail"]);
    finds(METRIC, "torch_error", "work", &["cannot be multiplied"]);
    finds(OPTIMIZER, "factor_not_a_number", "schedule", &["its factor of step 2 is NaN"]);
}

#[test]
fn what_a_component_does_to_libtorch_is_found() {
    // A step of an optimizer and the work of a metric are within a scope of their own already.
    for class in [ENCODER, HEAD] {
        finds(class, "grad_mode_off", "state_of_libtorch", &["grad mode was on and is off"]);
    }
    finds(HEAD, "reseed", "work", &["reseeded libtorch's random generator"]);
}

#[test]
fn what_a_component_gives_is_looked_at() {
    finds(ENCODER, "missing_feature", "work", &["target_logits", "something_else"]);
    finds(HEAD, "loss_not_scalar", "work", &["its loss must be a scalar"]);
    finds(HEAD, "loss_without_history", "work", &["nothing can be trained"]);
    finds(HEAD, "scalar_not_scalar", "work", &["its scalar `all` must be a single number"]);
    finds(HEAD, "other_feature", "create", &["no feature `target_logits`, only target_logit"]);
}

#[test]
fn ends_of_the_process_are_found_and_the_other_checks_go_on() {
    finds(ENCODER, "exit_in_create", "create", &["it ended the process in create", "exit code 0"]);
    finds(HEAD, "abort_at_work", "work", &["crashed in forward", "SIGABRT"]);
    finds(OPTIMIZER, "crash_at_work", "work", &["crashed in step", "SIGSEGV"]);
    finds(METRIC, "crash_in_thread", "work", &["crashed in forward", "SIGSEGV"]);
    finds(METRIC, "crash_at_exit", "exit", &["crashed at its exit, after all was checked"]);
    finds(OPTIMIZER, "panic_in_load", "saved_state", &["panicked in load state"]);

    let work = Workplace::new();
    let report = with_fault(&work, OPTIMIZER, &json!({"fault": "abort_at_work"}));
    assert_eq!(report.failed(), ["work"], "{}", report.outcome);
    assert_eq!(report.finding("schedule")["outcome"], "pass", "it needs no work: {}", report.outcome);
    assert_eq!(report.finding("rates")["message"], "`work` failed", "{}", report.outcome);
}

#[test]
fn what_a_component_leaves_behind_is_found() {
    finds(HEAD, "keeps_tensors", "memory", &["memory grows with each call"]);
    finds(METRIC, "thread_for_ever", "threads", &["computes on though all its instances are freed"]);
    finds(ENCODER, "autocast_on", "state_of_libtorch", &["autocast on the CPU was off and is on"]);
}

#[test]
fn an_encoder_that_sees_the_padding_of_its_batch_is_found() {
    // It reads the mean of the source, padding and all.
    let work = Workplace::new();
    let report = with_fault(&work, ENCODER, &json!({"fault": "none"}));
    assert_eq!(report.failed(), ["padding"], "{}", report.outcome);
    assert!(report.finding("padding")["message"].as_str().unwrap().contains("the padding of its batch"));
    assert_eq!(report.finding("gradients")["outcome"], "pass");
    assert_eq!(report.finding("rows")["outcome"], "pass");

    let report = with_fault(&work, ENCODER, &json!({"carries": true, "saves_carried": true, "counts": true}));
    assert_eq!(report.failed(), ["padding"], "{}", report.outcome);
    assert_eq!(report.finding("carried_state")["outcome"], "pass");
    // What it carries and does not tell of is found.
    let report = with_fault(&work, ENCODER, &json!({"loss_not_finite": [0]}));
    assert!(report.failed().contains(&"work"), "{}", report.outcome);
}

/// A library with the metadata of a plugin, and this C code in a function that runs when it is opened.
fn library(work: &Workplace, name: &str, body: &str) -> std::path::PathBuf {
    let plugin = fs::read(plugin_file("metrics")).unwrap();
    let magic = b"KIWIPLUG";
    let mut at = plugin.windows(magic.len()).position(|window| window == magic).unwrap();
    let mut records = String::new();
    while plugin[at..].starts_with(magic) {
        let length = u32::from_le_bytes(plugin[at + 12..at + 16].try_into().unwrap()) as usize;
        for byte in &plugin[at..at + 16 + length] {
            write!(records, "{byte},").unwrap();
        }
        at += 16 + length;
    }
    let code = format!(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
         __attribute__((section(\".kiwi_plugin\"), used)) static const unsigned char records[] = {{{records}}};\n\
         __attribute__((constructor)) static void begin(void) {{ {body} }}\n"
    );
    work.write(&format!("{name}.c"), &code);
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-o", &format!("lib{name}.so"), &format!("{name}.c")])
        .current_dir(work.at("."))
        .status()
        .unwrap();
    assert!(compiled.success());
    work.at(&format!("lib{name}.so"))
}

/// What opening a library with this code comes to.
#[track_caller]
fn opening(body: &str, arguments: &[&str], parts: &[&str]) {
    let work = Workplace::new();
    let file = library(&work, "odd", body);
    let begun = Instant::now();
    let report = Report::of(&work, &file, arguments);
    assert!(begun.elapsed() < Duration::from_secs(240), "{}", report.outcome);
    assert_eq!(report.outcome.code, Some(3), "{}", report.outcome);
    assert_eq!(report.failed(), ["load"], "{}", report.outcome);
    let text = report.finding("load").to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn whatever_a_plugin_does_when_it_is_opened_is_a_finding() {
    let said = "fprintf(stderr, \"my last words\\n\");";
    opening(
        &format!("{said} exit(7);"),
        &[],
        &["it ended the process in open", "exit code 7", "it said: my last words"],
    );
    opening(&format!("{said} abort();"), &[], &["crashed in open", "SIGABRT", "my last words"]);
    opening("*(volatile int *)8 = 1;", &[], &["crashed in open", "SIGSEGV"]);
    opening("for (;;) {}", &["--time-limit", "2"], &["did not come to an end in open", "nothing after 2 s"]);
    let eats = "for (;;) { char *p = malloc(1 << 24); if (p) memset(p, 1, 1 << 24); }";
    opening(eats, &["--memory-limit", "1024"], &["took more memory than it may in open", "at most 1024 MiB"]);
    // What it prints is not taken for what the check says.
    opening(
        "printf(\"{\\\"message\\\": 1}\"); fflush(stdout);",
        &[],
        &["is a shared library but no kiwi-host plugin"],
    );
}

#[test]
fn what_is_no_plugin_ends_with_3_and_wrong_usage_with_2() {
    let work = Workplace::new();
    work.write("note.so", "This is a note, not a library.\n");
    let report = Report::of(&work, &work.at("note.so"), &[]);
    assert_eq!(report.outcome.code, Some(3), "{}", report.outcome);
    assert!(report.finding("metadata")["message"].as_str().unwrap().contains("is a text file"));
    let _ = work
        .run(&["plugins", "check", "no-such-plugin"])
        .ends_with(3)
        .says(&["neither a file nor an installed plugin"]);

    let refused = |arguments: &[&str], parts: &[&str]| {
        let outcome = work.run(&[&["plugins", "check", "kiwi-metrics"], arguments].concat()).ends_with(2);
        assert_eq!(outcome.stdout, "");
        outcome.says(parts)
    };
    let _ = refused(&["--class", "PREP"], &["registers no component `PREP`", "did you mean `PERP`?"]);
    let _ = refused(&["--device", "tpu"], &["--device names no device", "found: tpu"]);
    let _ = refused(&["--time-limit", "0"], &["--time-limit"]);
    let _ = refused(&["--options", "absent.json"], &["cannot be read", "absent.json"]);
    work.write("list.json", "[1]");
    let _ = refused(&["--options", "list.json"], &["is not what it should be", "list.json"]);
    work.write("class.json", r#"{"PERP": 3}"#);
    let _ = refused(&["--options", "class.json"], &["the options of `PERP`", "no object"]);
    work.write("other.json", r#"{"PREP": {}}"#);
    let _ = refused(&["--options", "other.json"], &["options for `PREP`", "did you mean `PERP`?"]);
}

#[test]
fn people_get_a_table_and_with_quiet_only_what_failed() {
    let work = Workplace::new();
    let check = ["plugins", "check", "kiwi-metrics", "--class", "NLL"];
    let table = work.run(&check).ends_with(0);
    for part in ["kiwi-metrics 0.1.0", "metric NLL", "  ok    additivity", "passed: ", " 0 failed"] {
        assert!(table.stdout.contains(part), "no {part:?}: {table}");
    }
    work.write("options.json", r#"{"NLL": {"size": 3}}"#);
    let quiet = work.run(&[&check[..], &["--options", "options.json", "--quiet"]].concat()).ends_with(1);
    assert!(quiet.stdout.contains("FAIL  metric NLL  options"), "{quiet}");
    assert!(quiet.stdout.contains("unknown key `size`") && !quiet.stdout.contains("  ok  "), "{quiet}");
}

#[test]
fn the_suite_runs_in_a_test_of_a_plugin_too() {
    let plugin = Plugin::open(&plugin_file("metrics"), "kiwi-metrics").unwrap();
    let report = check_plugin(&plugin, &Settings::default());
    assert!(report.passed(), "{report}");
    let passed = report.findings.iter().filter(|one| one.finding.outcome == Checked::Pass);
    assert!(passed.count() >= 4 * 10, "{report}");

    let plugin = Plugin::open(&plugin_file("misbehaving"), "kiwi-misbehaving").unwrap();
    let settings = Settings::default().with_options(HEAD, json!({"fault": "loss_without_history"}));
    let report = check_plugin(&plugin, &settings);
    let failed: Vec<_> =
        report.failures().map(|one| (one.class.as_str(), one.finding.check.as_str())).collect();
    assert_eq!(failed, [(ENCODER, "padding"), (HEAD, "work"), ("ForgetfulMetric", "options")], "{report}");
}
