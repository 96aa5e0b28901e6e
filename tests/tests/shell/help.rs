//! The help of the program: its commands in groups, at the width of the terminal, in colours where they are wanted.

use std::process::Command;

use kiwi_core::environment;
use kiwi_core::exit_code::ExitCode;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;

use super::{commands, there_is};

const GROUPS: [&str; 6] = ["Train:", "Use a saved system:", "Look:", "Exchange:", "Plugins:", "Set up:"];

fn at(work: &Workplace, columns: &str, arguments: &[&str]) -> String {
    let outcome = Outcome::of(work.command(arguments).env("COLUMNS", columns)).ends_with(0);
    assert_eq!(outcome.stderr, "");
    outcome.stdout
}

#[test]
fn short_help_is_one_screen_of_commands_in_groups_and_common_options() {
    let work = Workplace::new();
    let help = at(&work, "100", &["-h"]);
    assert!(help.lines().count() <= 50, "{help}");
    let places: Vec<_> = GROUPS.iter().map(|group| help.find(&format!("\n{group}\n"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {help}");
    for command in commands(&work).iter().filter(|command| !command.contains(' ')) {
        let lines = help.lines().filter(|line| line.starts_with(&format!("  {command}  "))).count();
        assert_eq!(lines, 1, "{command}: {help}");
    }
    for option in ["--plugin-dir <DIRECTORY>", "-q, --quiet", "-h, --help", "-V, --version"] {
        assert!(help.contains(option), "no {option}: {help}");
    }
    for rest in ["Exit codes", "Environment", "KIWI_PLUGIN_PATH", "Other commands"] {
        assert!(!help.contains(rest), "{rest}: {help}");
    }
}

#[test]
fn help_fits_narrow_and_wide_terminals() {
    let work = Workplace::new();
    for columns in ["60", "200"] {
        let width: usize = columns.parse().unwrap();
        for arguments in
            [&["-h"][..], &["--help"], &["train", "--help"], &["plugins", "-h"], &["doctor", "--help"]]
        {
            let help = at(&work, columns, arguments);
            // An example is typed as it stands.
            let typed = |line: &str| line.trim_start().starts_with("kiwi-host ");
            for line in help.lines().filter(|line| !typed(line)) {
                assert!(line.chars().count() <= width, "{columns}: {line:?} in {help}");
            }
        }
        let help = at(&work, columns, &["--help"]);
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (code, meaning) in ExitCode::ALL {
            assert!(words.contains(&format!("{} {meaning}", code.number())), "no {meaning}: {help}");
        }
        for variable in environment::ALL {
            let meaning = variable.meaning.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(&format!("{} {meaning}", variable.name)), "no {}: {help}", variable.name);
        }
    }
    let narrow = at(&work, "60", &["-h"]);
    assert!(narrow.lines().count() > at(&work, "200", &["-h"]).lines().count());
}

#[test]
fn a_terminal_tells_its_own_width() {
    if !there_is("script", "help at a terminal of 60 columns") {
        return;
    }
    let work = Workplace::new();
    let program = kiwi_tests::built::program();
    let output = Command::new("script")
        .args([
            "-qec",
            &format!("stty cols 60 rows 30; {} -h; {0} inspect nowhere.safetensors", program.display()),
        ])
        .arg("/dev/null")
        .env("TERM", "xterm")
        .current_dir(work.at(""))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(text.contains("\u{1b}["), "a terminal shows colours: {text}");
    let plain: String = strip(&text);
    assert!(plain.contains("Use a saved system:"), "{plain}");
    for line in plain.lines() {
        assert!(line.chars().count() <= 60 || line.contains('/'), "{line:?} in {plain}");
    }
}

/// Without colours.
fn strip(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn help_is_coloured_as_color_and_the_environment_say() {
    let work = Workplace::new();
    let coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = work.command(arguments);
        let outcome = Outcome::of(command.envs(variables.iter().copied())).ends_with(0);
        outcome.stdout.contains('\u{1b}')
    };
    // Output here is no terminal.
    assert!(!coloured(&["-h"], &[]));
    assert!(coloured(&["-h"], &[("CLICOLOR_FORCE", "1")]));
    assert!(coloured(&["--color", "always", "-h"], &[]));
    assert!(coloured(&["train", "--help", "--color=always"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color", "never", "-h"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&["-h"], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "0")]));
    // What is coloured says the same.
    let plain = work.run(&["-h"]).ends_with(0).stdout;
    let colours = work.run(&["-h", "--color", "always"]).ends_with(0).stdout;
    assert_eq!(strip(&colours), plain);
}
