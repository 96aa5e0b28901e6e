//! Odd surroundings: homes that are missing or cannot be written, locales with a decimal comma, output that is no terminal. What a run
//! computes and prints is the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::json;

use super::there_is;

/// A run, with its environment as `prepare` leaves it: what was said, and the systems that it saved.
fn trained(work: &Workplace, output: &str, prepare: impl Fn(&mut Command)) -> (Outcome, Vec<Vec<u8>>) {
    work.write("run.json", &config_with(&[("trainer.epochs", json!(1))]).to_string());
    let mut command = work.command(&["train", "run.json", "--output-dir", output, "--threads", "1"]);
    prepare(&mut command);
    let outcome = Outcome::of(&mut command).ends_with(0);
    (outcome, systems(&work.at(output)))
}

fn systems(run: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The warnings that were told.
fn warnings(outcome: &Outcome) -> Vec<&str> {
    outcome.stderr.lines().filter(|line| line.contains("warning")).collect()
}

#[test]
fn training_needs_no_home() {
    let work = Workplace::new();
    let (usual, expected) = trained(&work, "usual", |_| {});
    let (unset, systems) = trained(&work, "unset", |command| {
        command.env_remove("HOME");
    });
    assert_eq!((warnings(&unset), &systems), (warnings(&usual), &expected));
    // Where nobody can make a folder.
    let (missing, systems) = trained(&work, "missing", |command| {
        command.env("HOME", "/proc/none");
    });
    assert_eq!((warnings(&missing), &systems), (warnings(&usual), &expected));
}

#[test]
fn a_home_that_is_mounted_read_only_stops_no_command() {
    let work = Workplace::new();
    fs::create_dir(work.at("home")).unwrap();
    let possible = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs -o ro tmpfs \"$1\"", "sh"])
        .arg(work.at("home"))
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: no home can be mounted read-only here (unshare -rm, mount -t tmpfs)");
        return;
    }
    work.write("run.json", &config_with(&[("trainer.epochs", json!(1))]).to_string());
    let (_, expected) = trained(&work, "usual", |_| {});
    let script = "mount -t tmpfs -o ro tmpfs home || exit 99
        touch home/file 2>/dev/null && exit 98
        \"$PROGRAM\" train run.json --output-dir run --threads 1 || exit $?
        \"$PROGRAM\" schema > schema.json || exit $?
        \"$PROGRAM\" doctor --format json";
    let outcome = work.run_unshared("-rm", script).ends_with(0);
    assert_eq!(systems(&work.at("run")), expected);
    let schema = fs::read_to_string(work.at("schema.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&schema).unwrap().is_object());
    assert!(!outcome.stderr.lines().any(|line| line.starts_with("error")), "{outcome}");
    let doctor: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let findings = doctor["findings"].as_array().unwrap();
    let cache = findings.iter().find(|finding| finding["check"] == "cache").unwrap();
    assert_eq!(cache["level"], "warning");
    assert!(cache["message"].as_str().unwrap().contains("read-only file system"), "{cache}");
}

#[test]
fn numbers_have_a_point_in_every_locale() {
    let work = Workplace::new();
    if !there_is("localedef", "a locale with a decimal comma") {
        return;
    }
    fs::create_dir(work.at("locales")).unwrap();
    let made = Command::new("localedef")
        .args(["-i", "de_DE", "-f", "UTF-8"])
        .arg(work.at("locales/de_DE.UTF-8"))
        .output()
        .unwrap();
    if !work.at("locales/de_DE.UTF-8/LC_NUMERIC").exists() {
        println!(
            "skipped: a locale with a decimal comma ({})",
            String::from_utf8_lossy(&made.stderr).lines().next().unwrap_or("localedef makes none")
        );
        return;
    }
    let in_locale = |name: &'static str| {
        let locales = work.at("locales");
        move |command: &mut Command| {
            command.env("LC_ALL", name).env("LOCPATH", &locales);
        }
    };
    // The locale is there: the shell's own printf writes a comma.
    let mut shell = Command::new("bash");
    shell.args(["-c", "printf %.1f 1,5"]);
    in_locale("de_DE.UTF-8")(&mut shell);
    assert_eq!(String::from_utf8(shell.output().unwrap().stdout).unwrap(), "1,5");

    let (_, expected) = trained(&work, "usual", in_locale("C"));
    let (german, found) = trained(&work, "german", in_locale("de_DE.UTF-8"));
    assert_eq!(found, expected);
    assert!(german.stderr.contains("learning rate") || german.stderr.contains("loss"), "{german}");
    let system = fs::read_dir(work.at("german/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|file| file.extension().is_some_and(|extension| extension == "safetensors"))
        .unwrap();
    let system = system.to_str().unwrap();
    for arguments in [
        &["evaluate", system, "--source", "valid.src", "--target", "valid.tgt", "--threads", "1"][..],
        &["score", system, "--source", "valid.src", "--target", "valid.tgt", "--threads", "1"],
        &["inspect", system, "--format", "json"],
        &["plugins", "list"],
    ] {
        let said = |name| {
            let mut command = work.command(arguments);
            in_locale(name)(&mut command);
            Outcome::of(&mut command).ends_with(0).stdout
        };
        assert_eq!(said("de_DE.UTF-8"), said("C"), "{arguments:?}");
    }
}

#[test]
fn what_goes_into_files_has_no_escape_codes_and_no_bar() {
    let work = Workplace::new();
    for (output, variables) in [("plain", &[][..]), ("terminal", &[("TERM", "xterm-256color")])] {
        let (outcome, _) = trained(&work, output, |command| {
            command.envs(variables.iter().copied());
        });
        let log = fs::read_to_string(work.at(output).join("output.log")).unwrap();
        for text in [&outcome.stdout, &outcome.stderr, &log] {
            assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        }
    }
}

#[test]
fn at_a_narrow_terminal_lines_fit_and_the_bar_moves() {
    if !there_is("script", "a run at a terminal of 60 columns") {
        return;
    }
    let work = Workplace::new();
    work.write("run.json", &config_with(&[("trainer.epochs", json!(1))]).to_string());
    let program = kiwi_tests::built::program();
    let script = format!(
        "stty cols 60 rows 30; {0} train run.json --output-dir run --threads 1; {0} plugins list; {0} doctor",
        program.display()
    );
    let at_terminal = |variables: &[(&str, &str)]| {
        let _ = fs::remove_dir_all(work.at("run"));
        let mut command = Command::new("script");
        command.args(["-qec", &script, "/dev/null"]).current_dir(work.at("")).env("TERM", "xterm");
        command.env("LIBTORCH", kiwi_tests::built::libtorch()).env("HOME", work.at("home"));
        let output = command.env_remove("NO_COLOR").envs(variables.iter().copied()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let coloured = at_terminal(&[]);
    assert!(coloured.contains("epoch 0 (1 of 1)"), "there is a bar: {coloured}");
    assert!(coloured.contains("\u{1b}[32mok"), "{coloured}");
    let plain = at_terminal(&[("NO_COLOR", "1")]);
    // The bar's movements are no colours.
    assert!(!has_colour(&plain), "{plain}");
    let table = plain.replace('\r', "");
    let begin = table.find("\n  system     Predictor").unwrap();
    let mut tables = table[begin..].lines();
    let long = tables.find(|line| line.chars().count() > 60 && !line.contains('/'));
    assert_eq!(long, None, "{table}");
}

/// Whether an escape sequence in the text ends in `m`.
fn has_colour(text: &str) -> bool {
    text.split("\u{1b}[").skip(1).any(|rest| rest.chars().find(|c| c.is_ascii_alphabetic()) == Some('m'))
}
