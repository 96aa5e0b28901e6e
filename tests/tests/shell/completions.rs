//! `completions`: what shells make of the scripts. Bash is asked in earnest, by keys typed at a terminal.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use kiwi_tests::workplace::Workplace;

use super::{HIDDEN, commands, there_is};

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "elvish", "powershell"];

/// What lines typed at bash come to, after its tabs have completed what there is to complete: the words of each.
fn typed(work: &Workplace, lines: &[&str]) -> Vec<String> {
    let script = work.run(&["completions", "bash"]).ends_with(0).stdout;
    work.write("completions.bash", &script);
    // In place of the program, a function that shows what it was given.
    work.write(
        "typed.rc",
        "source completions.bash\nkiwi-host() { printf '<%s>' \"$@\"; echo; }\nPS1='> '\nset +o history\n",
    );
    let mut bash = Command::new("script")
        .args(["-qec", "bash --noprofile --rcfile typed.rc -i", "/dev/null"])
        .env("TERM", "dumb")
        .env("INPUTRC", "/dev/null")
        .current_dir(work.at(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    input += "exit\n";
    bash.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    text.lines().filter(|line| line.starts_with('<')).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    if !there_is("bash", "completions in bash") || !there_is("script", "completions in bash, at a terminal") {
        return;
    }
    let work = Workplace::new();
    for file in ["config.json", "system.safetensors", "plug.txt", "plain.txt"] {
        work.write(file, "");
    }
    fs::create_dir(work.at("plugdir")).unwrap();
    fs::create_dir(work.at("my runs")).unwrap();
    let cases = [
        // Commands, at both levels, with a dash too.
        ("kiwi-host evalu\t", "<evaluate>"),
        ("kiwi-host import-c\tconf\t", "<import-config><config.json>"),
        ("kiwi-host plugins ins\t", "<plugins><inspect>"),
        // Options, after commands of one word and of two.
        ("kiwi-host evaluate --sour\tpla\t", "<evaluate><--source><plain.txt>"),
        ("kiwi-host import-config --out\tx", "<import-config><--output><x>"),
        ("kiwi-host plugins list --wh\tadam", "<plugins><list><--why><adam>"),
        // Values.
        ("kiwi-host evaluate --format j\t", "<evaluate><--format><json>"),
        ("kiwi-host --color ne\ttrain", "<--color><never><train>"),
        ("kiwi-host plugins list --kind enc\t", "<plugins><list><--kind><encoder>"),
        ("kiwi-host completions powe\t", "<completions><powershell>"),
        // Directories alone where a directory is meant, else files.
        ("kiwi-host --plugin-dir plu\t", "<--plugin-dir><plugdir/>"),
        ("kiwi-host train --output-dir my\t", "<train><--output-dir><my runs/>"),
        ("kiwi-host train conf\t --plugin-dir plug\t", "<train><config.json><--plugin-dir><plugdir/>"),
        ("kiwi-host inspect sys\t", "<inspect><system.safetensors>"),
        // What the program runs itself is nobody's to type.
        ("kiwi-host prob\t", "<prob>"),
        ("kiwi-host plugins check-\t", "<plugins><check->"),
        ("kiwi-host doctor-\t", "<doctor->"),
    ];
    let lines: Vec<_> = cases.iter().map(|(line, _)| *line).collect();
    let found = typed(&work, &lines);
    let expected: Vec<_> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(found, expected);
}

#[test]
fn with_nothing_typed_bash_offers_files_and_no_options() {
    if !there_is("bash", "completions in bash") || !there_is("script", "completions in bash, at a terminal") {
        return;
    }
    let work = Workplace::new();
    fs::create_dir(work.at("one")).unwrap();
    for file in ["train.src", "train.tgt", "valid.src", "valid.tgt"] {
        fs::remove_file(work.at(file)).unwrap();
    }
    work.write("one/config.json", "");
    // Alone in its folder, the file is what an empty word is completed to.
    let found = typed(&work, &["kiwi-host train one/\t", "cd one", "kiwi-host train \t"]);
    assert_eq!(found, ["<train><one/config.json>", "<train><config.json>"]);
}

#[test]
fn each_shell_gets_a_script_that_names_all_commands_and_none_that_is_hidden() {
    let work = Workplace::new();
    let commands = commands(&work);
    for shell in SHELLS {
        let outcome = work.run(&["completions", shell]).ends_with(0);
        assert_eq!(outcome.stderr, "");
        for word in commands.iter().flat_map(|command| command.split(' ')) {
            assert!(outcome.stdout.contains(word), "no {word} for {shell}");
        }
        for hidden in HIDDEN {
            assert!(!outcome.stdout.contains(hidden), "{hidden} for {shell}");
        }
        let script = work.write(&format!("script.{shell}"), &outcome.stdout);
        let syntax = if shell == "fish" { "--no-execute" } else { "-n" };
        if ["bash", "zsh", "fish"].contains(&shell) && there_is(shell, &format!("the syntax for {shell}")) {
            assert!(Command::new(shell).arg(syntax).arg(&script).status().unwrap().success(), "{shell}");
        }
    }
    let _ = work.run(&["completions", "ksh"]).ends_with(2).says(&["ksh", "bash", "powershell"]);
}

#[test]
fn scripts_say_where_directories_and_files_are_meant() {
    let work = Workplace::new();
    let zsh = work.run(&["completions", "zsh"]).ends_with(0).stdout;
    for directory in ["--plugin-dir=", "--libtorch=", "--output-dir="] {
        let line = zsh.lines().find(|line| line.contains(directory)).unwrap();
        assert!(line.contains("_files -/"), "{line}");
    }
    for file in ["--source=", "--lock=", "':system --", "':config --"] {
        let line = zsh.lines().find(|line| line.contains(file)).unwrap_or_else(|| panic!("no {file}"));
        assert!(line.contains(":_files'"), "{line}");
    }
}
