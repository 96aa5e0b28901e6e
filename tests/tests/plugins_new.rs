//! `plugins new`: the crates that it writes build, pass their tests and train as they are, by the commands of their own README;
//! and what it cannot write it refuses, all at once and with nothing touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiwi_tests::built;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::Trained;
use kiwi_tests::workplace::Workplace;

/// Where all new crates build, so that what they depend on is compiled once.
fn target() -> PathBuf {
    workspace_target().join("new-plugins")
}

fn workspace_target() -> PathBuf {
    built::folder().parent().unwrap().to_owned()
}

/// Runs a command of the README in the new crate, as its author would: with the program on the path.
fn follow(work: &Workplace, directory: &Path, command: &str) -> Outcome {
    let words: Vec<&str> = command.split(' ').collect();
    let mut run = match words[0] {
        "cargo" => {
            let mut cargo = Command::new(env!("CARGO"));
            // Nothing but what this workspace has been built from. By another name of the same libtorch than the workspace's, cargo
            // would compile all that is linked with it anew, and the workspace after that.
            cargo.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
            cargo.env("LIBTORCH", built::libtorch());
            if std::env::var_os("CARGO_BUILD_BUILD_DIR").is_none() {
                // What the workspace has compiled already need not be compiled again.
                cargo.env("CARGO_BUILD_BUILD_DIR", workspace_target());
            }
            cargo.args(&words[1..]);
            cargo
        }
        "kiwi-host" => work.command(&words[1..]),
        other => panic!("{other} is no program that a test knows"),
    };
    Outcome::of(run.current_dir(directory))
}

/// Where the crate's own settings say that libtorch is.
fn libtorch_of(directory: &Path) -> PathBuf {
    let settings = fs::read_to_string(directory.join(".cargo/config.toml")).unwrap();
    let (_, rest) = settings.split_once("LIBTORCH = { value = \"").unwrap();
    rest.split_once('"').unwrap().0.into()
}

/// Writes a crate, follows its README, and gives the run that it ends in.
fn from_nothing_to_a_run(work: &Workplace, arguments: &[&str], directory: &str, files: usize) -> Trained {
    let made = work.run(&[&["plugins", "new"], arguments].concat()).ends_with(0);
    assert_eq!(made.stdout, "");
    let _ = made.says(&[
        &format!("wrote {directory}: "),
        "cargo test",
        "train config.json --plugin-dir target/debug",
    ]);
    let directory = work.at(directory);
    symlink(target(), directory.join("target")).unwrap();
    assert_eq!(
        fs::canonicalize(libtorch_of(&directory)).unwrap(),
        fs::canonicalize(built::libtorch()).unwrap()
    );
    let readme = fs::read_to_string(directory.join("README.md")).unwrap();
    let commands: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(
        commands,
        ["cargo build", "cargo test", "kiwi-host train config.json --plugin-dir target/debug"]
    );
    let _ = follow(work, &directory, commands[0]).ends_with(0);
    let tested = follow(work, &directory, commands[1]).ends_with(0);
    assert!(tested.stdout.contains(&format!("test result: ok. {files} passed; 0 failed")), "{tested}");
    let outcome = follow(work, &directory, commands[2]).ends_with(0);
    // A second time nothing is written over.
    let _ = follow(work, &directory, commands[2]).ends_with(2).says(&["runs/first"]);
    Trained { outcome, directory: directory.join("runs/first") }
}

/// Whether the log names the component and the system has learned.
fn check(run: &Trained, component: &str) {
    assert!(run.log().contains(component), "no {component}: {}", run.log());
    let perplexity: Vec<f64> =
        run.validations().iter().map(|validation| validation.value("val_target_PERP")).collect();
    let (first, last) = (perplexity[0], perplexity[perplexity.len() - 1]);
    assert!(last < 0.7 * first && last < 8.0, "{perplexity:?}");
}

