//! `doctor`: an installation that works, and each way in which one does not. What crashes when it is opened is in
//! `host/tests/doctor.rs`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use kiwi_tests::built;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;
use serde_json::Value;

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

/// What `doctor` found.
struct Report {
    outcome: Outcome,
    findings: Vec<Value>,
}

impl Report {
    #[track_caller]
    fn of(command: &mut Command) -> Self {
        let outcome = Outcome::of(command.args(["doctor", "--format", "json"]));
        assert_eq!(outcome.stderr, "", "{outcome}");
        let mut report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let findings: Vec<Value> = report["findings"].as_array().unwrap().clone();
        for level in ["ok", "note", "warning", "error"] {
            let count = findings.iter().filter(|finding| finding["level"] == level).count();
            assert_eq!(report["summary"][level].take(), count, "{outcome}");
        }
        for finding in &findings {
            let has_help = finding["help"].as_str().is_some_and(|help| !help.is_empty());
            let says_what_to_do = has_help || finding["check"] == "unusable";
            assert!(says_what_to_do || finding["level"] == "ok" || finding["level"] == "note", "{finding}");
        }
        let is_wrong = findings.iter().any(|finding| finding["level"] == "error");
        let code = if is_wrong { 2 } else { 0 };
        Self { outcome: outcome.ends_with(code), findings }
    }

    /// The only finding of a check.
    #[track_caller]
    fn finding(&self, check: &str) -> &Value {
        let found = self.all(check);
        assert_eq!(found.len(), 1, "{check}: {}", self.outcome);
        found[0]
    }

    fn all(&self, check: &str) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["check"] == check).collect()
    }

    /// Level and message of the only finding of a check.
    #[track_caller]
    fn said(&self, check: &str) -> (&str, &str) {
        let finding = self.finding(check);
        (finding["level"].as_str().unwrap(), finding["message"].as_str().unwrap())
    }
}

#[test]
fn nothing_is_wrong_with_a_whole_installation() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let started = Instant::now();
    let report = Report::of(&mut work.command(&[]));
    println!("doctor took {:.1} s", started.elapsed().as_secs_f64());
    // On a machine that does much else besides, too.
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(report.outcome.code, Some(0));
    assert!(report.said("version").1.contains("x86_64-unknown-linux-gnu") || !cfg!(target_arch = "x86_64"));
    let (level, message) = report.said("engine");
    assert_eq!(level, "ok");
    assert!(message.ends_with("bin/libkiwi_engine.so opens, and is of this version"), "{message}");
    let (level, message) = report.said("libtorch");
    assert_eq!(level, "ok");
    assert!(message.starts_with("torch 2.11.0") && message.ends_with(", named by LIBTORCH"), "{message}");
    let opening = report.finding("opening");
    assert_eq!((&opening["level"], &opening["facts"]["version"]), (&"ok".into(), &"2.11.0".into()));
    assert!(opening["facts"]["threads"].as_u64().unwrap() >= 1);
    let plugins: Vec<_> = report.finding("usable")["facts"]["plugins"].as_array().unwrap().clone();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(plugins, BUILT_IN.map(|name| Value::from(format!("kiwi-{name} {version}"))));
    let facts = |check: &str| &report.finding(check)["facts"];
    assert!(facts("system")["glibc"].as_str().unwrap().starts_with("2."));
    assert!(facts("processor")["cores"].as_u64().unwrap() >= 1);
    assert!(facts("memory")["total_bytes"].as_u64().unwrap() > 1 << 28);
    assert!(facts("cache")["free_bytes"].as_u64().unwrap() > 0);
    assert_eq!(facts("cache")["path"], work.at("home/.cache/kiwi-host").to_str().unwrap());
    assert_eq!(facts("terminal")["stdout"], false);
    // Looking changes nothing.
    assert!(!work.at("home").exists());
}

#[test]
fn people_read_a_line_a_finding_and_a_summary() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let report = Report::of(&mut work.command(&[]));
    let shown = work.run(&["doctor"]).ends_with(0);
    assert!(!shown.stdout.contains('\u{1b}'), "{shown}");
    let lines: Vec<_> = shown.stdout.lines().collect();
    let findings = lines.iter().filter(|line| line.starts_with("  ")).count();
    assert_eq!(findings, report.findings.len(), "{shown}");
    for title in ["Program", "libtorch", "GPUs", "Plugins", "Directories", "Machine", "Environment"] {
        assert_eq!(lines.iter().filter(|line| **line == title).count(), 1, "{title}: {shown}");
    }
    assert!(lines.last().unwrap().ends_with("0 errors"), "{shown}");
    let more = work.run(&["doctor", "--verbose"]).ends_with(0);
    assert!(more.stdout.contains("kiwi-optimizers: optimizer "), "{more}");
    assert!(!shown.stdout.contains("kiwi-optimizers: optimizer "));
    let quiet = work.run(&["doctor", "--quiet"]).ends_with(0);
    assert!(!quiet.stdout.contains("  ok  "), "{quiet}");
}

