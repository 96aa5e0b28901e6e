//! The program in a shell: help at every width, completions, man pages, `doctor`, the JSON that commands print, and odd surroundings
//! (homes that cannot be written, locales, output that is no terminal).

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod completions;
mod doctor;
mod help;
mod json;
mod man;
mod surroundings;

use std::process::{Command, Stdio};

use kiwi_tests::workplace::Workplace;

/// Hidden commands, which the program runs itself.
const HIDDEN: [&str; 3] = ["probe", "check-in-process", "doctor-in-process"];

/// The commands that the help lists, as they are typed: each as `plugins list`, and those above them as `plugins`.
fn commands(work: &Workplace) -> Vec<String> {
    let mut all = Vec::new();
    for name in listed(work, &[], "Options:") {
        let below = listed(work, &[&name], "\nArguments:");
        let has_commands = help(work, &[&name]).contains("\nCommands:\n");
        all.extend(below.iter().filter(|_| has_commands).map(|below| format!("{name} {below}")));
        all.push(name);
    }
    all.sort();
    all
}

/// The short help of a command, on lines of any length.
fn help(work: &Workplace, command: &[&str]) -> String {
    let mut command = work.command(&[command, &["-h"]].concat());
    let output = command.env("COLUMNS", "1000").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn listed(work: &Workplace, command: &[&str], end: &str) -> Vec<String> {
    let help = help(work, command);
    let commands = help.split(end).next().unwrap();
    let commands = commands.split("\nOptions:").next().unwrap();
    let entry = |line: &str| {
        let name = line.strip_prefix("  ")?.split("  ").next()?;
        (!name.starts_with([' ', '-', '<', '[']) && name != "help").then(|| name.to_owned())
    };
    commands.lines().filter_map(entry).collect()
}

/// Whether a program can be run here; says so if not.
fn there_is(program: &str, for_what: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        println!("skipped: {for_what} ({program} is not installed)");
    }
    found.is_ok()
}
