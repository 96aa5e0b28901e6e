//! Error codes: that each complaint has the code of its kind, and that what `explain` shows as wrong and right is so.

#![expect(clippy::unwrap_used, reason = "functions beside the tests")]

use kiwi_core::error_code::{Code, Example};
use kiwi_tests::workplace::{Workplace, config};
use serde_json::{Value, json};

/// A config with the part that an example shows in place of its own.
fn merged(into: &mut Value, part: &Value) {
    match (into, part) {
        (Value::Object(into), Value::Object(part)) => {
            for (key, value) in part {
                merged(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, part) => *into = part.clone(),
    }
}

fn with(part: &str) -> String {
    let mut config = config();
    merged(&mut config, &serde_json::from_str(part).unwrap());
    format!("{config:#}\n")
}

#[test]
fn what_a_page_shows_as_wrong_gets_its_code_and_what_it_shows_as_right_does_not() {
    let work = Workplace::new();
    // Wrong as texts or by what they leave out, so that they cannot be put into another config.
    let whole = [Code::ConfigSyntax, Code::RepeatedKey, Code::MissingKey];
    let mut tried = 0;
    for code in Code::ALL {
        let Example::Config { wrong, right } = code.page().example else { continue };
        let wrong = if whole.contains(code) { format!("{wrong}\n") } else { with(wrong) };
        let label = format!("[{code}]: ");
        // Only a run can leave its system unsaved.
        let command = if *code == Code::NothingKept { "train" } else { "check" };
        let run = |name: &str, text: &str| {
            work.write("example.json", text);
            let run = format!("{code}-{name}");
            work.run(&[command, "example.json", "--threads", "1", "--output-dir", &run])
        };
        let refused = run("wrong", &wrong).says(&[&label]);
        assert_eq!(refused.code == Some(0), label.starts_with("[W"), "{refused}");
        let accepted = run("right", &with(right)).ends_with(0);
        assert!(!accepted.stderr.contains(&label), "{accepted}");
        tried += 1;
    }
    assert!(tried > 25, "{tried} examples are configs");
}

#[test]
fn where_to_read_more_is_said_once_and_not_to_the_quiet() {
    let work = Workplace::new();
    let wrong = r#"{"trainer": {"epoch": 3, "log_intervall": 1, "epochs": 0}, "system": {"optimizer": {"class_name": "adm"}}}"#;
    work.write("wrong.json", &with(wrong));
    let told = work.run(&["check", "wrong.json"]).ends_with(2).says(&[
        "error[E0101]: unknown key `epoch`\n",
        "error[E0101]: unknown key `log_intervall`\n",
        "error[E0102]: invalid value for epochs\n",
        "error[E0301]: no optimizer named `adm` is registered\n",
    ]);
    let line = told.stderr.lines().rev().nth(1).unwrap();
    assert!(line.starts_with("for more about E0"), "{told}");
    assert!(line.ends_with(&line.split_once(": ").unwrap().1.replace(", ", " ")), "{line}");
    assert_eq!(told.stderr.matches("for more about").count(), 1, "{told}");
    assert!(told.stderr.lines().last().unwrap().starts_with("kiwi-host check failed with exit code 2: "));
    let quiet = work.run(&["check", "wrong.json", "--quiet"]).ends_with(2);
    assert!(!quiet.stderr.contains("for more about"), "{quiet}");

    // As programs read it.
    let json = work.run(&["check", "wrong.json", "--format", "json"]).ends_with(2);
    let found: Value = serde_json::from_str(&json.stdout).unwrap();
    let errors = found["errors"].as_array().unwrap();
    let codes: Vec<_> = errors.iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "E0101").count(), 2, "{found}");
    assert!(codes.contains(&"E0102") && codes.contains(&"E0301"), "{found}");
    assert_eq!(errors[0]["location"]["file"], "wrong.json");
    assert_eq!(found["warnings"], json!([]));
}

#[test]
fn pages_are_found_by_their_codes() {
    let work = Workplace::new();
    // Nothing of it needs libtorch.
    let explain = |arguments: &[&str]| {
        let mut command = work.command(&[&["explain"], arguments].concat());
        kiwi_tests::outcome::Outcome::of(command.env("LIBTORCH", "/nonexistent"))
    };
    let page = explain(&["E0101"]).ends_with(0);
    for part in ["E0101: a key of the config is not known\n", "What to do: ", "{\"trainer\": {\"epoch\": 3}}"]
    {
        assert!(page.stdout.contains(part), "no {part:?} in {page}");
    }
    assert!(page.stdout.lines().all(|line| line.chars().count() <= 80), "{page}");
    for typed in ["e0101", "0101", "w0101"] {
        assert_eq!(explain(&[typed]).ends_with(0).stdout, page.stdout);
    }
    let two = explain(&["E0101", "e0101", "E0301"]).ends_with(0).stdout;
    assert!(two.starts_with(&page.stdout) && two.matches("What to do: ").count() == 2, "{two}");

    let list = explain(&[]).ends_with(0).stdout;
    for code in Code::ALL {
        assert!(list.contains(&format!("  {code}  ")), "{code}");
    }
    let lines = explain(&["--format", "json"]).ends_with(0).stdout;
    let pages: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(pages.len(), Code::ALL.len());
    assert_eq!(pages[0]["code"], "E0101");
    assert_eq!(pages[0]["example"]["kind"], "config");

    let unknown = explain(&["E0100", "E0101"]).ends_with(2);
    let unknown = unknown.says(&["error[E0806]: there is no error code `E0100`", "near to it: E0101"]);
    assert_eq!(unknown.stdout, "");
}
