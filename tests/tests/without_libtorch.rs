//! Without libtorch: what needs none works, and what needs it says where it was looked for.

use std::fs;
use std::process::Command;
use std::time::Instant;

use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::{Workplace, config};

const BUILT_IN: [&str; 4] = ["encoders", "heads", "metrics", "optimizers"];

/// The program in a place where no libtorch can be found.
fn command(work: &Workplace, arguments: &[&str]) -> Command {
    let mut command = work.command(arguments);
    command.env_clear().env("HOME", work.at("home"));
    command
}

#[test]
fn versions_and_listings_need_none() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    for arguments in [
        &["--version"][..],
        &["plugins", "list"],
        &["plugins", "inspect", "kiwi-heads"],
        &["train", "--example"],
    ] {
        for libtorch in [None, Some("/nonexistent")] {
            let mut command = command(&work, arguments);
            command.envs(libtorch.map(|directory| ("LIBTORCH", directory)));
            let started = Instant::now();
            let outcome = Outcome::of(&mut command).ends_with(0);
            println!("{arguments:?} took {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
            assert!(!outcome.stdout.is_empty());
            assert_eq!(outcome.stderr, "");
        }
    }
}

#[test]
fn training_says_where_libtorch_was_looked_for() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    work.write("config.json", &config().to_string());
    let train = ["train", "config.json", "--output-dir", "run"];
    let refused = Outcome::of(&mut command(&work, &train)).ends_with(2).says(&[
        "error[E0501]: no libtorch 2.11.* was found",
        "looked at ",
        "(beside the program)",
        "the active virtual environment: none, VIRTUAL_ENV is not set",
        "python3: PATH is not set",
        "--libtorch or LIBTORCH",
        "cargo xtask setup",
    ]);
    assert_eq!(refused.stdout, "");

    // One that was named and is none is an error, whatever else there may be.
    let mut named = command(&work, &train);
    named.env("LIBTORCH", "/nonexistent");
    let _ = Outcome::of(&mut named).ends_with(2).says(&[
        "error[E0501]: LIBTORCH names /nonexistent, which does not exist",
        "lib/libtorch_cpu.so of torch 2.11.*",
    ]);
    let option = [&train[..], &["--libtorch", "elsewhere"]].concat();
    let _ = Outcome::of(&mut command(&work, &option)).ends_with(2).says(&["--libtorch names elsewhere"]);

    // One of another version is refused as well.
    work.write("old/lib/libtorch_cpu.so", "");
    work.write("old/version.py", "__version__ = '2.4.1+cpu'\n");
    let option = [&train[..], &["--libtorch", "old"]].concat();
    let _ = Outcome::of(&mut command(&work, &option))
        .ends_with(2)
        .says(&["is torch 2.4.1+cpu, needed is 2.11.*"]);
    assert!(!work.at("run").exists());
}

#[test]
fn a_wrong_config_is_told_without_libtorch() {
    let work = Workplace::with_copied_program(&BUILT_IN);
    work.write("config.json", r#"{"trainer": {"epochs": "many"}}"#);
    let refused = Outcome::of(&mut command(&work, &["train", "config.json"])).ends_with(2);
    let refused = refused.says(&["config.json:1:", "trainer.epochs"]);
    assert!(!refused.stderr.contains("libtorch"), "{refused}");
}

#[test]
fn the_program_itself_links_no_libtorch() {
    let program = fs::read(kiwi_tests::built::program()).unwrap();
    let engine = fs::read(kiwi_tests::built::folder().join("libkiwi_engine.so")).unwrap();
    let holds = |bytes: &[u8], name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    // The name as the dynamic loader's table has it.
    assert!(holds(&engine, b"\0libtorch_cpu.so\0"));
    assert!(!holds(&program, b"\0libtorch_cpu.so\0"));
}
