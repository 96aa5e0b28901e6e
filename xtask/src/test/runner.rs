//! Running the tests: with cargo-nextest where it is installed, else with `cargo test`; nothing is installed for it.
//!
//! Either way the numbers of passed and failed tests are added up, and what passing tests printed is searched for the
//! lines in which they say what they left out.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::skipped::Skipped;
use crate::workspace::{Workspace, display, run};

/// What the tests came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: Skipped,
}

/// Tells tests that what they drive is built already.
const BUILT: &str = "KIWI_TESTS_BUILT";

/// Builds what tests drive.
pub(super) fn build(workspace: &Workspace) -> Result<()> {
    run(&mut workspace.cargo(&["build", "--workspace", "--exclude", "xtask"]))?;
    run(&mut workspace.cargo(&["build", "--package", "kiwi-swapped-optimizer", "--examples"]))
}

/// All tests but those in documentation.
///
/// What they drive was built by [`build`] and is not asked of cargo by each of them.
pub(super) fn tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let mut probe = workspace.cargo(&["nextest", "--version"]);
    let installed =
        probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if installed {
        println!("with cargo-nextest");
        nextest(workspace, tally)
    } else {
        println!("with `cargo test`, since cargo-nextest is not installed");
        let mut command =
            workspace.cargo(&["test", "--workspace", "--tests", "--no-fail-fast", "--", "--show-output"]);
        command.env(BUILT, "1");
        cargo_test(command, tally)
    }
}

/// The tests in documentation, which cargo-nextest does not run.
pub(super) fn doc_tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let mut command = workspace.cargo(&["test", "--doc", "--no-fail-fast"]);
    for package in workspace.documented_packages() {
        command.args(["--package", package]);
    }
    command.args(["--", "--show-output"]);
    cargo_test(command, tally)
}

fn nextest(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let profile = if env::var_os("CI").is_some() { "ci" } else { "default" };
    // Nextest keeps its files there wherever cargo builds.
    let report = workspace.root.join("target/nextest").join(profile).join("junit.xml");
    let _ = fs::remove_file(&report);
    let mut command =
        workspace.cargo(&["nextest", "run", "--workspace", "--profile", profile, "--no-fail-fast"]);
    command.env(BUILT, "1");
    let line = display(&command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    let text = fs::read_to_string(&report)
        .with_context(|| format!("`{line}` ({status}) wrote no report: cannot read {}", report.display()))?;
    add_report(&text, tally).with_context(|| format!("cannot read {}", report.display()))?;
    if status.success() { Ok(()) } else { bail!("`{line}` failed: {status}") }
}

/// Adds what cargo-nextest's JUnit report says.
fn add_report(text: &str, tally: &mut Tally) -> Result<()> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut printed = String::new();
    loop {
        match reader.read_event()? {
            Event::Eof => return Ok(()),
            Event::Start(element) if element.name().as_ref() == "testsuites" => {
                let number = |name: &str| -> Result<usize> {
                    let attribute = element.try_get_attribute(name)?;
                    let value =
                        attribute.with_context(|| format!("`testsuites` has no attribute `{name}`"))?;
                    Ok(value.value.parse()?)
                };
                let failed = number("failures")? + number("errors")?;
                tally.failed += failed;
                tally.passed += number("tests")?.saturating_sub(failed);
            }
            Event::Text(text) => printed.push_str(&text),
            Event::CData(text) => printed.push_str(&text),
            Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
                Some(character) => printed.push(character),
                None => printed.push_str(resolve_predefined_entity(&reference).unwrap_or_default()),
            },
            Event::End(_) => {
                printed.lines().for_each(|line| tally.skipped.add_line(line));
                printed.clear();
            }
            _ => {}
        }
    }
}

/// Runs a `cargo test … -- --show-output` and shows what it prints, without the output of tests that passed.
pub(super) fn cargo_test(mut command: Command, tally: &mut Tally) -> Result<()> {
    let line = display(&command);
    println!("$ {line}");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run `{line}`"))?;
    if let Some(output) = child.stdout.take() {
        let mut reading = Reading::default();
        for text in BufReader::new(output).lines() {
            let text = text.with_context(|| format!("cannot read what `{line}` prints"))?;
            if reading.add_line(&text, tally) {
                println!("{text}");
            }
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{line}`"))?;
    if status.success() { Ok(()) } else { bail!("`{line}` failed: {status}") }
}

/// Where in the output of a test program the reading is.
#[derive(Debug, Default)]
struct Reading {
    /// In what passing tests printed.
    in_successes: bool,
}

impl Reading {
    /// Counts what a line says; hands back whether it is to be shown.
    fn add_line(&mut self, line: &str, tally: &mut Tally) -> bool {
        tally.skipped.add_line(line);
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            tally.passed += number_before(counts, " passed");
            tally.failed += number_before(counts, " failed");
        } else if line == "successes:" {
            self.in_successes = true;
        } else if line == "failures:" {
            self.in_successes = false;
        }
        !self.in_successes
    }
}

/// The number right before a word: 3 in `ok. 3 passed; 0 failed` before ` passed`.
fn number_before(text: &str, word: &str) -> usize {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_junit_report_is_added_up() {
        let report = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="5" failures="1" errors="0" time="0.3">
    <testsuite name="a" tests="5" disabled="0" errors="0" failures="1">
        <testcase name="t" classname="a" time="0.1">
            <system-out>running 1 test
skipped: no GPU on this machine &lt;found 0&gt;
test t ... ok
</system-out>
            <system-err>skipped: no GPU on this machine &lt;found 0&gt;
</system-err>
        </testcase>
    </testsuite>
</testsuites>"#;
        let mut tally = Tally::default();
        add_report(report, &mut tally).unwrap();
        assert_eq!((tally.passed, tally.failed), (4, 1));
        let summary = tally.skipped.summary();
        assert!(summary.contains("2  no GPU on this machine <found 0>"), "{summary}");
        assert!(add_report("<testsuites tests='1'>", &mut Tally::default()).is_err());
    }

    #[test]
    fn the_output_of_cargo_test_is_added_up_and_that_of_passing_tests_not_shown() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nsuccesses:\n\n---- a stdout ----\n\
            skipped: needs two GPUs\nnoise\n\nfailures:\n\n---- b stdout ----\nreason\n\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let (mut reading, mut tally) = (Reading::default(), Tally::default());
        let shown: Vec<&str> = output.lines().filter(|line| reading.add_line(line, &mut tally)).collect();
        assert_eq!((tally.passed, tally.failed), (13, 1));
        assert!(shown.contains(&"reason") && shown.contains(&"test b ... FAILED"));
        assert!(!shown.contains(&"noise"));
        assert!(tally.skipped.summary().contains("needs two GPUs"));
    }
}