#[test]
fn without_libtorch_or_engine_it_does_not_work() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let bare = || {
        let mut command = work.command(&[]);
        command.env_clear().env("HOME", work.at("home"));
        command
    };
    let without = Report::of(&mut bare());
    assert_eq!(without.outcome.code, Some(2));
    assert_eq!(without.said("libtorch"), ("error", "no libtorch 2.11.* was found"));
    let libtorch = without.finding("libtorch");
    assert!(libtorch["help"].as_str().unwrap().contains("pip install torch"), "{libtorch}");
    assert!(libtorch["notes"].to_string().contains("beside the program"), "{libtorch}");
    assert!(without.said("engine").1.ends_with("and was not opened: there is no libtorch"));

    let named = Report::of(bare().env("LIBTORCH", "/nowhere"));
    assert_eq!(named.said("libtorch"), ("error", "LIBTORCH names /nowhere, which does not exist"));

    fs::remove_file(work.at("bin/libkiwi_engine.so")).unwrap();
    let without = Report::of(&mut work.command(&[]));
    assert_eq!(without.said("engine"), ("error", "libkiwi_engine.so is missing"));
    assert_eq!(without.said("opening").0, "ok", "libtorch opens all the same");
    work.write("bin/libkiwi_engine.so", "no library");
    let broken = Report::of(&mut work.command(&[]));
    assert_eq!(broken.said("engine").0, "error");
    assert!(broken.said("engine").1.contains("cannot be opened"), "{}", broken.outcome);
}

#[test]
fn what_is_odd_about_plugins_is_told() {
    let work = Workplace::with_copied_program(&["heads", "metrics", "optimizers"]);
    work.copy(&built::swapped_optimizer(), "more/libother.so");
    work.copy(&built::plugin_file("misbehaving"), "more/libmisbehaving.so");
    work.write("more/libbroken.so", "no library");
    let mut command = work.command(&["--plugin-dir", "more"]);
    let report = Report::of(command.env("KIWI_PLUGIN_PATH", "gone").env("KIWI_PLUGINS_PATH", "more"));
    assert_eq!(report.outcome.code, Some(0));
    let unusable = report.finding("unusable");
    assert!(unusable["message"].as_str().unwrap().contains("libbroken.so: it is a text file"), "{unusable}");
    let ambiguous: Vec<_> = report.all("ambiguous").iter().map(|one| one["facts"]["class"].clone()).collect();
    assert!(ambiguous.contains(&"adam".into()), "{ambiguous:?}");
    let directory = |path: &str| {
        let mut all = report.all("directory").into_iter();
        all.find(|one| one["facts"]["path"].as_str().unwrap().ends_with(path)).unwrap()
    };
    assert_eq!(directory("more")["facts"]["unusable"], 1);
    assert_eq!(directory("bin")["facts"]["usable"], 3);
    let gone = directory("gone");
    assert_eq!((&gone["level"], &gone["facts"]["searched"]), (&"warning".into(), &false.into()));
    assert!(gone["help"].as_str().unwrap().contains("KIWI_PLUGIN_PATH"), "{gone}");
    assert_eq!(report.finding("unknown_variable")["help"], "did you mean KIWI_PLUGIN_PATH?");

    let missing = Report::of(&mut work.command(&["--plugin-dir", "nowhere"]));
    assert_eq!(missing.outcome.code, Some(2));
    let alone = Workplace::with_copied_program(&[]);
    assert_eq!(Report::of(&mut alone.command(&[])).said("usable").0, "error");
    let few = Workplace::with_copied_program(&["heads"]);
    let report = Report::of(&mut few.command(&[]));
    let (level, message) = report.said("usable");
    assert_eq!(level, "warning");
    assert!(message.ends_with("none of them registers an encoder or an optimizer"), "{message}");
}

#[test]
fn homes_that_cannot_be_written_are_told_with_what_follows() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    // A file is no home.
    let report = Report::of(work.command(&[]).env("HOME", "/dev/null/home"));
    assert_eq!(report.outcome.code, Some(0));
    let home = report.finding("home");
    assert_eq!(home["level"], "note");
    assert!(home["help"].as_str().unwrap().contains("training works without"), "{home}");
    let cache = report.finding("cache");
    assert_eq!((&cache["level"], &cache["facts"]["writable"]), (&"warning".into(), &false.into()));
    assert!(cache["help"].as_str().unwrap().contains("KIWI_CACHE_DIR"), "{cache}");
    assert_eq!(report.said("data").0, "note");

    let report = Report::of(work.command(&[]).env_remove("HOME"));
    let home = report.finding("home");
    assert!(home["message"].as_str().unwrap().contains("HOME is not set"), "{home}");

    let mut command = work.command(&[]);
    let report = Report::of(command.env("KIWI_CACHE_DIR", work.at("cache")).env("TMPDIR", "/dev/null/tmp"));
    assert_eq!(report.finding("cache")["facts"]["path"], work.at("cache").to_str().unwrap());
    assert_eq!(report.said("temporary").0, "warning");
}

#[test]
fn secrets_are_never_printed() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    let secrets = [
        ("MLFLOW_TRACKING_PASSWORD", "swordfish-1"),
        ("MLFLOW_TRACKING_TOKEN", "swordfish-2"),
        ("MLFLOW_TRACKING_URI", "https://me:swordfish-3@tracking.example"),
        ("NCCL_API_KEY", "swordfish-4"),
        ("AWS_SECRET_ACCESS_KEY", "swordfish-5"),
    ];
    for format in ["human", "json"] {
        let mut command = work.command(&["doctor", "--verbose", "--format", format]);
        let outcome = Outcome::of(command.envs(secrets)).ends_with(0);
        assert!(!outcome.stdout.contains("swordfish") && !outcome.stderr.contains("swordfish"), "{outcome}");
        for told in ["MLFLOW_TRACKING_TOKEN", "https://me@tracking.example", "LIBTORCH"] {
            assert!(outcome.stdout.contains(told), "no {told}: {outcome}");
        }
    }
}