#[test]
fn each_kind_builds_passes_its_tests_and_trains_as_it_is() {
    let work = Workplace::new();
    let arguments = ["bag-of-words", "--kind", "encoder"];
    let run = from_nothing_to_a_run(&work, &arguments, "bag-of-words", 7);
    check(&run, "encoder BagOfWords of plugin bag-of-words 0.1.0");

    // A class that is no word of Rust's kind, in a directory of another name.
    let arguments = ["smoothed_words", "--kind", "head", "--class", "smoothed_2", "--output", "made/here"];
    fs::create_dir(work.at("made")).unwrap();
    let run = from_nothing_to_a_run(&work, &arguments, "made/here", 5);
    check(&run, "head smoothed_2 of plugin smoothed_words 0.1.0");

    // A class whose name the plugin API has too.
    let arguments = ["lion", "--kind", "optimizer", "--class", "Optimizer"];
    let run = from_nothing_to_a_run(&work, &arguments, "lion", 5);
    check(&run, "optimizer Optimizer of plugin lion 0.1.0");

    let run = from_nothing_to_a_run(&work, &["sure-words", "--kind", "metric"], "sure-words", 3);
    check(&run, "SureWords");
    let share = run.validations().last().unwrap().value("val_target_SureWords");
    assert!((0.2..=1.0).contains(&share), "{share}");

    let listed = work.run(&["plugins", "list", "--plugin-dir", target().join("debug").to_str().unwrap()]);
    for plugin in ["bag-of-words", "smoothed_words", "lion", "sure-words"] {
        assert!(listed.stdout.contains(&format!("{plugin} 0.1.0  ")), "{listed}");
    }
}

#[test]
fn what_cannot_be_written_is_refused_all_at_once() {
    let work = Workplace::new();
    work.write("taken/notes.txt", "mine\n");
    let before = names(&work);
    let refused = work.run(&["plugins", "new", "Bag Of Words", "--kind", "encoder", "--class", "bag-of"]);
    let refused = refused.ends_with(2).says(&[
        "this cannot be the name of a crate",
        "found: Bag Of Words",
        "did you mean `bag-of-words`?",
        "this cannot be the name of a class",
        "did you mean `BagOf`?",
    ]);
    assert_eq!(refused.stdout, "");
    let _ = work
        .run(&["plugins", "new", "match", "--kind", "head"])
        .ends_with(2)
        .says(&["`match` is a word of Rust", "`my-match`"]);
    let taken = ["plugins", "new", "lion", "--kind", "optimizer", "--output", "taken"];
    let _ = work
        .run(&taken)
        .ends_with(2)
        .says(&["taken exists already, and nothing is written over", "--output"]);
    let installed = ["plugins", "new", "kiwi-encoders", "--kind", "optimizer", "--class", "adam"];
    let _ = work.run(&installed).ends_with(2).says(&[
        "a plugin of this name is installed already",
        "libkiwi_encoders.so",
        "the optimizer `adam` is registered already",
        "did you mean `MyAdam`?",
    ]);
    let api = ["plugins", "new", "lion", "--kind", "optimizer", "--api", "taken"];
    let _ =
        work.run(&api).ends_with(2).says(&["--api names taken, which holds no Cargo.toml", "`plugin-api`"]);
    let mut without = work.command(&["plugins", "new", "lion", "--kind", "optimizer"]);
    let _ = Outcome::of(without.env("LIBTORCH", work.at("taken")))
        .ends_with(2)
        .says(&["holds no lib/libtorch_cpu.so"]);
    let _ = work.run(&["plugins", "new", "lion", "--kind", "encodr"]).ends_with(2).says(&["encoder"]);
    let _ = work
        .run(&["plugins", "new", "lion", "--kind", "metric", "--output", "no/where"])
        .ends_with(1)
        .says(&["no/where cannot be written"]);
    assert_eq!(names(&work), before);
    assert_eq!(fs::read_to_string(work.at("taken/notes.txt")).unwrap(), "mine\n");
}

/// What there is in the folder.
fn names(work: &Workplace) -> Vec<String> {
    let entries = fs::read_dir(work.at(".")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
