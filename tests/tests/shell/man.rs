//! `man`: pages without warnings that say what the help says, and that replace nothing but earlier pages.

use std::fs;
use std::process::Command;

use kiwi_core::environment;
use kiwi_core::exit_code::ExitCode;
use kiwi_tests::workplace::Workplace;

use super::{HIDDEN, commands, help, there_is};

/// A page as `man` shows it, on one line.
fn shown(work: &Workplace, file: &str) -> String {
    let output = Command::new("man")
        .args(["-l", "--warnings", "-P", "cat", file])
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "500")
        .current_dir(work.at(""))
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{file}: {complaints}");
    // Letters that are printed twice are bold.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn there_is_a_page_for_each_command_that_says_what_its_help_says() {
    let work = Workplace::new();
    let written = work.run(&["man", "--output-dir", "a/man1"]).ends_with(0);
    let mut names: Vec<_> = fs::read_dir(work.at("a/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<_> = commands(&work)
        .iter()
        .map(|command| format!("kiwi-host-{}.1", command.replace(' ', "-")))
        .chain(["kiwi-host.1".to_owned()])
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    let mut told: Vec<_> = written.stdout.lines().map(|line| line.replace("a/man1/", "")).collect();
    told.sort();
    assert_eq!(told, expected);

    for name in &names {
        let page = fs::read_to_string(work.at("a/man1").join(name)).unwrap();
        for hidden in HIDDEN {
            let dashed = hidden.replace('-', "\\-");
            assert!(
                !page.contains(&format!("{dashed}(1)")) && !page.contains(&format!("host {dashed}")),
                "{name}"
            );
        }
    }
    if there_is("mandoc", "mandoc's opinion of man pages") {
        for name in &names {
            let output = Command::new("mandoc")
                .args(["-T", "lint", "-W", "error"])
                .arg(work.at("a/man1").join(name))
                .output();
            let output = output.unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
    if !there_is("man", "what man pages look like") {
        return;
    }
    let main = shown(&work, "a/man1/kiwi-host.1");
    for (code, meaning) in ExitCode::ALL {
        assert!(main.contains(&format!("{} {meaning}", code.number())), "no {meaning}: {main}");
    }
    for variable in environment::ALL {
        let words = variable.meaning.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(main.contains(&format!("{} {words}", variable.name)), "no {}: {main}", variable.name);
    }
    for command in commands(&work) {
        let page = shown(&work, &format!("a/man1/kiwi-host-{}.1", command.replace(' ', "-")));
        let help = help(&work, &command.split(' ').collect::<Vec<_>>());
        let about = help.lines().next().unwrap();
        assert!(page.contains(&format!("- {about} SYNOPSIS kiwi-host {command} ")), "{about}: {page}");
        for option in help.split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches([',', '.', ':', ')', '\'']);
            assert!(page.contains(option), "no {option}: {page}");
        }
        if !command.contains(' ') {
            assert!(main.contains(&format!("kiwi-host-{command}(1) {about}")), "no {about}: {main}");
        }
    }
    let train = shown(&work, "a/man1/kiwi-host-train.1");
    assert!(
        train.contains("EXAMPLES kiwi-host train --example > config.json kiwi-host train config.json"),
        "{train}"
    );
    let doctor = shown(&work, "a/man1/kiwi-host-doctor.1");
    assert!(doctor.contains("EXIT STATUS Exits with 2 if"), "{doctor}");
}

#[test]
fn a_page_is_printed_by_the_words_of_its_command() {
    let work = Workplace::new();
    let page = |words: &[&str]| work.run(&[&["man"], words].concat()).ends_with(0).stdout;
    let _ = work.run(&["man", "--output-dir", "pages"]).ends_with(0);
    for (words, file) in [
        (&[][..], "kiwi-host.1"),
        (&["train"], "kiwi-host-train.1"),
        (&["plugins", "new"], "kiwi-host-plugins-new.1"),
    ] {
        let file = fs::read_to_string(work.at("pages").join(file)).unwrap();
        assert_eq!(page(words).trim_end(), file.trim_end());
    }
    let _ = work.run(&["man", "trian"]).ends_with(2).says(&["no command `trian`", "did you mean `train`?"]);
    let _ = work.run(&["man", "plugins", "lst"]).ends_with(2).says(&["`kiwi-host plugins`", "`list`"]);
    let _ = work.run(&["man", "train", "more"]).ends_with(2).says(&["no further word"]);
    let _ = work.run(&["man", "probe"]).ends_with(2).says(&["no command `probe`"]);
}

#[test]
fn only_earlier_pages_are_replaced() {
    let work = Workplace::new();
    let write = ["man", "--output-dir", "pages"];
    let _ = work.run(&write).ends_with(0);
    let page = fs::read_to_string(work.at("pages/kiwi-host-score.1")).unwrap();
    work.write("pages/kiwi-host-score.1", &page.replace("Score each pair", "An earlier line"));
    let _ = work.run(&write).ends_with(0);
    assert_eq!(fs::read_to_string(work.at("pages/kiwi-host-score.1")).unwrap(), page);

    work.write("pages/kiwi-host-score.1", "somebody's own");
    fs::remove_file(work.at("pages/kiwi-host-train.1")).unwrap();
    let refused = work.run(&write).ends_with(2).says(&["kiwi-host-score.1 is there already", "remove it"]);
    assert_eq!(refused.stdout, "");
    assert_eq!(fs::read_to_string(work.at("pages/kiwi-host-score.1")).unwrap(), "somebody's own");
    assert!(!work.at("pages/kiwi-host-train.1").exists(), "all is seen before anything is written");
    let _ =
        work.run(&["man", "--output-dir", "train.src"]).ends_with(2).says(&["train.src cannot be written"]);
}
